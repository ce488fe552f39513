import type { StructSchema, TypeSchema } from '../../packages/kube/src/schema/schema.ts';

/** One change of a valid object. */
export interface Mutation {
  /** `spec.replicas := -1`. */
  readonly name: string;
  /** Keys and indexes to the value. */
  readonly path: ReadonlyArray<string | number>;
  readonly object: Record<string, unknown>;
}

type Path = ReadonlyArray<string | number>;
type Json = Record<string | number, unknown>;

const remove = Symbol('remove');
const longText = 'a'.repeat(300);

/** A copy of `object` with the value at `path` set or removed. */
function withValue(object: Json, path: Path, value: unknown): Record<string, unknown> {
  const copy = structuredClone(object);
  let place: Json = copy;
  for (const key of path.slice(0, -1)) place = place[key] as Json;
  const last = path.at(-1) as string | number;
  if (value !== remove) place[last] = structuredClone(value);
  else if (Array.isArray(place)) place.splice(last as number, 1);
  else delete place[last];
  return copy;
}

/** A small value of a type, its structs filled to `depth`. */
export function someValue(type: TypeSchema, depth: number): unknown {
  switch (type.kind) {
    case 'string':
      return type.enum?.[0] ?? 'x';
    case 'int32':
    case 'int64':
    case 'float64':
      return 1;
    case 'bool':
      return true;
    case 'bytes':
      return 'eA==';
    case 'quantity':
      return '1';
    case 'time':
      return '2026-01-01T00:00:00Z';
    case 'microTime':
      return '2026-01-01T00:00:00.000000Z';
    case 'intOrString':
      return 1;
    case 'list':
      return [someValue(type.items, depth)];
    case 'map':
      return { x: someValue(type.values, depth) };
    case 'struct':
      return depth > 0 ? filled(type.struct, depth - 1) : {};
    default:
      return {};
  }
}

/** Every field of a struct set to a small value, nested ones to `depth`. */
export function filled(struct: StructSchema, depth: number): Record<string, unknown> {
  const fields = [...struct.fields.values()].filter((field) => field.name !== 'managedFields');
  return Object.fromEntries(fields.map(({ name, type }) => [name, someValue(type, depth)]));
}

/** Values that a scalar of this type should be tried with, each with the word for it. */
function scalarValues(type: TypeSchema, value: unknown): Array<[string, unknown]> {
  switch (type.kind) {
    case 'string':
      return [
        ['""', ''],
        ['number', 5],
        ['bad name', 'Bad_Name!'],
        ['long', longText],
        ['with dash', `${String(value)}-`],
        ['other', `${String(value)}x`],
        ...(type.enum ?? []).filter((each) => each !== value).map((each): [string, unknown] => [each, each]),
      ];
    case 'int32':
    case 'int64':
      return [
        ['0', 0],
        ['-1', -1],
        ['1', 1],
        ['2147483647', 2147483647],
        ['text', 'text'],
        ['1.5', 1.5],
        ['next', Number(value) + 1],
      ];
    case 'float64':
      return [
        ['0', 0],
        ['-1', -1],
        ['text', 'text'],
      ];
    case 'bool':
      return [
        ['not', value !== true],
        ['text', 'true'],
      ];
    case 'quantity':
      return [
        ['-1', '-1'],
        ['0', '0'],
        ['bad', 'one'],
        ['1.5', '1.5'],
        ['next', '7'],
      ];
    case 'intOrString':
      return [
        ['0', 0],
        ['-1', -1],
        ['10%', '10%'],
        ['101%', '101%'],
        ['bad', 'Bad_Port!'],
        ['65536', 65536],
      ];
    case 'time':
    case 'microTime':
      return [
        ['bad', 'yesterday'],
        ['number', 5],
        ['other', '2030-01-01T00:00:00Z'],
      ];
    case 'bytes':
      return [
        ['bad', '%%%'],
        ['""', ''],
        ['other', 'eHg='],
      ];
    default:
      return [
        ['text', 'text'],
        ['number', 5],
      ];
  }
}

const describe = (path: Path): string =>
  path.map((key, i) => (typeof key === 'number' ? `[${key}]` : i === 0 ? key : `.${key}`)).join('');

class Mutator {
  readonly #whole: Json;
  readonly out: Mutation[] = [];

  constructor(whole: Json) {
    this.#whole = whole;
  }

  #add(path: Path, word: string, value: unknown): void {
    this.out.push({
      name: `${describe(path)} ${word}`,
      path,
      object: withValue(this.#whole, path, value),
    });
  }

  struct(struct: StructSchema, value: Json, path: Path): void {
    this.#add([...path, 'unknownField'], 'added', 'x');
    for (const field of struct.fields.values()) {
      const at = [...path, field.name];
      const member = value[field.name];
      if (member === undefined) this.#absent(field.type, at);
      else this.#present(field.type, member, at);
    }
  }

  /** Not in the sample: added small, empty and, for numbers, negative. */
  #absent(type: TypeSchema, at: Path): void {
    this.#add(at, 'added', someValue(type, 1));
    if (type.kind === 'struct') this.#add(at, 'added {}', {});
    else if (type.kind === 'list') this.#add(at, 'added []', []);
    else if (type.kind === 'string')
      for (const each of type.enum ?? ['Bad_Name!']) this.#add(at, `added ${each}`, each);
    else for (const [word, each] of scalarValues(type, 1).slice(0, 3)) this.#add(at, `added ${word}`, each);
  }

  #present(type: TypeSchema, value: unknown, at: Path): void {
    this.#add(at, 'removed', remove);
    this.#add(at, 'null', null);
    if (type.kind === 'struct') {
      this.#add(at, '{}', {});
      this.#add(at, 'text', 'text');
      this.struct(type.struct, value as Json, at);
    } else if (type.kind === 'list') {
      const items = value as unknown[];
      this.#add(at, '[]', []);
      this.#add(at, '{}', {});
      if (items.length > 0) this.#add(at, 'first twice', [...items, items[0]]);
      if (items.length > 1) this.#add(at, 'turned', items.toReversed());
      for (const [i, item] of items.entries()) this.#item(type.items, item, [...at, i]);
    } else if (type.kind === 'map') {
      this.#add(at, '{}', {});
      this.#add([...at, 'Bad Key!'], 'added', someValue(type.values, 1));
      this.#add([...at, `example.com/${longText}`], 'added', someValue(type.values, 1));
      for (const [key, item] of Object.entries(value as Json)) this.#item(type.values, item, [...at, key]);
    } else {
      for (const [word, each] of scalarValues(type, value)) this.#add(at, word, each);
    }
  }

  #item(type: TypeSchema, value: unknown, at: Path): void {
    this.#add(at, 'removed', remove);
    if (type.kind === 'struct') {
      this.#add(at, '{}', {});
      this.struct(type.struct, value as Json, at);
    } else if (type.kind === 'list' || type.kind === 'map') this.#present(type, value, at);
    else for (const [word, each] of scalarValues(type, value)) this.#add(at, word, each);
  }
}

const metadataWanted = new Set([
  'name',
  'generateName',
  'namespace',
  'labels',
  'annotations',
  'finalizers',
  'ownerReferences',
  'uid',
  'generation',
  'deletionTimestamp',
  'creationTimestamp',
]);

/** Every mutation of a valid object of a kind, in the order of its fields; deterministic. */
export function mutationsOf(struct: StructSchema, object: Record<string, unknown>): Mutation[] {
  const mutator = new Mutator(object);
  mutator.struct(struct, object, []);
  return mutator.out.filter(({ path }) => {
    if (path[0] === 'apiVersion' || path[0] === 'kind') return path.length === 1;
    if (path[0] === 'status') return false;
    return path[0] !== 'metadata' || path.length === 1 || metadataWanted.has(String(path[1]));
  });
}

/** As {@link mutationsOf}, of nothing but the status. */
export function statusMutationsOf(struct: StructSchema, object: Record<string, unknown>): Mutation[] {
  const mutator = new Mutator(object);
  mutator.struct(struct, object, []);
  return mutator.out.filter(({ path }) => path[0] === 'status');
}
