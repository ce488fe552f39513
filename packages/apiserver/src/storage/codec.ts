import { parseJson, stringifyJson } from '@cloudless/kube/codec/json';
import { apiVersionOf, type KubeObject, type Resource } from '@cloudless/kube/object';
import { StatusError } from '@cloudless/kube/status';
import type { ManagedFieldsEntry } from '@cloudless/kube/types/meta-v1';
import { Recent } from './recent.ts';

/** Reads a value that upstream stored as `k8s\0` protobuf; given in, so that its tables load only when met. */
export type ProtobufReader = (value: Uint8Array) => KubeObject;

/**
 * Memory for bytes that live as long as their object. Not from Node's pool: a slice of it keeps the whole pool, and
 * whatever passed through it, in memory.
 */
const retained = (bytes: number): Buffer => Buffer.allocUnsafeSlow(bytes);

/** What opens managedFields where they are metadata's first field, and what follows them there. */
const beforeManaged = '"managedFields":[';
const afterManaged = '],"name":"';

/** Enough for what is written within a second or two. */
const maxRecentLists = 500;
/** How the objects of a custom kind change version; those of built-in kinds do it by the registry's own table. */
export interface VersionConverter {
  /**
   * The object in the version of `to`. Consumes `object`. Throws `ConversionNeeded` where only a webhook knows.
   */
  convert(object: KubeObject, from: Resource, to: Resource): KubeObject;
  /** Set where a webhook converts: the objects, which are in other versions, in that of `to`. */
  readonly convertAll?: (objects: readonly KubeObject[], to: Resource) => Promise<KubeObject[]>;
}

const protobufMagic = Buffer.from('k8s\0');

/**
 * How the objects of one resource stand in the store: JSON of the storage version as upstream's kube-apiserver
 * reads it (apiVersion and kind inside, no resourceVersion, no selfLink), and `k8s\0` protobuf when upstream wrote.
 *
 * Values written here open with a fixed head, `{"apiVersion":"v1","kind":"Pod","metadata":{`. A value with that head
 * needs no parsing on its way out: the resourceVersion is spliced in as metadata's first field. managedFields come first
 * in metadata, and the name right behind them, so that they can be left out of what is parsed.
 */
export class ObjectCodec {
  readonly resource: Resource;
  /** `{"apiVersion":"v1","kind":"Pod",`: how an encoded object begins that its list leaves out. */
  readonly typeHead: Buffer;
  /** managedFields read or written last, by what they belong to: whoever writes an object again finds the same list. */
  readonly recentManagedFields = new Recent<object, readonly ManagedFieldsEntry[]>(maxRecentLists);
  readonly #open: string;
  /** Undefined for built-in kinds. */
  readonly versions: VersionConverter | undefined;
  readonly #head: Buffer;
  readonly #afterRead: (object: KubeObject) => void;
  readonly #readProtobuf: ProtobufReader;

  /** `afterRead` sets the defaults that an older or foreign writer left out. */
  constructor(
    resource: Resource,
    afterRead: (object: KubeObject) => void,
    readProtobuf: ProtobufReader,
    versions?: VersionConverter,
  ) {
    this.resource = resource;
    this.versions = versions;
    this.#afterRead = afterRead;
    this.#readProtobuf = readProtobuf;
    const { kind } = resource;
    const open = JSON.stringify({ apiVersion: apiVersionOf(resource), kind }).slice(0, -1);
    // Lists of custom resources keep the types of their items, as upstream's do.
    this.typeHead = Buffer.from(versions ? '{' : `${open},`);
    this.#open = `${open},"metadata":{`;
    this.#head = Buffer.from(this.#open);
  }

  /** The value to store. Types are those of the storage version, whatever the object says. */
  encode(object: KubeObject): Buffer {
    const { apiVersion: _version, kind: _kind, metadata, ...rest } = object;
    const { resourceVersion: _resourceVersion, selfLink: _selfLink, managedFields, ...others } = metadata;
    const { kind } = this.resource;
    const managed = managedFields === undefined ? undefined : stringifyJson(managedFields);
    // No text within strings can look like it, and fields have other names: but nothing of this shape is left to chance.
    const isFirst = managed !== undefined && others.name !== undefined && !managed.includes(afterManaged);
    const kept = managed === undefined || isFirst ? others : { ...others, managedFields };
    const { name, ...named } = kept;
    const body = stringifyJson({
      apiVersion: apiVersionOf(this.resource),
      kind,
      metadata: name === undefined ? named : { name, ...named },
      ...rest,
    });
    const text = isFirst ? `${this.#open}"managedFields":${managed},${body.slice(this.#open.length)}` : body;
    const value = retained(Buffer.byteLength(text));
    value.write(text);
    return value;
  }

  /** Whether {@link encode} made this value, here or in another process. */
  isOwn(value: Uint8Array): boolean {
    const head = this.#head;
    if (value.length <= head.length) return false;
    for (let i = 0; i < head.length; i++) if (value[i] !== head[i]) return false;
    // An empty metadata has no first field to put a comma before.
    return value[head.length] === 0x22;
  }

  /** Whether a value stands in today's storage version; even an idle update rewrites one that does not. */
  isCurrent(_value: Uint8Array): boolean {
    return true;
  }

  /** The value if {@link encode} made it, else the same object as `encode` writes it. */
  asOwn(value: Uint8Array): Uint8Array {
    return this.isOwn(value) ? value : this.encode(this.#read(value));
  }

  /** What the JSON of a value of our own begins with, instead of the value's first {@link headBytes}: ASCII. */
  jsonHead(revision: number): string {
    return revision === 0 ? this.#open : `${this.#open}"resourceVersion":"${revision}",`;
  }

  get headBytes(): number {
    return this.#head.length;
  }

  /** Where managedFields stand in a value. */
  #managedIn(bytes: Uint8Array): { from: number; to: number } | undefined {
    if (!this.isOwn(bytes)) return undefined;
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const from = this.#head.length;
    if (buffer.toString('latin1', from, from + beforeManaged.length) !== beforeManaged) return undefined;
    const to = buffer.indexOf(afterManaged, from, 'latin1');
    return to < 0 ? undefined : { from, to };
  }

  /** The object of a value without managedFields, and whether it has any. Throws `StatusError` 500 for a corrupt value. */
  decodeWithoutManagedFields(bytes: Uint8Array): { object: KubeObject; hasManagedFields: boolean } {
    const managed = this.#managedIn(bytes);
    if (!managed) {
      const object = this.#read(bytes);
      const hasManagedFields = object.metadata.managedFields !== undefined;
      delete object.metadata.managedFields;
      return { object, hasManagedFields };
    }
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const rest = buffer.toString('utf8', managed.to + '],'.length);
    return { object: this.#read(`${this.#open}${rest}`), hasManagedFields: true };
  }

  /** Only managedFields. */
  managedFieldsOf(bytes: Uint8Array): ManagedFieldsEntry[] | undefined {
    const managed = this.#managedIn(bytes);
    if (!managed) return this.#read(bytes).metadata.managedFields;
    const text = bytes.subarray(managed.from + beforeManaged.length - 1, managed.to + 1);
    return parseJson(text, { maxDepth: Infinity }) as ManagedFieldsEntry[];
  }

  /** The object with its resourceVersion; not frozen. Throws `StatusError` 500 for a corrupt value. */
  decode(value: Uint8Array, revision: number): KubeObject {
    const object = this.#read(value);
    if (revision !== 0) object.metadata.resourceVersion = String(revision);
    return object;
  }

  #read(value: Uint8Array | string): KubeObject {
    let object: KubeObject;
    try {
      object =
        typeof value !== 'string' && isProtobuf(value)
          ? this.#readProtobuf(value)
          : (parseJson(value, { maxDepth: Infinity }) as KubeObject);
      if (typeof object?.metadata?.name !== 'string') throw new Error('no metadata.name');
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new StatusError(
        500,
        'StoreReadError',
        `unable to decode a stored ${this.resource.kind}: ${why}; delete or repair its key in the datastore`,
        undefined,
        cause,
      );
    }
    this.#afterRead(object);
    return object;
  }
}

const isProtobuf = (value: Uint8Array): boolean => protobufMagic.every((byte, i) => value[i] === byte);

/** Freezes an object of plain JSON all the way down and returns it. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const key in value) deepFreeze(value[key]);
  return value;
}

/** A copy of plain JSON that its owner may change; members that are `undefined` are left out. */
export function cloneJson<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  // `map` makes an array of just this length: one that grows item by item has room for seventeen.
  if (Array.isArray(value)) return value.map(cloneJson) as T;
  const copy: Record<string, unknown> = {};
  for (const key in value) if (value[key] !== undefined) copy[key] = cloneJson(value[key]);
  return copy as T;
}

/** Whether two values of plain JSON are equal; an absent field and one that is `undefined` are. */
export function equalJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!equalJson(a[i], b[i])) return false;
    return true;
  }
  if (Array.isArray(b)) return false;
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  for (const key in left) if (!equalJson(left[key], right[key])) return false;
  for (const key in right) {
    if (right[key] === undefined) continue;
    // What every object inherits (`constructor`) is no member of it.
    const other = left[key];
    if (other === undefined || (typeof other === 'function' && !Object.hasOwn(left, key))) return false;
  }
  return true;
}
