/**
 * Which old value stands for which new one in an update: what has not changed may stay although today's schema would
 * refuse it (KEP-4008; apiserver/pkg/cel/common/equality.go).
 */
import { equalJson } from '../../storage/codec.ts';
import { isJsonObject, type JsonObject } from '@cloudless/kube/codec/json-value';
import { schemaOfMember, type Structural } from './structural.ts';

/** A new value with the old one it came from. */
export class Correlation {
  readonly #value: unknown;
  readonly #old: unknown;
  readonly #schema: Structural;
  #equal: boolean | undefined;
  #byKeys: Map<string, unknown> | undefined;

  constructor(value: unknown, old: unknown, schema: Structural) {
    this.#value = value;
    this.#old = old;
    this.#schema = schema;
  }

  /** The correlation of a member; undefined where it is new or no schema tells of it. */
  key(name: string): Correlation | undefined {
    if (!isJsonObject(this.#value) || !isJsonObject(this.#old)) return undefined;
    if (!Object.hasOwn(this.#value, name) || !Object.hasOwn(this.#old, name)) return undefined;
    const schema = schemaOfMember(this.#schema, name);
    return schema && new Correlation(this.#value[name], this.#old[name], schema);
  }

  /** The correlation of an item: lists of type map are correlated by their keys, others are not. */
  index(i: number): Correlation | undefined {
    const { items, source } = this.#schema;
    if (source['x-kubernetes-list-type'] !== 'map' || !items) return undefined;
    if (!Array.isArray(this.#value) || !Array.isArray(this.#old)) return undefined;
    const item: unknown = this.#value[i];
    if (!isJsonObject(item)) return undefined;
    const names = source['x-kubernetes-list-map-keys'] ?? [];
    this.#byKeys ??= byKeys(this.#old, names);
    const old = this.#byKeys.get(keyText(item, names));
    return old === undefined ? undefined : new Correlation(item, old, items);
  }

  /** Whether nothing changed. */
  get isEqual(): boolean {
    return (this.#equal ??= this.#old !== undefined && equalJson(this.#value, this.#old));
  }
}

const keyText = (item: JsonObject, names: readonly string[]): string =>
  JSON.stringify(names.map((name) => (typeof item[name] === 'bigint' ? String(item[name]) : item[name])));

function byKeys(list: readonly unknown[], names: readonly string[]): Map<string, unknown> {
  const found = new Map<string, unknown>();
  for (const item of list) if (isJsonObject(item)) found.set(keyText(item, names), item);
  return found;
}
