import {
  formOf,
  type Form,
  ListItemError,
  type ListType,
  type MergeType,
  type ScalarType,
} from './merge-type.ts';
import { fieldElement, type PathElement } from './path-element.ts';
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

/** Of one level: paths relative to it. Made only where something differs. */
interface Differences {
  removed: PathSet | undefined;
  modified: PathSet | undefined;
  added: PathSet | undefined;
}

type Kind = keyof Differences;
const noDifferences = (): Differences => ({ removed: undefined, modified: undefined, added: undefined });

const mark = (into: Differences, kind: Kind, element: PathElement): void =>
  (into[kind] ??= new PathSet()).add(element);

const attach = (into: Differences, element: PathElement, inner: Differences): void => {
  if (inner.removed) (into.removed ??= new PathSet()).addChild(element, inner.removed);
  if (inner.modified) (into.modified ??= new PathSet()).addChild(element, inner.modified);
  if (inner.added) (into.added ??= new PathSet()).addChild(element, inner.added);
};

const noMembers: JsonMap = Object.freeze({});
const noItems: readonly unknown[] = Object.freeze([]);

/** Values of one path element: more than one if the list repeats it. */
type Items = Map<PathElement, unknown[]>;

class Compare {
  readonly problems: Problem[] = [];

  /** Compares what stands at `element`; `left` or `right` may be absent. */
  at(type: MergeType, left: unknown, right: unknown, element: PathElement, into: Differences): void {
    if (left === right && left !== undefined) return;
    const inner = noDifferences();
    const leaf = this.value(type, left, right, element, into, inner);
    attach(into, element, inner);
    if (leaf) return;
    if (left === undefined) mark(into, 'added', element);
    else if (right === undefined) mark(into, 'removed', element);
  }

  /** Whether the value was compared as one piece. Differences below it go to `inner`, its own to `into`. */
  value(
    type: MergeType,
    left: unknown,
    right: unknown,
    element: PathElement,
    into: Differences,
    inner: Differences,
  ): boolean {
    const form = formOf(type, right === undefined ? left : right);
    if (left !== undefined && right !== undefined) {
      const before = formOf(type, left);
      if (before !== form) this.#as(before, type, left, right, element, into, inner);
    }
    return this.#as(form, type, left, right, element, into, inner);
  }

  #as(
    form: Form,
    type: MergeType,
    left: unknown,
    right: unknown,
    element: PathElement,
    into: Differences,
    inner: Differences,
  ): boolean {
    if (form === 'map') {
      const map = type.map as NonNullable<MergeType['map']>;
      const before = isMap(left) ? left : noMembers;
      const after = isMap(right) ? right : noMembers;
      if (map.atomic || (isEmptyMap(before) && isEmptyMap(after))) return leaf(left, right, element, into);
      for (const name in before) {
        const memberType = map.fields.get(name)?.type ?? map.element;
        if (before[name] === undefined || !memberType) continue;
        this.at(memberType, before[name], after[name], fieldElement(name), inner);
      }
      for (const name in after) {
        const memberType = map.fields.get(name)?.type ?? map.element;
        if (after[name] === undefined || before[name] !== undefined || !memberType) continue;
        this.at(memberType, undefined, after[name], fieldElement(name), inner);
      }
      return false;
    }
    if (form === 'list') {
      const list = type.list as ListType;
      const before = isList(left) ? left : noItems;
      const after = isList(right) ? right : noItems;
      if (list.atomic || (before.length === 0 && after.length === 0)) return leaf(left, right, element, into);
      this.#items(list, before, after, inner);
      return false;
    }
    this.#checkScalar(type.scalar as ScalarType, left, right);
    return leaf(left, right, element, into);
  }

  #checkScalar(type: ScalarType, left: unknown, right: unknown): void {
    const before = scalarProblem(type, left);
    const after = scalarProblem(type, right);
    if (before === undefined || after === undefined) return;
    this.problems.push({ path: '', text: `lhs: ${before}` }, { path: '', text: `rhs: ${after}` });
  }

  #items(list: ListType, before: readonly unknown[], after: readonly unknown[], into: Differences): void {
    const left = this.#byElement(list, before);
    const right = this.#byElement(list, after);
    for (const [element, items] of left) {
      this.#item(list, element, items, right.get(element) ?? [], into);
    }
    for (const [element, items] of right) {
      if (!left.has(element)) this.#item(list, element, [], items, into);
    }
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
      if (!equalValues(before, after)) mark(into, 'modified', element);
    } else if (before.length >= 2) {
      if (after.length > 0) this.at(list.element, undefined, after[0], element, into);
      mark(into, 'removed', element);
    } else {
      if (before.length > 0) this.at(list.element, before[0], undefined, element, into);
      mark(into, 'added', element);
    }
  }
}

/** Compares one piece. */
function leaf(left: unknown, right: unknown, element: PathElement, into: Differences): true {
  if (left === undefined) mark(into, 'added', element);
  else if (right === undefined) mark(into, 'removed', element);
  else if (!equalValues(left, right)) mark(into, 'modified', element);
  return true;
}

/**
 * What changed from one object to another (structured-merge-diff v6, typed/compare.go). Equal parts that are the
 * same in memory cost nothing. Throws MergeTypeError for items that cannot be told apart.
 */
export function compareObjects(type: MergeType, left: unknown, right: unknown): Comparison {
  const compare = new Compare();
  const found = noDifferences();
  // The root is no path: what is said of it goes nowhere.
  if (left !== right) compare.value(type, left ?? null, right ?? null, '', noDifferences(), found);
  throwProblems(compare.problems, 'failed to compare objects');
  return {
    removed: found.removed ?? PathSet.empty,
    modified: found.modified ?? PathSet.empty,
    added: found.added ?? PathSet.empty,
  };
}
