import { compareElements, fieldElement, fieldName, isKey, type PathElement } from './path-element.ts';
import type { MergeType } from './merge-type.ts';

const none: ReadonlySet<PathElement> = new Set();
const noChildren: ReadonlyMap<PathElement, PathSet> = new Map();

/**
 * A set of paths into an object, as a tree (structured-merge-diff v6, fieldpath/set.go): `members` are the paths
 * that end here, `children` lead further down. A path and one that goes through it are different members.
 *
 * Built by the `add…` methods, and not changed after that: the operations give new sets, which share what did not
 * change, and the very same set where nothing did.
 */
export class PathSet {
  #members: Set<PathElement> | undefined;
  #children: Map<PathElement, PathSet> | undefined;

  static readonly empty = new PathSet();

  /** Of field names: `PathSet.of(['metadata', 'name'], ['status'])`. */
  static of(...paths: ReadonlyArray<readonly string[]>): PathSet {
    const set = new PathSet();
    for (const path of paths) set.addPath(path.map(fieldElement));
    return set;
  }

  get members(): ReadonlySet<PathElement> {
    return this.#members ?? none;
  }

  get children(): ReadonlyMap<PathElement, PathSet> {
    return this.#children ?? noChildren;
  }

  get isEmpty(): boolean {
    return this.#members === undefined && this.#children === undefined;
  }

  get size(): number {
    let size = this.members.size;
    for (const child of this.children.values()) size += child.size;
    return size;
  }

  add(element: PathElement): void {
    (this.#members ??= new Set()).add(element);
  }

  /** Takes over the paths below `element`; an empty set is none. */
  addChild(element: PathElement, child: PathSet | undefined): void {
    if (child && !child.isEmpty) (this.#children ??= new Map()).set(element, child);
  }

  /** The empty path, which is the whole object, belongs to nobody. */
  addPath(path: readonly PathElement[]): void {
    const [first, ...rest] = path;
    if (first === undefined) return;
    if (rest.length === 0) return this.add(first);
    let child = this.#children?.get(first);
    if (!child) (this.#children ??= new Map()).set(first, (child = new PathSet()));
    child.addPath(rest);
  }

  has(path: readonly PathElement[]): boolean {
    const [first, ...rest] = path;
    if (first === undefined) return false;
    return rest.length === 0 ? this.members.has(first) : this.below(first).has(rest);
  }

  /** The paths below `element`. */
  below(element: PathElement): PathSet {
    return this.children.get(element) ?? PathSet.empty;
  }

  equals(other: PathSet): boolean {
    if (this === other) return true;
    if (this.members.size !== other.members.size || this.children.size !== other.children.size) return false;
    for (const element of this.members) if (!other.members.has(element)) return false;
    for (const [element, child] of this.children) {
      const match = other.children.get(element);
      if (!match || !child.equals(match)) return false;
    }
    return true;
  }

  union(other: PathSet): PathSet {
    if (other.isEmpty || other === this) return this;
    if (this.isEmpty) return other;
    const result = new PathSet();
    for (const element of this.members) result.add(element);
    for (const element of other.members) result.add(element);
    for (const [element, child] of this.children) {
      const match = other.children.get(element);
      result.addChild(element, match ? child.union(match) : child);
    }
    for (const [element, child] of other.children)
      if (!this.children.has(element)) result.addChild(element, child);
    return result;
  }

  intersection(other: PathSet): PathSet {
    if (other === this) return this;
    const result = new PathSet();
    for (const element of this.members) if (other.members.has(element)) result.add(element);
    for (const [element, child] of this.children) {
      const match = other.children.get(element);
      if (match) result.addChild(element, child.intersection(match));
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
      if (other.members.has(element)) changed = true;
      else result.add(element);
    }
    for (const [element, child] of this.children) {
      if (recursive && other.members.has(element)) {
        changed = true;
        continue;
      }
      const match = other.children.get(element);
      const left = match ? child.#without(match, recursive) : child;
      changed ||= left !== child;
      result.addChild(element, left);
    }
    return changed ? result : this;
  }

  /** Adds every declared field on the way to a path: what owns part of a struct owns the struct. */
  withNamedFields(type: MergeType | undefined): PathSet {
    const result = new PathSet();
    for (const element of this.members) result.add(element);
    for (const [element, child] of this.children) {
      const name = fieldName(element);
      const declared = name === undefined ? undefined : type?.map?.fields.get(name);
      if (declared) result.add(element);
      let inner: MergeType | undefined;
      if (name !== undefined) inner = declared?.type ?? type?.map?.element;
      else if (isKey(element)) inner = type?.list?.element;
      result.addChild(element, child.withNamedFields(inner));
    }
    return result;
  }

  /** Every path: those that end here in order, then those further down. */
  *paths(prefix: readonly PathElement[] = []): Generator<PathElement[]> {
    for (const element of [...this.members].sort(compareElements)) yield [...prefix, element];
    const children = [...this.children].sort(([a], [b]) => compareElements(a, b));
    for (const [element, child] of children) yield* child.paths([...prefix, element]);
  }
}
