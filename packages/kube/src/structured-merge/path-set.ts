import { fieldElement, fieldName, isKey, type PathElement, sortElements } from './path-element.ts';
import type { MergeType } from './merge-type.ts';

const none: readonly never[] = Object.freeze([]);

/** From this size on, elements are looked up in an index; most sets are small, and a list is a fraction of a Set. */
const indexedSize = 16;

/**
 * A set of paths into an object, as a tree (structured-merge-diff v6, fieldpath/set.go): `members` are the paths
 * that end here, `inner` lead further down. A path and one that goes through it are different members.
 *
 * Built by the `add…` methods, and not changed after that: the operations give new sets, which share what did not
 * change, and the very same set where nothing did. Elements are in no particular order.
 */
export class PathSet {
  #members: PathElement[] | undefined;
  #memberIndex: Set<PathElement> | undefined;
  #inner: PathElement[] | undefined;
  /** Of each element of `#inner`, in the same place. */
  #children: PathSet[] | undefined;
  #childIndex: Map<PathElement, PathSet> | undefined;

  static readonly empty = new PathSet();

  /** Of field names: `PathSet.of(['metadata', 'name'], ['status'])`. */
  static of(...paths: ReadonlyArray<readonly string[]>): PathSet {
    const set = new PathSet();
    for (const path of paths) set.addPath(path.map(fieldElement));
    return set;
  }

  /** Elements of the paths that end here. */
  get members(): readonly PathElement[] {
    return this.#members ?? none;
  }

  /** Elements under which there are further paths. */
  get inner(): readonly PathElement[] {
    return this.#inner ?? none;
  }

  get isEmpty(): boolean {
    return this.#members === undefined && this.#inner === undefined;
  }

  get size(): number {
    let size = this.members.length;
    for (const child of this.#children ?? none) size += child.size;
    return size;
  }

  hasMember(element: PathElement): boolean {
    const members = this.#members;
    if (!members) return false;
    if (members.length < indexedSize) return members.includes(element);
    return (this.#memberIndex ??= new Set(members)).has(element);
  }

  /** The paths below `element`; undefined: there are none. */
  child(element: PathElement): PathSet | undefined {
    const inner = this.#inner;
    if (!inner) return undefined;
    const children = this.#children as PathSet[];
    if (inner.length < indexedSize) return children[inner.indexOf(element)];
    this.#childIndex ??= new Map(inner.map((each, i) => [each, children[i] as PathSet]));
    return this.#childIndex.get(element);
  }

  /** The paths below `element`. */
  below(element: PathElement): PathSet {
    return this.child(element) ?? PathSet.empty;
  }

  add(element: PathElement): void {
    if (!this.hasMember(element)) this.#append(element);
  }

  #append(element: PathElement): void {
    (this.#members ??= []).push(element);
    this.#memberIndex?.add(element);
  }

  /** Takes over the paths below `element`, which has none yet; an empty set is none. */
  addChild(element: PathElement, child: PathSet | undefined): void {
    if (!child || child.isEmpty) return;
    (this.#inner ??= []).push(element);
    (this.#children ??= []).push(child);
    this.#childIndex?.set(element, child);
  }

  /** The empty path, which is the whole object, belongs to nobody. */
  addPath(path: readonly PathElement[]): void {
    const [first, ...rest] = path;
    if (first === undefined) return;
    if (rest.length === 0) return this.add(first);
    let child = this.child(first);
    if (child) return child.addPath(rest);
    child = new PathSet();
    child.addPath(rest);
    this.addChild(first, child);
  }

  has(path: readonly PathElement[]): boolean {
    const [first, ...rest] = path;
    if (first === undefined) return false;
    return rest.length === 0 ? this.hasMember(first) : this.below(first).has(rest);
  }

  equals(other: PathSet): boolean {
    if (this === other) return true;
    if (this.members.length !== other.members.length || this.inner.length !== other.inner.length)
      return false;
    return (
      this.members.every((element) => other.hasMember(element)) &&
      this.inner.every((element) => this.below(element).equals(other.below(element)))
    );
  }

  union(other: PathSet): PathSet {
    if (other.isEmpty || other === this) return this;
    if (this.isEmpty) return other;
    const result = new PathSet();
    for (const element of this.members) result.#append(element);
    for (const element of other.members) if (!this.hasMember(element)) result.#append(element);
    for (const element of this.inner) {
      const match = other.child(element);
      const child = this.below(element);
      result.addChild(element, match ? child.union(match) : child);
    }
    for (const element of other.inner) {
      if (!this.child(element)) result.addChild(element, other.below(element));
    }
    return result;
  }

  intersection(other: PathSet): PathSet {
    if (other === this) return this;
    if (this.isEmpty || other.isEmpty) return PathSet.empty;
    const result = new PathSet();
    for (const element of this.members) if (other.hasMember(element)) result.#append(element);
    for (const element of this.inner) {
      const match = other.child(element);
      if (match) result.addChild(element, this.below(element).intersection(match));
    }
    return result;
  }

  /** The paths of this set that are not in the other. */
  difference(other: PathSet): PathSet {
    return this.#without(other, false);
  }

  /** The paths of this set that are neither in the other, nor go through one that is. */
  recursiveDifference(other: PathSet): PathSet {
    return this.#without(other, true);
  }

  #without(other: PathSet, recursive: boolean): PathSet {
    if (this.isEmpty || other.isEmpty) return this;
    const result = new PathSet();
    let changed = false;
    for (const element of this.members) {
      if (other.hasMember(element)) changed = true;
      else result.#append(element);
    }
    for (const element of this.inner) {
      if (recursive && other.hasMember(element)) {
        changed = true;
        continue;
      }
      const child = this.below(element);
      const match = other.child(element);
      const left = match ? child.#without(match, recursive) : child;
      changed ||= left !== child;
      result.addChild(element, left);
    }
    return changed ? result : this;
  }

  /** Adds every declared field on the way to a path: what owns part of a struct owns the struct. */
  withNamedFields(type: MergeType | undefined): PathSet {
    const result = new PathSet();
    for (const element of this.members) result.#append(element);
    for (const element of this.inner) {
      const name = fieldName(element);
      const declared = name === undefined ? undefined : type?.map?.fields.get(name);
      if (declared) result.add(element);
      let inner: MergeType | undefined;
      if (name !== undefined) inner = declared?.type ?? type?.map?.element;
      else if (isKey(element)) inner = type?.list?.element;
      result.addChild(element, this.below(element).withNamedFields(inner));
    }
    return result;
  }

  /** Every path: those that end here in order, then those further down. */
  *paths(prefix: readonly PathElement[] = []): Generator<PathElement[]> {
    for (const element of sortElements([...this.members])) yield [...prefix, element];
    for (const element of sortElements([...this.inner])) {
      yield* this.below(element).paths([...prefix, element]);
    }
  }
}
