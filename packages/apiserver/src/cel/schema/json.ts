/** Plain JSON as CEL values, without a schema: integers are int, other numbers double. */
import { isJsonObject } from '@cloudless/kube/codec/json-value';
import {
  CelBytes,
  CelDuration,
  CelFailure,
  CelList,
  CelMap,
  CelMessage,
  CelOpaque,
  CelOptional,
  CelTimestamp,
  CelTypeValue,
  CelUint,
  type CelValue,
  fail,
  noSuchOverload,
} from '../run/values.ts';
import { work } from '../run/work.ts';
import { formatDuration, formatTimestamp, formatValue } from '../run/format.ts';

export type Bind = (json: unknown) => CelValue;

/** The JSON behind a bound value; for comparisons of what no schema describes. */
export const source: unique symbol = Symbol('source');

/** A list over a JSON array; elements are bound when they are read. */
export class JsonList extends CelList {
  readonly [source]: readonly unknown[];
  readonly #bind: Bind;

  constructor(elements: readonly unknown[], bind: Bind) {
    super();
    this[source] = elements;
    this.#bind = bind;
  }

  override get size(): number {
    return this[source].length;
  }

  override at(index: number): CelValue {
    return this.#bind(this[source][index]);
  }
}

/** A map over a JSON object. */
export class JsonMap extends CelMap {
  readonly [source]: Readonly<Record<string, unknown>>;
  readonly #bind: Bind;

  constructor(entries: Readonly<Record<string, unknown>>, bind: Bind) {
    super();
    this[source] = entries;
    this.#bind = bind;
  }

  override get size(): number {
    return Object.keys(this[source]).length;
  }

  override find(key: CelValue): CelValue | undefined {
    if (typeof key !== 'string') return undefined;
    return Object.hasOwn(this[source], key) ? this.#bind(this[source][key]) : undefined;
  }

  override keys(): Iterable<CelValue> {
    return Object.keys(this[source]);
  }
}

const isCelObject = (value: object): value is CelValue & object =>
  value instanceof CelList ||
  value instanceof CelMap ||
  value instanceof CelOpaque ||
  value instanceof CelMessage ||
  value instanceof CelUint ||
  value instanceof CelBytes ||
  value instanceof CelTimestamp ||
  value instanceof CelDuration ||
  value instanceof CelOptional ||
  value instanceof CelTypeValue ||
  value instanceof CelFailure;

/** Any JSON, and values that are CEL's already. */
export function bindAny(json: unknown): CelValue {
  switch (typeof json) {
    case 'string':
    case 'boolean':
    case 'bigint':
      return json;
    case 'number':
      return Number.isSafeInteger(json) ? BigInt(json) : json;
    default:
      if (json === null || json === undefined) return null;
      if (Array.isArray(json)) return new JsonList(json, bindAny);
      if (isCelObject(json)) return json;
      return isJsonObject(json) ? new JsonMap(json, bindAny) : noSuchOverload;
  }
}

/** Whether two JSON values are the same. */
export function sameJson(a: unknown, b: unknown): boolean {
  work(1);
  if (a === b) return true;
  if (Array.isArray(a))
    return Array.isArray(b) && a.length === b.length && a.every((value, i) => sameJson(value, b[i]));
  if (!isJsonObject(a) || !isJsonObject(b) || Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && sameJson(a[key], b[key]))
  );
}

const maxSafe = BigInt(Number.MAX_SAFE_INTEGER);

/** A value as JSON, as far as it has one: for audit annotations and parameters of other parts. */
export function toJson(value: CelValue): unknown {
  if (value === null || typeof value !== 'object')
    return typeof value === 'bigint' && value <= maxSafe && value >= -maxSafe ? Number(value) : value;
  if (value instanceof CelList) return [...value].map(toJson);
  if (value instanceof CelMap)
    return Object.fromEntries(
      [...value.keys()].map((key) => [formatValue(key), toJson(value.find(key) ?? null)]),
    );
  if (value instanceof CelMessage)
    return Object.fromEntries([...value.fields].map(([field, inner]) => [field, toJson(inner)]));
  if (value instanceof CelUint) return toJson(value.value);
  if (value instanceof CelBytes) return Buffer.from(value.bytes).toString('base64');
  if (value instanceof CelTimestamp) return formatTimestamp(value);
  if (value instanceof CelDuration) return formatDuration(value);
  if (value instanceof CelOptional) return value.value === undefined ? null : toJson(value.value);
  if (value instanceof CelTypeValue) return value.name;
  return value instanceof CelOpaque ? (value.text() ?? value.typeName) : fail('no JSON').message;
}
