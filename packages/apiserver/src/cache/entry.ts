import type { KubeObject } from '@cloudless/kube/object';
import type { ManagedFieldsEntry } from '@cloudless/kube/types/meta-v1';
import { deepFreeze, type ObjectCodec } from '../storage/codec.ts';
import { type ManagedFieldsSource, withManagedFieldsLater } from './later.ts';

/**
 * One object at one revision: its stored bytes, and on demand the JSON that goes over the wire and the parsed,
 * frozen object that readers in this process share. Each is made at most once.
 */
export class Entry implements ManagedFieldsSource {
  readonly codec: ObjectCodec;
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  /** mod revision of the key; metadata.resourceVersion. */
  readonly revision: number;
  /** Either the value as stored, or (once `#encoded`) the JSON with its resourceVersion. */
  #bytes: Uint8Array;
  #encoded = false;
  #object: KubeObject | undefined;

  /** `object`: what `stored` says, of any revision, frozen below its metadata. */
  constructor(
    codec: ObjectCodec,
    at: { key: string; namespace: string; name: string; revision: number },
    stored: Uint8Array,
    object?: KubeObject,
  ) {
    this.codec = codec;
    this.key = at.key;
    this.namespace = at.namespace;
    this.name = at.name;
    this.revision = at.revision;
    this.#bytes = stored;
    if (object) {
      const field = Object.getOwnPropertyDescriptor(object.metadata, 'managedFields');
      if (field?.value) codec.recentManagedFields.set(this, field.value as ManagedFieldsEntry[]);
      const hasManagedFields = field !== undefined && ('get' in field || field.value !== undefined);
      this.#object = this.#shared(object, hasManagedFields);
    }
  }

  /** JSON of the storage version, resourceVersion included, no newline. */
  get json(): Buffer {
    if (!this.#encoded) {
      this.#bytes = this.codec.toJson(this.#bytes, this.revision);
      this.#encoded = true;
    }
    return this.#bytes as Buffer;
  }

  /** The JSON as an item of a list: without apiVersion and kind, as upstream lists built-in kinds. */
  get itemJson(): Buffer {
    // All but the brace that opens it, which list writers put into the separator.
    return this.json.subarray(this.codec.typeHead.length);
  }

  /** Frozen and shared. */
  get object(): KubeObject {
    if (!this.#object) {
      const { object, hasManagedFields } = this.codec.decodeWithoutManagedFields(this.#bytes, this.#spliced);
      this.#object = this.#shared(deepFreeze(object), hasManagedFields);
    }
    return this.#object;
  }

  #shared(object: KubeObject, hasManagedFields: boolean): KubeObject {
    return withManagedFieldsLater(object, this.revision, hasManagedFields ? this : undefined);
  }

  /** Revision whose field stands in the bytes; 0: they are the value as stored. */
  get #spliced(): number {
    return this.#encoded ? this.revision : 0;
  }

  /** Frozen; the same list for a while. */
  get managedFields(): ManagedFieldsEntry[] | undefined {
    const recent = this.codec.recentManagedFields;
    const known = recent.get(this);
    if (known) return known as ManagedFieldsEntry[];
    const list = this.codec.managedFieldsOf(this.#bytes, this.#spliced);
    if (list) recent.set(this, deepFreeze(list));
    return list;
  }

  /** Bytes held for the encoded forms; for the history's budget. */
  get size(): number {
    return this.#bytes.length;
  }

  /** The same state under another resourceVersion: how the deletion of it is shown. */
  at(revision: number): Entry {
    const stored = this.#encoded ? this.codec.fromJson(this.#bytes as Buffer, this.revision) : this.#bytes;
    return new Entry(
      this.codec,
      { key: this.key, namespace: this.namespace, name: this.name, revision },
      stored,
      this.#object,
    );
  }
}
