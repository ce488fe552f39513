/**
 * How values merge: what is one piece, what is merged by member or item. A type may be several things at once
 * (`int-or-string`, free form); the value then says which. Upstream: structured-merge-diff v6, schema/elements.go.
 */
import { compareTexts, goQuote, isList, isMap } from './value.ts';
import { fieldElement, type PathElement, valueElement } from './path-element.ts';
import { canonicalJson, quote } from './value.ts';

export type ScalarType = 'numeric' | 'string' | 'boolean' | 'untyped';

export interface MergeType {
  readonly scalar?: ScalarType | undefined;
  readonly list?: ListType | undefined;
  readonly map?: MapType | undefined;
}

export interface MapField {
  /** `f:NAME`. */
  readonly element: PathElement;
  readonly type: MergeType;
  /** Of the key of a list-map's items. */
  readonly default: unknown;
}

export interface MapType {
  readonly fields: ReadonlyMap<string, MapField>;
  /** Type of members that `fields` does not name; undefined: there are none. */
  readonly element: MergeType | undefined;
  /** One piece, whoever changes any part of it. */
  readonly atomic: boolean;
  /** Nothing is known of it but its values. */
  readonly deduced?: boolean;
}

/** A list is one piece (atomic), a set of scalars (no keys), or a map of its items by keys. */
export class ListType {
  readonly atomic: boolean;
  readonly keys: readonly string[];
  readonly #element: () => MergeType;
  #resolved: MergeType | undefined;
  readonly #sorted: ReadonlyArray<{ name: string; head: string }>;

  constructor(element: () => MergeType, relation: 'atomic' | 'associative', keys: readonly string[] = []) {
    this.#element = element;
    this.atomic = relation === 'atomic';
    this.keys = keys;
    this.#sorted = [...keys].sort(compareTexts).map((name) => ({ name, head: `${quote(name)}:` }));
  }

  get element(): MergeType {
    return (this.#resolved ??= this.#element());
  }

  /** The path element of an item; throws ListItemError for one that cannot be told from others. */
  elementOf(item: unknown): PathElement {
    if (this.atomic) throw new ListItemError('invalid indexing of non-associative list');
    return this.keys.length > 0 ? this.#keyed(item) : setElement(item);
  }

  /** The same; an item without an identity, which a merge may leave for a moment, has the empty element. */
  elementOrNone(item: unknown): PathElement {
    try {
      return this.elementOf(item);
    } catch (error) {
      if (error instanceof ListItemError) return '';
      throw error;
    }
  }

  #keyed(item: unknown): PathElement {
    if (item === null || item === undefined) {
      throw new ListItemError('associative list with keys may not have a null element');
    }
    if (!isMap(item)) throw new ListItemError('associative list with keys may not have non-map elements');
    let text = '';
    for (const { name, head } of this.#sorted) {
      const value = item[name] === undefined ? this.element.map?.fields.get(name)?.default : item[name];
      if (value === undefined) continue;
      text += `${text === '' ? '' : ','}${head}${typeof value === 'string' ? quote(value) : canonicalJson(value)}`;
    }
    if (text === '') {
      throw new ListItemError(
        `associative list with keys has an element that omits all key fields [${this.keys.map(goQuote).join(' ')}] (and doesn't have default values for any key fields)`,
      );
    }
    return `k:{${text}}`;
  }
}

function setElement(item: unknown): PathElement {
  if (isMap(item)) {
    throw new ListItemError("associative list without keys has an element that's a map type");
  }
  if (isList(item)) {
    throw new ListItemError('not supported: associative list with lists as elements');
  }
  if (item === null || item === undefined) {
    throw new ListItemError("associative list without keys has an element that's an explicit null");
  }
  return valueElement(item);
}

/** An item of a list-map or set that has no identity. */
export class ListItemError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ListItemError';
  }
}

/** A member whose type is made when it is first asked for: types may contain themselves. */
export class LazyField implements MapField {
  readonly element: PathElement;
  readonly default: unknown;
  readonly #make: () => MergeType;
  #type: MergeType | undefined;

  constructor(name: string, make: () => MergeType, defaultValue: unknown) {
    this.element = fieldElement(name);
    this.#make = make;
    this.default = defaultValue;
  }

  get type(): MergeType {
    return (this.#type ??= this.#make());
  }
}

const noFields: ReadonlyMap<string, MapField> = new Map();

/** Anything, as one piece. */
export const untypedAtomic: MergeType = {
  scalar: 'untyped',
  list: new ListType(() => untypedAtomic, 'atomic'),
  map: {
    fields: noFields,
    get element() {
      return untypedAtomic;
    },
    atomic: true,
  },
};

/** Anything: maps by member, lists as one piece. What objects without a schema merge by. */
export const deducedType: MergeType = {
  scalar: 'untyped',
  list: new ListType(() => untypedAtomic, 'atomic'),
  map: {
    fields: noFields,
    get element() {
      return deducedType;
    },
    atomic: false,
    deduced: true,
  },
};

/** Which of its forms a type takes. */
export type Form = 'map' | 'scalar' | 'list';

/** The form that a value takes; where it fits none, and for null, the first one that the type has. */
export function formOf(type: MergeType, value: unknown): Form {
  if (value !== null && value !== undefined) {
    if (typeof value !== 'object') {
      if (type.scalar) return 'scalar';
    } else if (isList(value)) {
      if (type.list) return 'list';
    } else if (type.map) return 'map';
  }
  return type.map ? 'map' : type.scalar ? 'scalar' : 'list';
}

/** The type of a map's member; undefined for one that the type does not know. */
export const memberType = (map: MapType, name: string): MergeType | undefined =>
  map.fields.get(name)?.type ?? map.element;
