import { apiVersionOf, type Resource } from '@cloudless/kube/object';
import { catalogue as builtIn, groupVersions, type ResourceFacts } from '@cloudless/kube/schema/catalogue';
import type {
  CustomResourceDefinition,
  CustomResourceDefinitionVersion,
  JSONSchemaProps,
} from '@cloudless/kube/types/apiextensions-v1';
import type { ResourceDeclaration } from './strategy.ts';

/** Kind of a subresource's body, and what may be done with it. */
export interface Subresource {
  readonly name: string;
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly verbs: readonly string[];
}

/** What a CustomResourceDefinition says of one of its served versions. */
export interface CustomVersion {
  readonly definition: CustomResourceDefinition;
  readonly version: CustomResourceDefinitionVersion;
  /** `version.schema.openAPIV3Schema`; an object that keeps every field when the version has none. */
  readonly schema: JSONSchemaProps;
}

/** One resource in one served version. */
export interface Served {
  readonly resource: Resource;
  /** The resource and version whose keys and values hold it. */
  readonly storage: Resource;
  readonly verbs: readonly string[];
  /** Computed by an endpoint; nothing is stored. */
  readonly computed: boolean;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly subresources: ReadonlyMap<string, Subresource>;
  /** Undefined for built-in kinds. */
  readonly custom: CustomVersion | undefined;
}

/** `PodList`; a custom kind says its own. */
export const listKindOf = ({ resource, custom }: Served): string =>
  custom?.definition.status?.acceptedNames?.listKind ?? `${resource.kind}List`;

/** Known to Kubernetes, but not served here yet: they are left out of discovery, and a request gets 404. */
const notServedYet: ReadonlySet<string> = new Set(['componentstatuses', 'proxy']);

/**
 * Whether upstream's defaults and `runtimeConfig` (its `--runtime-config`) serve a resource: stable versions are on,
 * alpha and beta off; `api/all`, `api/ga`, `api/beta`, `api/alpha`, `GROUP/VERSION` and `GROUP/VERSION/PLURAL`
 * switch, the more exact last.
 */
function isServed(fact: ResourceFacts, config: Readonly<Record<string, boolean>>): boolean {
  const { version } = fact;
  const groupVersion = apiVersionOf(fact);
  if (notServedYet.has(fact.plural)) return false;
  const stage = version.includes('alpha') ? 'api/alpha' : version.includes('beta') ? 'api/beta' : 'api/ga';
  const full = fact.group === '' ? `api/${version}` : groupVersion;
  return (
    config[`${groupVersion}/${fact.plural}`] ??
    config[full] ??
    config[stage] ??
    config['api/all'] ??
    fact.served
  );
}

type GroupVersions = ReadonlyMap<string, readonly Served[]>;

/**
 * What the server serves: lookup by URL and by kind, and the order of discovery. Built-in kinds stand from the start,
 * custom ones come and go.
 */
export class Catalogue {
  readonly #byPath = new Map<string, Served>();
  readonly #byKind = new Map<string, Served>();
  readonly #builtIn: GroupVersions;
  #groupVersions: GroupVersions;
  #custom: readonly Served[] = [];
  #generation = 0;

  constructor(
    declarations: readonly ResourceDeclaration[] = [],
    runtimeConfig: Readonly<Record<string, boolean>> = {},
  ) {
    const declared = new Map(
      declarations.map((each) => [`${each.resource.group}/${each.resource.plural}`, each]),
    );
    const byGroupVersion = new Map<string, Served[]>(groupVersions.map(({ apiVersion }) => [apiVersion, []]));
    for (const fact of builtIn) {
      if (!isServed(fact, runtimeConfig)) continue;
      const served = servedOf(fact, declared.get(`${fact.group}/${fact.plural}`));
      const groupVersion = apiVersionOf(fact);
      this.#byPath.set(`${groupVersion}/${fact.plural}`, served);
      this.#byKind.set(`${groupVersion}/${fact.kind}`, served);
      byGroupVersion.get(groupVersion)?.push(served);
    }
    for (const [groupVersion, all] of byGroupVersion)
      if (all.length === 0) byGroupVersion.delete(groupVersion);
    this.#builtIn = byGroupVersion;
    this.#groupVersions = byGroupVersion;
  }

  /** Served group versions in order of preference, with their resources. */
  get groupVersions(): GroupVersions {
    return this.#groupVersions;
  }

  /** Grows with every change of what is served; whoever keeps documents made from the catalogue goes by it. */
  get generation(): number {
    return this.#generation;
  }

  /**
   * Serves exactly these custom resources from now on. They come in the order of discovery: group by group, after the
   * built-in groups. One that a built-in kind stands in the way of is left out.
   */
  replaceCustom(served: readonly Served[]): void {
    for (const { resource } of this.#custom) {
      const groupVersion = apiVersionOf(resource);
      this.#byPath.delete(`${groupVersion}/${resource.plural}`);
      this.#byKind.delete(`${groupVersion}/${resource.kind}`);
    }
    this.#custom = served.filter(({ resource }) => !this.#builtIn.has(apiVersionOf(resource)));
    const byGroupVersion = new Map<string, readonly Served[]>(this.#builtIn);
    for (const each of this.#custom) {
      const groupVersion = apiVersionOf(each.resource);
      this.#byPath.set(`${groupVersion}/${each.resource.plural}`, each);
      this.#byKind.set(`${groupVersion}/${each.resource.kind}`, each);
      byGroupVersion.set(groupVersion, [...(byGroupVersion.get(groupVersion) ?? []), each]);
    }
    this.#groupVersions = byGroupVersion;
    this.#generation++;
  }

  find(group: string, version: string, plural: string): Served | undefined {
    return this.#byPath.get(group === '' ? `${version}/${plural}` : `${group}/${version}/${plural}`);
  }

  byKind(group: string, version: string, kind: string): Served | undefined {
    return this.#byKind.get(group === '' ? `${version}/${kind}` : `${group}/${version}/${kind}`);
  }

  /** Every served resource. */
  *all(): Generator<Served> {
    yield* this.#byPath.values();
  }
}

function servedOf(fact: ResourceFacts, declaration: ResourceDeclaration | undefined): Served {
  const { group, version, plural, kind, namespaced, storage } = fact;
  const resource: Resource = Object.freeze({ group, version, plural, kind, namespaced });
  const subresources = fact.subresources.filter((each) => !notServedYet.has(each.name));
  return {
    resource,
    storage: storage
      ? Object.freeze({ ...resource, group: storage.group, version: storage.version })
      : resource,
    verbs: fact.verbs,
    computed: storage === undefined,
    singular: declaration?.singular ?? fact.singular,
    shortNames: declaration?.shortNames ?? fact.shortNames,
    categories: declaration?.categories ?? fact.categories,
    subresources: new Map(subresources.map((each) => [each.name, each])),
    custom: undefined,
  };
}
