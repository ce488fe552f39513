import {
  formOf,
  type Form,
  ListItemError,
  type ListType,
  type MapType,
  type MergeType,
  type ScalarType,
} from './merge-type.ts';
import { elementText, fieldElement, type PathElement } from './path-element.ts';
import { PathSet } from './path-set.ts';
import { equalValues, isEmptyMap, isList, isMap, type JsonMap } from './value.ts';
import { type Problem, throwProblems } from './validation-error.ts';
import { scalarProblem } from './validate.ts';

/** What one object has that another has not. A path is in one of the three at most. */
export interface Comparison {
  readonly removed: PathSet;
  readonly modified: PathSet;
  readonly added: PathSet;
}

/** Of one level: paths relative to it. Sets are made only where something differs. */
class Differences {
  removed: PathSet | undefined;
  modified: PathSet | undefined;
  added: PathSet | undefined;

  mark(kind: keyof Comparison, element: PathElement): void {
    (this[kind] ??= new PathSet()).add(element);
  }

  /** Takes over what differs below `element`. */
  attach(kind: keyof Comparison, element: PathElement, below: PathSet | undefined): void {
    if (below && !below.isEmpty) (this[kind] ??= new PathSet()).addChild(element, below);
  }
}

const noMembers: JsonMap = Object.freeze({});
const noItems: readonly unknown[] = Object.freeze([]);

/** Values of one path element: more than one if the list repeats it. */
type Items = Map<PathElement, unknown[]>;

class Compare {
  readonly problems: Problem[] = [];

  /** Compares what stands at `element`; `left` or `right` may be absent. */
  at(type: MergeType, left: unknown, right: unknown, element: PathElement, into: Differences): void {
    if (left === right && left !== undefined) return;
    const found = this.problems.length;
    this.#at(type, left, right, element, into);
    for (let i = found; i < this.problems.length; i++) {
      const { path, text } = this.problems[i] as Problem;
      this.problems[i] = { path: elementText(element) + path, text };
    }
  }

  #at(type: MergeType, left: unknown, right: unknown, element: PathElement, into: Differences): void {
    if (left === undefined) return this.#onlyOne('added', type, right, element, into);
    if (right === undefined) return this.#onlyOne('removed', type, left, element, into);
    const form = formOf(type, right);
    const before = formOf(type, left);
    if (before !== form) this.#as(before, type, left, right, element, into);
    this.#as(form, type, left, right, element, into);
  }

  #onlyOne(
    kind: 'added' | 'removed',
    type: MergeType,
    value: unknown,
    element: PathElement,
    into: Differences,
  ): void {
    const set = (into[kind] ??= new PathSet());
    // What is in one of the two only is there itself, leaf or not.
    set.add(element);
    set.addChild(element, this.#everything(type, value));
  }

  /** Every path below a value that the other side has not; undefined: it is one piece. */
  #everything(type: MergeType, value: unknown): PathSet | undefined {
    const form = formOf(type, value);
    if (form === 'map') return this.#everyMember(type.map as MapType, value);
    return form === 'list' ? this.#everyItem(type.list as ListType, value) : undefined;
  }

  #everyMember(map: MapType, value: unknown): PathSet | undefined {
    if (map.atomic || !isMap(value)) return undefined;
    const set = new PathSet();
    for (const name in value) {
      const member = value[name];
      const field = map.fields.get(name);
      const type = field ? field.type : map.element;
      if (member === undefined || !type) continue;
      const element = field ? field.element : fieldElement(name);
      set.add(element);
      if (typeof member === 'object') set.addChild(element, this.#everything(type, member));
    }
    return set;
  }

  #everyItem(list: ListType, value: unknown): PathSet | undefined {
    if (list.atomic || !isList(value) || value.length === 0) return undefined;
    const set = new PathSet();
    for (const [element, items] of this.#byElement(list, value)) {
      set.add(element);
      if (items.length === 1) set.addChild(element, this.#everything(list.element, items[0]));
    }
    return set;
  }

  /** Both are there. */
  #as(
    form: Form,
    type: MergeType,
    left: unknown,
    right: unknown,
    element: PathElement,
    into: Differences,
  ): void {
    if (form === 'scalar') {
      if (left !== right) this.#scalars(type.scalar as ScalarType, left, right, element, into);
      return;
    }
    const inner = new Differences();
    const parts =
      form === 'map' ? this.members(type, left, right, inner) : this.#lists(type, left, right, inner);
    if (!parts) {
      if (!equalValues(left, right)) into.mark('modified', element);
      return;
    }
    into.attach('removed', element, inner.removed);
    into.attach('modified', element, inner.modified);
    into.attach('added', element, inner.added);
  }

  #scalars(type: ScalarType, left: unknown, right: unknown, element: PathElement, into: Differences): void {
    const before = scalarProblem(type, left);
    const after = scalarProblem(type, right);
    if (before !== undefined && after !== undefined) {
      this.problems.push({ path: '', text: `lhs: ${before}` }, { path: '', text: `rhs: ${after}` });
    } else if (!equalValues(left, right)) into.mark('modified', element);
  }

  /** Compares by member; false: the map is one piece. */
  members(type: MergeType, left: unknown, right: unknown, inner: Differences): boolean {
    const map = type.map as MapType;
    const before = isMap(left) ? left : noMembers;
    const after = isMap(right) ? right : noMembers;
    if (map.atomic || (isEmptyMap(before) && isEmptyMap(after))) return false;
    for (const name in before) {
      const value = before[name];
      const other = after[name];
      if (value === undefined || value === other) continue;
      const field = map.fields.get(name);
      const memberType = field ? field.type : map.element;
      if (memberType) this.at(memberType, value, other, field ? field.element : fieldElement(name), inner);
    }
    for (const name in after) {
      const value = after[name];
      if (value === undefined || before[name] !== undefined) continue;
      const field = map.fields.get(name);
      const memberType = field ? field.type : map.element;
      if (memberType)
        this.at(memberType, undefined, value, field ? field.element : fieldElement(name), inner);
    }
    return true;
  }

  /** Compares by item; false: the list is one piece. */
  #lists(type: MergeType, left: unknown, right: unknown, inner: Differences): boolean {
    const list = type.list as ListType;
    const before = isList(left) ? left : noItems;
    const after = isList(right) ? right : noItems;
    if (list.atomic || (before.length === 0 && after.length === 0)) return false;
    // Most lists are as they were, which is found sooner than what each item is.
    if (equalValues(before, after)) return true;
    const removed = this.#byElement(list, before);
    const added = this.#byElement(list, after);
    for (const [element, items] of removed) {
      this.#item(list, element, items, added.get(element) ?? noItems, inner);
    }
    for (const [element, items] of added) {
      if (!removed.has(element)) this.#item(list, element, noItems, items, inner);
    }
    return true;
  }

  #byElement(list: ListType, items: readonly unknown[]): Items {
    const byElement: Items = new Map();
    for (const [index, item] of items.entries()) {
      try {
        const element = list.elementOf(item);
        const known = byElement.get(element);
        if (known) known.push(item);
        else byElement.set(element, [item]);
      } catch (error) {
        if (!(error instanceof ListItemError)) throw error;
        this.problems.push({ path: '', text: `element ${index}: ${error.message}` });
      }
    }
    return byElement;
  }

  /** Items that repeat are one piece; where they appear or go, what they replace is added or removed as a whole. */
  #item(
    list: ListType,
    element: PathElement,
    before: readonly unknown[],
    after: readonly unknown[],
    into: Differences,
  ): void {
    if (before.length <= 1 && after.length <= 1) {
      this.at(list.element, before[0], after[0], element, into);
    } else if (before.length >= 2 && after.length >= 2) {
      if (!equalValues(before, after)) into.mark('modified', element);
    } else if (before.length >= 2) {
      if (after.length > 0) this.at(list.element, undefined, after[0], element, into);
      into.mark('removed', element);
    } else {
      if (before.length > 0) this.at(list.element, before[0], undefined, element, into);
      into.mark('added', element);
    }
  }
}

/**
 * What changed from one object to another (structured-merge-diff v6, typed/compare.go). Equal parts that are the
 * same in memory cost nothing. Throws MergeTypeError for items that cannot be told apart.
 */
export function compareObjects(type: MergeType, left: unknown, right: unknown): Comparison {
  const compare = new Compare();
  const found = new Differences();
  // The root is no path: what is said of it goes nowhere.
  if (left !== right && type.map) compare.members(type, left, right, found);
  throwProblems(compare.problems, 'failed to compare objects');
  return {
    removed: found.removed ?? PathSet.empty,
    modified: found.modified ?? PathSet.empty,
    added: found.added ?? PathSet.empty,
  };
}
