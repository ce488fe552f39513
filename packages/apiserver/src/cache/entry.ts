import { apiVersionOf, type KubeObject, type Resource } from '@cloudless/kube/object';
import type { ManagedFieldsEntry } from '@cloudless/kube/types/meta-v1';
import { deepFreeze, type ObjectCodec } from '../storage/codec.ts';
import { freezeInterned } from '../storage/intern.ts';
import { type ManagedFieldsSource, withManagedFieldsLater } from './later.ts';

/**
 * One object at one revision: its stored bytes, which are its JSON but for the head, and on demand the parsed, frozen
 * object that readers in this process share. The JSON is written from the bytes straight into what goes over the wire:
 * thirty thousand pods are kept once.
 */
export class Entry implements ManagedFieldsSource {
  readonly codec: ObjectCodec;
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  /** mod revision of the key; metadata.resourceVersion. */
  readonly revision: number;
  #value: Uint8Array;
  /** The value is known to be of the form that {@link ObjectCodec.encode} writes. */
  #isOwn = false;
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
    this.#value = stored;
    if (object) {
      const field = Object.getOwnPropertyDescriptor(object.metadata, 'managedFields');
      if (field?.value) codec.recentManagedFields.set(this, field.value as ManagedFieldsEntry[]);
      const hasManagedFields = field !== undefined && ('get' in field || field.value !== undefined);
      this.#object = this.#shared(object, hasManagedFields);
    }
  }

  /** Whether the object stands in the version of `resource`: the stored one, but for old objects that a webhook converts. */
  isIn(resource: Resource): boolean {
    const { codec } = this;
    const isCurrent = codec.resource.group === resource.group && codec.resource.version === resource.version;
    if (!codec.versions?.convertAll) return isCurrent;
    if (codec.isCurrent(this.#value)) return isCurrent;
    return this.object.apiVersion === apiVersionOf(resource);
  }

  /** JSON of the storage version, resourceVersion included, no newline; made anew each time. */
  get json(): Buffer {
    const json = Buffer.allocUnsafe(this.jsonBytes);
    this.writeJson(json, 0);
    return json;
  }

  /** Length of the JSON. */
  get jsonBytes(): number {
    const { codec } = this;
    return codec.jsonHead(this.revision).length + this.#own.length - codec.headBytes;
  }

  /** Writes the JSON into `target` at `at`; returns where it ends. */
  writeJson(target: Buffer, at: number): number {
    return this.#write(this.codec.jsonHead(this.revision), target, at);
  }

  /**
   * Length of the JSON as an item of a list: without apiVersion and kind, as upstream lists built-in kinds, and without
   * the brace that opens it, which list writers put into the separator.
   */
  get itemBytes(): number {
    return this.jsonBytes - this.codec.typeHead.length;
  }

  /** Writes the JSON as an item of a list; returns where it ends. */
  writeItem(target: Buffer, at: number): number {
    const { codec } = this;
    return this.#write(codec.jsonHead(this.revision).slice(codec.typeHead.length), target, at);
  }

  #write(head: string, target: Buffer, at: number): number {
    const { headBytes } = this.codec;
    const value = this.#own;
    const from = at + target.write(head, at, 'latin1');
    target.set(value.subarray(headBytes), from);
    return from + value.length - headBytes;
  }

  /** The stored bytes with the head that JSON is written from; those of a foreign writer are brought into that form. */
  get #own(): Uint8Array {
    if (!this.#isOwn) {
      this.#value = this.codec.asOwn(this.#value);
      this.#isOwn = true;
    }
    return this.#value;
  }

  /** Frozen and shared. */
  get object(): KubeObject {
    if (!this.#object) {
      const { object, hasManagedFields } = this.codec.decodeWithoutManagedFields(this.#value);
      this.#object = this.#shared(freezeInterned(object), hasManagedFields);
    }
    return this.#object;
  }

  #shared(object: KubeObject, hasManagedFields: boolean): KubeObject {
    return withManagedFieldsLater(object, this.revision, hasManagedFields ? this : undefined);
  }

  /** Frozen; the same list for a while. */
  get managedFields(): ManagedFieldsEntry[] | undefined {
    const recent = this.codec.recentManagedFields;
    const known = recent.get(this);
    if (known) return known as ManagedFieldsEntry[];
    const list = this.codec.managedFieldsOf(this.#value);
    if (list) recent.set(this, deepFreeze(list));
    return list;
  }

  /** Bytes held; for the history's budget. */
  get size(): number {
    return this.#value.length;
  }

  /** The same state under another resourceVersion: how the deletion of it is shown. */
  at(revision: number): Entry {
    const { key, namespace, name } = this;
    return new Entry(this.codec, { key, namespace, name, revision }, this.#value, this.#object);
  }
}
