import type { KubeObject, Resource } from '@cloudless/kube/object';
import type { BodyPlace, ObjectVersions } from '../admission/object-versions.ts';
import type { MergeType } from '@cloudless/kube/structured-merge/merge-type';
import { typeOfKind, typeOfServed } from '../managed-fields/merge-types.ts';
import { convert } from '../registry/conversion.ts';
import type { Registry } from '../registry/registry.ts';
import { scaleOf, withScale } from '../registry/scale.ts';
import type { ScaleMapping } from '../registry/strategy.ts';
import { cloneJson } from '../storage/codec.ts';
import { CannotDecode } from './decoder.ts';
import type { BodyDecoder, BodyKind, FieldValidation } from './body.ts';

/** {@link ObjectVersions} by the registry's catalogue, conversion and defaults. */
export class RegistryVersions implements ObjectVersions {
  readonly #registry: Registry;
  readonly #decoder: BodyDecoder;
  #equivalents = new Map<string, Resource[]>();
  #generation = -1;

  constructor(registry: Registry, decoder: BodyDecoder) {
    this.#registry = registry;
    this.#decoder = decoder;
  }

  equivalents(resource: Resource): readonly Resource[] {
    const { catalogue } = this.#registry;
    if (this.#generation !== catalogue.generation) {
      this.#generation = catalogue.generation;
      this.#equivalents = new Map();
      for (const served of catalogue.all()) {
        const key = storageKey(served.storage);
        const all = this.#equivalents.get(key);
        if (all) all.push(served.resource);
        else this.#equivalents.set(key, [served.resource]);
      }
    }
    return this.#equivalents.get(storageKey(this.#registry.open(resource).resource)) ?? [resource];
  }

  ofKind({ group, version, kind }: BodyKind): Resource | undefined {
    return this.#registry.catalogue.byKind(group, version, kind)?.resource;
  }

  kindOf({ resource, subresource }: BodyPlace): BodyKind {
    const { group, version, plural } = resource;
    const served = this.#registry.catalogue.find(group, version, plural);
    return (subresource === '' ? undefined : served?.subresources.get(subresource)) ?? resource;
  }

  async show(object: KubeObject, place: BodyPlace): Promise<KubeObject> {
    if (this.#isScale(place)) return scaleOf(object, this.#scaleMapping(place), 'change');
    if (!this.#isStoredObject(place)) return cloneJson(object);
    const from = this.#versionOf(object, place.resource);
    const shown = await this.#convert(cloneJson(object), from, place.resource);
    const { group, version, kind } = place.resource;
    const { apiVersion: _version, kind: _kind, ...rest } = shown;
    return { apiVersion: group === '' ? version : `${group}/${version}`, kind, ...rest };
  }

  async adopt(
    changed: unknown,
    place: BodyPlace,
    current: KubeObject,
    validation: FieldValidation = 'Ignore',
  ): Promise<KubeObject> {
    const kind = this.kindOf(place);
    const decoded = this.#decode(changed, kind, validation);
    if (this.#isScale(place)) return withScale(current, decoded, this.#scaleMapping(place));
    if (!this.#isStoredObject(place)) return decoded;
    const { resource: stored, custom } = this.#registry.open(place.resource);
    const { parts } = this.#registry;
    // Decoding by the schema has set the defaults.
    if (custom) return await this.#convert(decoded, place.resource, this.#versionOf(current, place.resource));
    if (stored.version !== place.resource.version || stored.group !== place.resource.group)
      parts.defaultsOf(place.resource)(decoded);
    const converted = convert(decoded, place.resource, stored);
    parts.defaultsOf(stored)(converted);
    return converted;
  }

  mergeTypeOf(place: BodyPlace): MergeType {
    const { group, version, kind } = this.kindOf(place);
    const served = this.#registry.catalogue.byKind(group, version, kind);
    return served ? typeOfServed(served) : typeOfKind({ group, version, kind });
  }

  async #convert(object: KubeObject, from: Resource, to: Resource): Promise<KubeObject> {
    const { versions } = this.#registry.open(to).codec;
    if (!versions?.convertAll || from.version === to.version) return convert(object, from, to);
    const [converted] = await versions.convertAll([object], to);
    return converted as KubeObject;
  }

  /** The object was made here: a refusal says only what is wrong with it. */
  #decode(changed: unknown, kind: BodyKind, validation: FieldValidation): KubeObject {
    try {
      return this.#decoder.decodePatched(changed, kind, validation, () => {});
    } catch (error) {
      const cause = error instanceof Error ? error.cause : undefined;
      throw cause instanceof CannotDecode ? new Error(cause.why, { cause }) : error;
    }
  }

  /** The version an object is in: the stored one for built-in kinds, its own for custom ones. */
  #versionOf({ apiVersion = '' }: KubeObject, resource: Resource): Resource {
    const stored = this.#registry.open(resource);
    if (!stored.custom) return stored.resource;
    return { ...resource, version: apiVersion.slice(apiVersion.indexOf('/') + 1) };
  }

  #scaleMapping({ resource }: BodyPlace): ScaleMapping | undefined {
    return this.#registry.open(resource).strategyOf(resource).scale;
  }

  #isScale(place: BodyPlace): boolean {
    return place.subresource === 'scale' && this.kindOf(place).kind === 'Scale';
  }

  /** Whether the body is the stored object, and not one of a subresource's own kind such as a Binding. */
  #isStoredObject(place: BodyPlace): boolean {
    const { group, kind } = this.kindOf(place);
    return group === place.resource.group && kind === place.resource.kind;
  }
}

const storageKey = ({ group, plural }: Resource): string => `${group}/${plural}`;
