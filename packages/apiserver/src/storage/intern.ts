/** Strings that were seen lately, each kept as the one that all objects share. */
class RecentStrings {
  readonly #limit: number;
  #young = new Map<string, string>();
  #old = new Map<string, string>();

  /** Remembers between `limit` and twice as many. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The one that stands for `text`: an equal string seen before, if there is one. */
  of(text: string): string {
    const known = this.#young.get(text);
    if (known !== undefined) return known;
    const one = this.#old.get(text) ?? text;
    if (this.#young.size >= this.#limit) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(one, one);
    return one;
  }
}

/** Longer ones are rarely equal, and dear to compare. */
const longestChars = 256;
const strings = new RecentStrings(8_192);

/**
 * Freezes an object of plain JSON all the way down, as objects in a cache are, and returns it. Equal strings of all such
 * objects become one: of the strings in the pods of a Deployment three out of four are the same in each of them.
 */
export function freezeInterned<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const item: unknown = value[i];
      if (typeof item === 'string') {
        if (item.length <= longestChars) value[i] = strings.of(item);
      } else freezeInterned(item);
    }
  } else {
    const object = value as Record<string, unknown>;
    for (const key in object) {
      const member = object[key];
      if (typeof member === 'string') {
        if (member.length <= longestChars) object[key] = strings.of(member);
      } else freezeInterned(member);
    }
  }
  return Object.freeze(value);
}
