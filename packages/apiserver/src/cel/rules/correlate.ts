/** What of an object was there before an update (apiserver/pkg/cel/common/equality.go, maplist.go). */
import { isJsonObject } from '@cloudless/kube/codec/json-value';
import { isDeepStrictEqual } from 'node:util';
import { stringifyJson } from '@cloudless/kube/codec/json';
import type { JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';
import { itemsOf, valuesOf } from '../schema/structure.ts';

/** The key of an element of a list of type map; undefined for one that has none. */
function keyOf(element: unknown, keys: readonly string[]): string | undefined {
  if (!isJsonObject(element)) return undefined;
  let text = '';
  for (const key of keys) {
    const value = element[key];
    if (value === undefined || value === null || typeof value === 'object') return undefined;
    text += `\0${stringifyJson(value)}`;
  }
  return text;
}

/** Finds old elements of a list by the keys of new ones; only lists of type map have such. */
export class OldElements {
  readonly #keys: readonly string[];
  readonly #elements: readonly unknown[];
  #byKey: Map<string, unknown> | undefined;

  constructor(schema: JSONSchemaProps, old: unknown) {
    const keyed = schema['x-kubernetes-list-type'] === 'map';
    this.#keys = keyed ? (schema['x-kubernetes-list-map-keys'] ?? []) : [];
    this.#elements = this.#keys.length > 0 && Array.isArray(old) ? old : [];
  }

  /** The old element with the key of a new one. */
  find(element: unknown): unknown {
    if (this.#elements.length === 0) return undefined;
    const key = keyOf(element, this.#keys);
    if (key === undefined) return undefined;
    if (this.#byKey === undefined) {
      this.#byKey = new Map();
      for (const old of this.#elements) {
        const oldKey = keyOf(old, this.#keys);
        if (oldKey !== undefined && !this.#byKey.has(oldKey)) this.#byKey.set(oldKey, old);
      }
    }
    return this.#byKey.get(key);
  }
}

/** A value and the one that it was before, with what their schema says about their parts. */
export class Correlated {
  readonly #value: unknown;
  readonly #old: unknown;
  readonly #schema: JSONSchemaProps;
  readonly #children = new Map<string | number, Correlated | undefined>();
  #elements: OldElements | undefined;
  #unchanged: boolean | undefined;

  constructor(value: unknown, old: unknown, schema: JSONSchemaProps) {
    this.#value = value;
    this.#old = old;
    this.#schema = schema;
  }

  /** A field or entry that both have. */
  key(name: string): Correlated | undefined {
    if (!this.#children.has(name)) this.#children.set(name, this.#keyed(name));
    return this.#children.get(name);
  }

  #keyed(name: string): Correlated | undefined {
    if (!isJsonObject(this.#value) || !isJsonObject(this.#old)) return undefined;
    if (!Object.hasOwn(this.#value, name) || !Object.hasOwn(this.#old, name)) return undefined;
    const { properties } = this.#schema;
    const schema =
      properties !== undefined && Object.hasOwn(properties, name) ? properties[name] : valuesOf(this.#schema);
    return schema && new Correlated(this.#value[name], this.#old[name], schema);
  }

  /** An element that was there before, as far as that can be told. */
  index(i: number): Correlated | undefined {
    if (!this.#children.has(i)) this.#children.set(i, this.#indexed(i));
    return this.#children.get(i);
  }

  #indexed(i: number): Correlated | undefined {
    const items = itemsOf(this.#schema);
    if (!Array.isArray(this.#value) || items === undefined) return undefined;
    this.#elements ??= new OldElements(this.#schema, this.#old);
    const element: unknown = this.#value[i];
    const old = this.#elements.find(element);
    return old === undefined ? undefined : new Correlated(element, old, items);
  }

  /** Whether the value is what it was; elements of lists of type map may have changed places. */
  get unchanged(): boolean {
    this.#unchanged ??= this.#compare();
    return this.#unchanged;
  }

  #compare(): boolean {
    const value = this.#value;
    const old = this.#old;
    if (Array.isArray(value) && Array.isArray(old)) {
      if (this.#schema['x-kubernetes-list-type'] !== 'map') return isDeepStrictEqual(value, old);
      return value.length === old.length && value.every((_element, i) => this.index(i)?.unchanged ?? false);
    }
    if (isJsonObject(value) && isJsonObject(old)) {
      const names = Object.keys(value);
      return (
        names.length === Object.keys(old).length && names.every((name) => this.key(name)?.unchanged ?? false)
      );
    }
    return isDeepStrictEqual(value ?? null, old ?? null);
  }
}
