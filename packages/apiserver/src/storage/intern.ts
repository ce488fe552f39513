/** Values that were seen lately, by a key: between `limit` and twice as many. */
class Lately<K, V> {
  readonly #limit: number;
  #young = new Map<K, V>();
  #old = new Map<K, V>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: K): V | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: K, value: V): void {
    if (this.#young.size >= this.#limit) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }
}

/** A string that stands for all equal ones, and a number of its own. */
interface Known {
  readonly text: string;
  readonly number: number;
}

/** Longer ones are rarely equal, and dear to compare. */
const longestChars = 256;
const strings = new Lately<string, Known>(8_192);
/** By what they hold; of two whose hashes are the same, the later one. */
const objects = new Lately<number, object>(16_384);
let lastNumber = 0;

function known(text: string): Known {
  const found = strings.get(text);
  if (found) return found;
  lastNumber = (lastNumber + 1) | 0;
  const one = { text, number: lastNumber };
  strings.set(text, one);
  return one;
}

/**
 * Of the value that {@link intern} returned last: a hash of what it holds; 0: it is not shared with others, and so is
 * nothing that holds it.
 */
let hash = 0;

const mix = (sum: number, next: number): number => {
  const mixed = Math.imul(sum ^ next, 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
};

/** The value, frozen, or one equal to it that was frozen before. */
function intern(value: unknown): unknown {
  switch (typeof value) {
    case 'string': {
      if (value.length > longestChars) {
        hash = 0;
        return value;
      }
      const { text, number } = known(value);
      hash = mix(1, number) || 1;
      return text;
    }
    case 'number':
      hash = mix(2, Number.isSafeInteger(value) ? value : value * 4_096) || 1;
      return value;
    case 'bigint':
      hash = mix(3, Number(BigInt.asIntN(32, value))) || 1;
      return value;
    case 'boolean':
      hash = value ? 5 : 6;
      return value;
    case 'object':
      if (value === null) hash = 7;
      else if (Object.isFrozen(value)) hash = 0;
      else return Array.isArray(value) ? internItems(value) : internMembers(value as Record<string, unknown>);
      return value;
    default:
      hash = 0;
      return value;
  }
}

function internItems(items: unknown[]): unknown {
  let sum = mix(8, items.length);
  let isShared = true;
  for (let i = 0; i < items.length; i++) {
    const item = items[i];
    const one = intern(item);
    if (one !== item) items[i] = one;
    if (hash === 0) isShared = false;
    sum = mix(sum, hash);
  }
  return isShared ? share(items, sum, equalItems) : alone(items);
}

function internMembers(object: Record<string, unknown>): unknown {
  let sum = 9;
  let isShared = true;
  for (const key in object) {
    const member = object[key];
    const one = intern(member);
    if (one !== member) object[key] = one;
    if (hash === 0) isShared = false;
    sum = mix(mix(sum, hash), key.length * 0x10001 + key.charCodeAt(0));
  }
  return isShared ? share(object, sum, equalMembers) : alone(object);
}

function alone(value: object): object {
  hash = 0;
  return Object.freeze(value);
}

/** What holds the very same as `value` and was seen lately, else `value`. */
function share<T extends object>(value: T, sum: number, equal: (a: T, b: T) => boolean): object {
  const key = sum || 1;
  hash = key;
  const found = objects.get(key);
  if (found && equal(value, found as T)) return found;
  objects.set(key, Object.freeze(value));
  return value;
}

function equalItems(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (!Array.isArray(b) || a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
  return true;
}

/** Members in the same order, so that the one is written as the other. */
function equalMembers(a: Record<string, unknown>, b: Record<string, unknown>): boolean {
  if (Array.isArray(b)) return false;
  const keys = Object.keys(a);
  const others = Object.keys(b);
  if (keys.length !== others.length) return false;
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] as string;
    if (key !== others[i] || !Object.is(a[key], b[key])) return false;
  }
  return true;
}

/**
 * Freezes an object of plain JSON all the way down, as objects in a cache are, and returns it. Equal strings, lists and
 * objects within all such objects become one: the pods of a Deployment differ in their names, addresses and times, and
 * hold the same containers.
 */
export function freezeInterned<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = intern(value[i]);
  } else {
    const object = value as Record<string, unknown>;
    for (const key in object) {
      // Metadata tell objects apart: no two are equal.
      if (key === 'metadata') freezeInterned(object[key]);
      else object[key] = intern(object[key]);
    }
  }
  return Object.freeze(value);
}
