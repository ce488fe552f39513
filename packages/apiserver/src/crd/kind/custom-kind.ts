/** From a CustomResourceDefinition to what serves its objects. */
import { stringifyJson } from '@cloudless/kube/codec/json';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { apiVersionOf } from '@cloudless/kube/object';
import { FieldPath } from '@cloudless/kube/field';
import type {
  CustomResourceDefinition,
  CustomResourceDefinitionVersion,
  JSONSchemaProps,
} from '@cloudless/kube/types/apiextensions-v1';
import type { Served, Subresource } from '../../registry/catalogue.ts';
import type { CustomKind, CustomObject } from '../../registry/custom-kind.ts';
import type { Strategy } from '../../registry/strategy.ts';
import {
  cloneJson,
  type ObjectCodec,
  type ProtobufReader,
  type VersionConverter,
} from '../../storage/codec.ts';
import { ConversionNeeded } from '../../storage/conversion-needed.ts';
import { Recent } from '../../storage/recent.ts';
import { type ConversionClients, WebhookConverter } from '../conversion/webhook-converter.ts';
import { compareVersions, isTrue, storageVersionOf } from '../definition/facts.ts';
import { coerceEmbedded, coerceMetadata, type Malformed } from '../schema/object-meta.ts';
import { applyDefaults, prune, pruneNulls } from '../schema/prune.ts';
import { type Structural, structuralOf } from '../schema/structural.ts';
import { CustomCodec } from './codec.ts';
import type { CompileRules, RuleSet } from './rules.ts';
import { strategyOf } from './strategy.ts';

const verbs = ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch'];
const subresourceVerbs = ['get', 'patch', 'update'];
/** Objects that field managers compare, each in the versions that have managers. */
const maxRecentConversions = 64;

/** What stands for no object at all: webhooks are not asked about it. */
const isEmpty = ({ apiVersion: _version, kind: _kind, metadata, ...rest }: KubeObject): boolean =>
  Object.keys(rest).length === 0 && Object.keys(metadata).length === 0;

const keepsEverything: JSONSchemaProps = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };

/** One version, its schema made walkable when it is first used. */
class Version {
  readonly facts: CustomResourceDefinitionVersion;
  readonly resource: Resource;
  readonly schema: JSONSchemaProps;
  readonly #keepsUnknown: boolean;
  readonly #compileRules: CompileRules;
  #structural: Structural | undefined;
  #strategy: Strategy | undefined;
  #rules: { set: RuleSet | undefined } | undefined;

  constructor(
    definition: CustomResourceDefinition,
    facts: CustomResourceDefinitionVersion,
    resource: Resource,
    compileRules: CompileRules,
  ) {
    this.facts = facts;
    this.resource = resource;
    this.schema = facts.schema?.openAPIV3Schema ?? keepsEverything;
    this.#keepsUnknown = definition.spec.preserveUnknownFields === true;
    this.#compileRules = compileRules;
  }

  get structural(): Structural {
    return (this.#structural ??= structuralOf(this.schema));
  }

  get strategy(): Strategy {
    if (this.#strategy) return this.#strategy;
    const { resource, schema, structural, facts: version } = this;
    // Lists ask for the strategy, too: only writes pay for the rules.
    const rules = (): RuleSet | undefined => this.rules;
    return (this.#strategy = strategyOf({ resource, version, schema, structural, rules }));
  }

  get rules(): RuleSet | undefined {
    return (this.#rules ??= { set: this.#compileRules(this.schema) }).set;
  }

  /** Metadata, unknown fields, nulls, embedded resources, defaults; in place (upstream: unstructuredSchemaCoercer). */
  normalize(object: KubeObject, malformed: Malformed, onUnknown?: (path: string) => void): void {
    const { structural } = this;
    const found: string[] = [];
    const collect = onUnknown && ((path: string) => void found.push(path));
    const flush = (): void => {
      for (const path of found.toSorted()) onUnknown?.(path);
      found.length = 0;
    };
    object.metadata = coerceMetadata(object.metadata ?? {}, malformed, onUnknown);
    if (!this.#keepsUnknown) {
      prune(object, structural.embedded ? structural : { ...structural, embedded: true }, collect);
      flush();
      pruneNulls(object, structural);
    }
    coerceEmbedded(object, structural, FieldPath.of(''), malformed, collect);
    flush();
    applyDefaults(object, structural);
  }
}

/** Everything that serves one definition, which must have accepted names and a storage version. */
export class DefinedKind implements CustomKind {
  readonly storage: Resource;
  readonly listKind: string;
  #definition: CustomResourceDefinition;
  #served: readonly Served[];
  readonly #versions: ReadonlyMap<string, Version>;
  readonly #webhook: WebhookConverter | undefined;

  constructor(
    definition: CustomResourceDefinition,
    compileRules: CompileRules,
    conversions: ConversionClients,
  ) {
    const { spec } = definition;
    const { conversion } = spec;
    // A kind of one version has nothing to convert, but what it once stored in others.
    this.#webhook =
      conversion?.strategy === 'Webhook' ? new WebhookConverter(conversion, conversions) : undefined;
    const names = definition.status?.acceptedNames ?? spec.names;
    this.#definition = definition;
    this.listKind = names.listKind ?? `${names.kind}List`;
    const resourceOf = (version: string): Resource =>
      Object.freeze({
        group: spec.group,
        version,
        plural: names.plural,
        kind: names.kind,
        namespaced: spec.scope === 'Namespaced',
      });
    this.#versions = new Map(
      spec.versions.map((facts) => [
        facts.name,
        new Version(definition, facts, resourceOf(facts.name), compileRules),
      ]),
    );
    const storage = storageVersionOf(definition) as CustomResourceDefinitionVersion;
    this.storage = resourceOf(storage.name);
    this.#served = this.#serve();
  }

  get definition(): CustomResourceDefinition {
    return this.#definition;
  }

  get served(): readonly Served[] {
    return this.#served;
  }

  get terminating(): boolean {
    return isTrue(this.#definition, 'Terminating');
  }

  /** The storage version as if it were served, for what the server itself does to the objects. */
  get stored(): Served {
    return this.#servedOf(this.#version(this.storage.version));
  }

  /** Takes over a definition that serves the same objects in the same way; whether discovery tells another thing. */
  refresh(definition: CustomResourceDefinition): boolean {
    if (definition === this.#definition) return false;
    this.#definition = definition;
    this.#served = this.#serve();
    return true;
  }

  #serve(): readonly Served[] {
    return this.#definition.spec.versions
      .filter(({ served }) => served)
      .map(({ name }) => this.#servedOf(this.#version(name)));
  }

  #servedOf(version: Version): Served {
    const { spec, status } = this.#definition;
    const names = status?.acceptedNames ?? spec.names;
    const { resource } = version;
    const subresources: Subresource[] = [];
    const { group, kind } = resource;
    if (version.facts.subresources?.status) {
      subresources.push({
        name: 'status',
        group,
        version: resource.version,
        kind,
        verbs: subresourceVerbs,
      });
    }
    if (version.facts.subresources?.scale) {
      subresources.push({
        name: 'scale',
        group: 'autoscaling',
        version: 'v1',
        kind: 'Scale',
        verbs: subresourceVerbs,
      });
    }
    return {
      resource,
      storage: this.storage,
      verbs,
      computed: false,
      singular: names.singular ?? '',
      shortNames: names.shortNames ?? [],
      categories: names.categories ?? [],
      subresources: new Map(subresources.map((each) => [each.name, each])),
      custom: { definition: this.#definition, version: version.facts, schema: version.schema },
    };
  }

  #version(name: string): Version {
    const version = this.#versions.get(name);
    if (version) return version;
    const { group, plural } = this.storage;
    throw new Error(`request to convert CR from an invalid group/version: ${group}/${name} (${plural})`);
  }

  strategyOf(version: string): Strategy {
    return this.#version(version).strategy;
  }

  codec(readProtobuf: ProtobufReader): ObjectCodec {
    const steps = {
      normalize: (version: string, object: KubeObject): void => {
        this.#version(version).normalize(object, 'drop');
        // Upstream repairs what very old servers wrote.
        object.metadata.generation ??= 1;
      },
      ...this.#conversion(),
    };
    return new CustomCodec(this.storage, steps, readProtobuf);
  }

  /** The same object under another apiVersion, in the form of that version. */
  #as(object: KubeObject, to: Resource): KubeObject {
    object.apiVersion = apiVersionOf(to);
    this.#version(to.version).normalize(object, 'drop');
    return object;
  }

  /** Versions differ in name only, unless a webhook knows more. */
  #conversion(): VersionConverter {
    const byName: VersionConverter = { convert: (object, _from, to) => this.#as(object, to) };
    const webhook = this.#webhook;
    if (!webhook) return byName;
    const convertAll = async (objects: readonly KubeObject[], to: Resource): Promise<KubeObject[]> =>
      (await webhook.convert(objects, to)).map((object) => this.#as(object, to));
    const recent = new Recent<string, KubeObject>(maxRecentConversions);
    const convert: VersionConverter['convert'] = (object, from, to) => {
      if (from.version === to.version || isEmpty(object)) return this.#as(object, to);
      const key = `${to.version} ${stringifyJson(object)}`;
      const known = recent.get(key);
      if (known) return cloneJson(known);
      throw new ConversionNeeded(async () => {
        const [converted] = await convertAll([object], to);
        recent.set(key, converted as KubeObject);
      });
    };
    return { convert, convertAll };
  }

  decode(version: string, value: KubeObject, wantsUnknown: boolean): CustomObject {
    const strictErrors: string[] = [];
    const onUnknown = wantsUnknown
      ? (path: string): void => void strictErrors.push(`unknown field ${JSON.stringify(path)}`)
      : undefined;
    const object = { ...value };
    this.#version(version).normalize(object, 'refuse', onUnknown);
    return { object, strictErrors };
  }

  deprecationOf(name: string): string | undefined {
    const { spec } = this.#definition;
    const version = this.#version(name).facts;
    if (!version.deprecated) return undefined;
    if (version.deprecationWarning !== undefined) return version.deprecationWarning;
    const text = `${spec.group}/${name} ${spec.names.kind} is deprecated`;
    const [better] = spec.versions
      .filter((each) => each.served && !each.deprecated && compareVersions(each.name, name) < 0)
      .map((each) => each.name)
      .sort(compareVersions);
    return better === undefined ? text : `${text}; use ${spec.group}/${better} ${spec.names.kind}`;
  }
}
