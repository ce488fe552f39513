/** JSON → values by a structural schema (apiserver/pkg/cel/common/valuesunstructured.go). */
import { goTypeName } from '@cloudless/kube/codec/json-value';
import { stringifyJson } from '@cloudless/kube/codec/json';
import type { JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';
import { equal } from '../run/compare.ts';
import {
  CelBytes,
  CelDuration,
  CelFailure,
  CelList,
  CelMap,
  CelTimestamp,
  type CelValue,
  fail,
  noSuchOverload,
} from '../run/values.ts';
import { formatValue } from '../run/format.ts';
import { work } from '../run/work.ts';
import { parseApiDuration, parseApiTime, parseFullDate } from './api-time.ts';
import { escapeName, unescapeName } from './escape.ts';
import { type Bind, JsonList, sameJson, source } from './json.ts';
import { itemsOf, valuesOf, withObjectMeta } from './structure.ts';

const binders = new WeakMap<JSONSchemaProps, Bind>();

/** What binds JSON of a schema; made once for each schema. `root`: kind, apiVersion and metadata are known. */
export function binderOf(schema: JSONSchemaProps, root = false): Bind {
  if (root) return nullable(schema, binderOfType(withObjectMeta(schema)));
  let bind = binders.get(schema);
  if (bind === undefined) {
    bind = nullable(
      schema,
      binderOfType(schema['x-kubernetes-embedded-resource'] ? withObjectMeta(schema) : schema),
    );
    binders.set(schema, bind);
  }
  return bind;
}

const unexpectedNull = fail('invalid data, got null for schema with nullable=false');

function nullable(schema: JSONSchemaProps, bind: Bind): Bind {
  const otherwise = schema.nullable ? null : unexpectedNull;
  return (json) => (json === null || json === undefined ? otherwise : bind(json));
}

const wrong = (expected: string, json: unknown): CelFailure =>
  fail(`invalid data, expected ${expected}, got ${goTypeName(json, 'map[string]interface {}')}`);

const integerOf = (json: unknown): bigint | undefined =>
  typeof json === 'bigint'
    ? json
    : typeof json === 'number' && Number.isInteger(json)
      ? BigInt(json)
      : undefined;

function binderOfType(schema: JSONSchemaProps): Bind {
  if (schema['x-kubernetes-int-or-string'])
    return (json) =>
      typeof json === 'string'
        ? json
        : (integerOf(json) ??
          fail('invalid data, expected XIntOrString value to be either a string or integer'));
  switch (schema.type) {
    case 'object':
      return objectBinder(schema);
    case 'array':
      return arrayBinder(schema);
    case 'string':
      return stringBinder(schema);
    case 'number':
      return (json) =>
        typeof json === 'number' ? json : typeof json === 'bigint' ? Number(json) : wrong('float', json);
    case 'integer':
      return (json) => integerOf(json) ?? wrong('int', json);
    case 'boolean':
      return (json) => (typeof json === 'boolean' ? json : wrong('bool', json));
    default:
      return () => fail('invalid type: values preserved by x-kubernetes-preserve-unknown-fields have none');
  }
}

function stringBinder({ format }: JSONSchemaProps): Bind {
  const read = format === undefined ? undefined : formats.get(format);
  return (json) => {
    if (typeof json !== 'string') return wrong('string', json);
    return read === undefined ? json : read(json);
  };
}

const formats: ReadonlyMap<string, (text: string) => CelValue> = new Map(
  Object.entries<(text: string) => CelValue>({
    duration: (text) => {
      const nanoseconds = parseApiDuration(text);
      return nanoseconds === undefined
        ? fail(`Invalid duration ${text}: unable to parse ${text} as duration`)
        : new CelDuration(nanoseconds);
    },
    date: (text) => {
      const nanoseconds = parseFullDate(text);
      return nanoseconds === undefined
        ? fail(`Invalid date formatted string ${text}: cannot parse`)
        : new CelTimestamp(nanoseconds);
    },
    'date-time': (text) => {
      const time = parseApiTime(text);
      return time === undefined
        ? fail(`Invalid date-time formatted string ${text}: cannot parse`)
        : new CelTimestamp(time.nanoseconds, time.offsetSeconds);
    },
    byte: (text) => {
      const bytes = Buffer.from(text, 'base64');
      return /^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(text)
        ? new CelBytes(bytes)
        : fail(`Invalid byte formatted string ${text}: illegal base64 data`);
    },
  }),
);

function objectBinder(schema: JSONSchemaProps): Bind {
  const values = valuesOf(schema);
  const fields = schema.properties !== undefined || schema['x-kubernetes-embedded-resource'] === true;
  const properties = schema.properties ?? {};
  const bindOf = (name: string): Bind | undefined => {
    if (fields)
      return Object.hasOwn(properties, name) ? binderOf(properties[name] as JSONSchemaProps) : undefined;
    return values === undefined ? undefined : binderOf(values);
  };
  const shape: Shape = { isObject: schema.properties !== undefined, bindOf };
  return (json) =>
    typeof json === 'object' && json !== null && !Array.isArray(json)
      ? new SchemaObject(json as Record<string, unknown>, shape)
      : fail('invalid data, expected a map for the provided schema with type=object');
}

interface Shape {
  /** Keys are names of fields, which may be escaped. */
  readonly isObject: boolean;
  readonly bindOf: (name: string) => Bind | undefined;
}

/** An object or map of a schema. What the schema does not name cannot be read, but counts in size and equality. */
class SchemaObject extends CelMap {
  readonly [source]: Readonly<Record<string, unknown>>;
  readonly #shape: Shape;

  constructor(value: Readonly<Record<string, unknown>>, shape: Shape) {
    super();
    this[source] = value;
    this.#shape = shape;
  }

  override get size(): number {
    return Object.keys(this[source]).length;
  }

  override find(key: CelValue): CelValue | undefined {
    if (typeof key !== 'string') return noSuchOverload;
    const name = this.#shape.isObject ? unescapeName(key) : key;
    if (name === undefined || !Object.hasOwn(this[source], name)) return undefined;
    const json = this[source][name];
    if (json === undefined || (json === null && this.#shape.isObject)) return undefined;
    return this.#shape.bindOf(name)?.(json);
  }

  override *keys(): IterableIterator<CelValue> {
    for (const name of Object.keys(this[source])) {
      if (this.#shape.bindOf(name) === undefined) continue;
      yield this.#shape.isObject ? (escapeName(name) ?? name) : name;
    }
  }

  override equals(other: CelMap): boolean | CelFailure {
    if (this.size !== other.size) return false;
    for (const [name, json] of Object.entries(this[source])) {
      work(1);
      const same =
        this.#shape.bindOf(name) === undefined ? sameHidden(name, json, other) : this.#sameField(name, other);
      if (same !== true) return same;
    }
    return true;
  }

  #sameField(name: string, other: CelMap): boolean | CelFailure {
    const mine = this.find(name);
    const its = other.find(name);
    if (mine === undefined || its === undefined) return mine === its;
    return equal(mine, its);
  }
}

/** Fields that no schema names are equal where the other object has none. */
function sameHidden(name: string, json: unknown, other: CelMap): boolean | CelFailure {
  if (!(other instanceof SchemaObject)) return noSuchOverload;
  return !Object.hasOwn(other[source], name) || sameJson(json, other[source][name]);
}

function arrayBinder(schema: JSONSchemaProps): Bind {
  const items = itemsOf(schema);
  if (items === undefined) return () => fail('invalid array type, expected Items with a non-empty Schema');
  let bindItem: Bind | undefined;
  const bind: Bind = (json) => {
    bindItem ??= binderOf(items);
    return bindItem(json);
  };
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  const make: Readonly<Record<string, (elements: readonly unknown[]) => CelList>> = {
    map: (elements) => new KeyedList(elements, bind, (json) => keyText(json, keys)),
    set: (elements) => new KeyedList(elements, bind, scalarText, true),
  };
  const create = make[schema['x-kubernetes-list-type'] ?? ''] ?? ((elements) => new JsonList(elements, bind));
  return (json) =>
    Array.isArray(json)
      ? create(json)
      : fail('invalid data, expected an array for the provided schema with type=array');
}

const scalarText = (json: unknown): string => stringifyJson(json);

function keyText(json: unknown, keys: readonly string[]): string {
  if (typeof json !== 'object' || json === null) return scalarText(json);
  return keys.map((key) => scalarText((json as Record<string, unknown>)[key])).join('\0');
}

/** The JSON of a value, as far as keys and members of sets need it. */
function sourceOf(value: CelValue): unknown {
  if (typeof value === 'object' && value !== null && source in value) return value[source];
  if (value instanceof CelMap)
    return Object.fromEntries(
      [...value.keys()].map((key) => [formatValue(key), sourceOf(value.find(key) ?? null)]),
    );
  return typeof value === 'bigint' ? Number(value) : value;
}

/** A set, or a list whose elements have keys: their order plays no part in equality, and `+` merges. */
class KeyedList extends JsonList {
  readonly #bindElement: Bind;
  readonly #keyOf: (json: unknown) => string;
  readonly #set: boolean;
  #byKey: Map<string, unknown> | undefined;

  constructor(elements: readonly unknown[], bind: Bind, keyOf: (json: unknown) => string, set = false) {
    super(elements, bind);
    this.#bindElement = bind;
    this.#keyOf = keyOf;
    this.#set = set;
  }

  get #elements(): Map<string, unknown> {
    if (this.#byKey === undefined) {
      work(this.size);
      this.#byKey = new Map(this[source].map((json) => [this.#keyOf(json), json]));
    }
    return this.#byKey;
  }

  override equals(other: CelList): boolean | CelFailure {
    if (this.size !== other.size) return false;
    for (const value of other) {
      work(1);
      const json = sourceOf(value);
      const key = this.#keyOf(json);
      if (!this.#elements.has(key)) return false;
      if (this.#set) continue;
      const same = equal(this.#bindElement(this.#elements.get(key)), value);
      if (same !== true) return same;
    }
    return true;
  }

  override concat(other: CelList): CelList {
    work(this.size + other.size);
    const merged = new Map(this.#elements);
    for (const value of other) {
      const json = sourceOf(value);
      const key = this.#keyOf(json);
      if (!this.#set || !merged.has(key)) merged.set(key, json);
    }
    return new KeyedList([...merged.values()], this.#bindElement, this.#keyOf, this.#set);
  }
}
