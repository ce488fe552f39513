import { setMember } from '../codec/json-reader.ts';
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
import { isEmptyMap, isList, isMap, type JsonMap } from './value.ts';
import { type Problem, throwProblems } from './validation-error.ts';
import { scalarProblem } from './validate.ts';

const noMembers: JsonMap = Object.freeze({});
const noItems: readonly unknown[] = Object.freeze([]);

/** A list's items by their elements, in order; a repeated one has the value null. */
interface Index {
  readonly elements: readonly PathElement[];
  readonly values: ReadonlyMap<PathElement, unknown>;
}

class Merge {
  readonly problems: Problem[] = [];

  /** The merged value; undefined: nothing is left of it. */
  value(type: MergeType, left: unknown, right: unknown, path: string): unknown {
    if (right === undefined) return left;
    if (left === undefined) return right;
    return this.#as(formOf(type, right), type, left, right, path);
  }

  #as(form: Form, type: MergeType, left: unknown, right: unknown, path: string): unknown {
    if (form === 'map') return this.#map(type.map as MapType, left, right, path);
    if (form === 'list') return this.#list(type.list as ListType, left, right, path);
    const before = scalarProblem(type.scalar as ScalarType, left);
    const after = scalarProblem(type.scalar as ScalarType, right);
    if (before === undefined || after === undefined) return right === undefined ? left : right;
    this.problems.push({ path, text: `lhs: ${before}` }, { path, text: `rhs: ${after}` });
    return undefined;
  }

  #map(type: MapType, left: unknown, right: unknown, path: string): unknown {
    const before = isMap(left) ? left : noMembers;
    const after = isMap(right) ? right : noMembers;
    if (type.atomic || (isEmptyMap(before) && isEmptyMap(after))) return right === undefined ? left : right;
    const merged: Record<string, unknown> = {};
    let any = false;
    const visit = (name: string): void => {
      const inner = type.fields.get(name)?.type ?? type.element;
      if (!inner) return;
      const value = this.value(inner, before[name], after[name], path + elementText(fieldElement(name)));
      if (value === undefined) return;
      setMember(merged, name, value);
      any = true;
    };
    for (const name in before) if (before[name] !== undefined) visit(name);
    for (const name in after) if (after[name] !== undefined && before[name] === undefined) visit(name);
    return any ? merged : undefined;
  }

  #list(type: ListType, left: unknown, right: unknown, path: string): unknown {
    const before = isList(left) ? left : noItems;
    const after = isList(right) ? right : noItems;
    if (type.atomic || (before.length === 0 && after.length === 0)) return right === undefined ? left : right;
    const merged = this.#items(type, before, after, path);
    return merged.length > 0 ? merged : undefined;
  }

  /**
   * The left list's items in their order, the right one's merged into them; where the orders disagree, the right
   * one's counts, and new items stand after those that the right list has before them.
   */
  #items(type: ListType, left: readonly unknown[], right: readonly unknown[], path: string): unknown[] {
    const found = this.problems.length;
    const after = this.#index(type, right, path, false);
    const before = this.#index(type, left, path, true);
    const out: unknown[] = [];
    if (this.problems.length > found) return out;
    const shared = after.elements.filter((element) => before.values.has(element));
    const merged = new Set<PathElement>();
    const put = (element: PathElement, l: unknown, r: unknown): void => {
      const value = this.value(type.element, l, r, path + elementText(element));
      if (value !== undefined) out.push(value);
    };
    let next = 0;
    let l = 0;
    let r = 0;
    while (l < before.elements.length || r < after.elements.length) {
      const leftElement = before.elements[l];
      const rightElement = after.elements[r];
      if (leftElement !== undefined && rightElement !== undefined) {
        if (leftElement === rightElement) {
          merged.add(leftElement);
          put(leftElement, before.values.get(leftElement), after.values.get(leftElement));
          l++;
          r++;
          next++;
          continue;
        }
        const expected = shared[next];
        if (after.values.has(leftElement) && expected !== undefined && expected !== leftElement) {
          l++;
          continue;
        }
      }
      if (leftElement !== undefined) {
        if (!after.values.has(leftElement)) {
          put(leftElement, left[l], undefined);
          l++;
          continue;
        }
        if (merged.has(leftElement)) l++;
      }
      if (rightElement !== undefined) {
        merged.add(rightElement);
        put(rightElement, before.values.get(rightElement), after.values.get(rightElement));
        r++;
        if (shared[next] === rightElement) next++;
      }
    }
    return out;
  }

  #index(type: ListType, items: readonly unknown[], path: string, duplicates: boolean): Index {
    const elements: PathElement[] = [];
    const values = new Map<PathElement, unknown>();
    for (const [index, item] of items.entries()) {
      let element: PathElement;
      try {
        element = type.elementOf(item);
      } catch (error) {
        if (!(error instanceof ListItemError)) throw error;
        this.problems.push({ path, text: `element ${index}: ${error.message}` });
        continue;
      }
      if (values.has(element)) {
        if (!duplicates) {
          this.problems.push({ path, text: `duplicate entries for key ${elementText(element)}` });
          continue;
        }
        // Who merges into items that repeat cannot mean any one of them.
        values.set(element, null);
      } else values.set(element, item);
      elements.push(element);
    }
    return { elements, values };
  }
}

/**
 * The left object with everything that the right one says (structured-merge-diff v6, typed/merge.go). Neither is
 * changed; what did not change is shared with them. Throws MergeTypeError.
 */
export function mergeObjects(type: MergeType, left: unknown, right: unknown): unknown {
  const merge = new Merge();
  const merged = merge.value(type, left ?? null, right ?? null, '');
  throwProblems(merge.problems, 'failed to merge config');
  return merged ?? null;
}
