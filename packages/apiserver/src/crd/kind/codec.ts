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
 * earlier definition, wrote is brought to today's storage version, pruned and defaulted when it is read. Where a
 * webhook converts, it stays in the version that it was written in.
 */
export class CustomCodec extends ObjectCodec {
  /** Values that this definition's objects were encoded to: they need no second look. */
  readonly #own = new WeakSet<Uint8Array>();

  constructor(resource: Resource, steps: ReadSteps, readProtobuf: ProtobufReader) {
    super(resource, (object) => readStored(object, resource, steps), readProtobuf, steps);
  }

  override encode(object: KubeObject): Buffer {
    const value = super.encode(object);
    this.#own.add(value);
    return value;
  }

  override isOwn(value: Uint8Array): boolean {
    return this.#own.has(value) && super.isOwn(value);
  }

  override isCurrent(value: Uint8Array): boolean {
    return super.isOwn(value);
  }

  override asOwn(value: Uint8Array): Uint8Array {
    if (this.isOwn(value)) return value;
    const object = this.decode(value, 0);
    if (object.apiVersion === apiVersionOf(this.resource)) return this.encode(object);
    throw new Error(`a ${object.kind} of ${object.apiVersion} was not converted before it was shown`);
  }
}

/** Brings an object as stored into today's form, in place. */
function readStored(object: KubeObject, resource: Resource, steps: ReadSteps): void {
  const apiVersion = object.apiVersion ?? '';
  const version = apiVersion.slice(apiVersion.indexOf('/') + 1);
  steps.normalize(version, object);
  if (apiVersion === apiVersionOf(resource) || steps.convertAll) return;
  const converted = steps.convert({ ...object }, { ...resource, version }, resource);
  for (const key of Object.keys(object)) delete (object as unknown as Record<string, unknown>)[key];
  Object.assign(object, converted);
}
