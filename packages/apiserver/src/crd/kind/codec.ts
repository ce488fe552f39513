import type { KubeObject, Resource } from '@cloudless/kube/object';
import { apiVersionOf } from '@cloudless/kube/object';
import { ObjectCodec, type ProtobufReader, type VersionConverter } from '../../storage/codec.ts';

/** What a stored custom object goes through when it is read. */
export interface ReadSteps extends VersionConverter {
  /** Drops what the schema of the object's version no longer knows, and sets its defaults; in place. */
  normalize(version: string, object: KubeObject): void;
}

/**
 * How the objects of a custom kind stand in the store. Definitions change under objects: what another process, or an
 * earlier definition, wrote is brought to today's storage version, pruned and defaulted when it is read.
 */
export class CustomCodec extends ObjectCodec {
  /** Values that this definition's objects were encoded to: they need no second look. */
  readonly #own = new WeakSet<Uint8Array>();
  readonly #stale: WeakSet<KubeObject>;

  constructor(resource: Resource, steps: ReadSteps, readProtobuf: ProtobufReader) {
    const stale = new WeakSet<KubeObject>();
    super(
      resource,
      (object) => {
        if (readStored(object, resource, steps)) stale.add(object);
      },
      readProtobuf,
      steps,
    );
    this.#stale = stale;
  }

  override encode(object: KubeObject): Buffer {
    const value = super.encode(object);
    this.#own.add(value);
    return value;
  }

  override isOwn(value: Uint8Array): boolean {
    return this.#own.has(value) && super.isOwn(value);
  }

  override isStale(object: KubeObject): boolean {
    return this.#stale.has(object);
  }
}

/** Brings an object as stored into today's form, in place; whether it was stored in another version. */
function readStored(object: KubeObject, resource: Resource, steps: ReadSteps): boolean {
  const { group } = resource;
  const apiVersion = object.apiVersion ?? '';
  const version = apiVersion.slice(apiVersion.indexOf('/') + 1);
  steps.normalize(version, object);
  if (apiVersion === apiVersionOf(resource)) return false;
  const converted = steps.convert({ ...object }, { ...resource, group, version }, resource);
  for (const key of Object.keys(object)) delete (object as unknown as Record<string, unknown>)[key];
  Object.assign(object, converted);
  return true;
}
