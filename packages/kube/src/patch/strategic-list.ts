// Lists in a strategic merge: matching by merge key, and the order of the result
// (apimachinery/pkg/util/strategicpatch/patch.go; design proposal "preserve order in strategic merge patch").
import { StrategicPatchError, directive } from './strategic-meta.ts';
import { goText, goTypeName, isJsonObject, type JsonObject } from '../codec/json-value.ts';

export function noMergeKey(item: unknown, mergeKey: string): StrategicPatchError {
  return new StrategicPatchError(`map: ${goText(item)} does not contain declared merge key: ${mergeKey}`);
}

export const wrongType = (expected: string, actual: unknown): StrategicPatchError =>
  new StrategicPatchError(`expected a ${expected}, but received a ${goTypeName(actual, 'nil')}`);

/** Whether elements are maps. Throws when types are mixed, or lists. Empty lists have no elements to ask. */
export function holdsMaps(...lists: unknown[][]): boolean {
  let first: string | undefined;
  for (const item of lists.flat()) {
    const type = goTypeName(item);
    if (first === undefined) {
      if (Array.isArray(item)) throw new StrategicPatchError('lists of lists are not supported', 422);
      first = type;
    } else if (type !== first)
      throw new StrategicPatchError(`list element types are not identical: ${goText(lists)}`);
  }
  return first === 'map[string]interface {}';
}

/** Place of the element whose merge key has `value`, or -1. */
export function findByKey(list: unknown[], mergeKey: string, value: unknown): number {
  return list.findIndex((item, index) => {
    if (!isJsonObject(item)) throw new StrategicPatchError(`value for key ${index} is not a map`);
    return Object.hasOwn(item, mergeKey) && item[mergeKey] === value;
  });
}

export function keyOf(item: unknown, mergeKey: string): unknown {
  if (!isJsonObject(item)) throw wrongType('map[string]interface {}', item);
  if (!Object.hasOwn(item, mergeKey)) throw noMergeKey(item, mergeKey);
  return item[mergeKey];
}

/** What elements are compared by: their merge key, or themselves. */
const identity = (item: unknown, mergeKey: string): unknown => {
  if (mergeKey === '') return item;
  return isJsonObject(item) ? item[mergeKey] : undefined;
};

/** Positions of the elements of a list, by identity; the first of equal ones. */
function positions(list: unknown[], mergeKey: string): Map<unknown, number> {
  const out = new Map<unknown, number>();
  list.forEach((item, index) => {
    const id = identity(item, mergeKey);
    if (!out.has(id)) out.set(id, index);
  });
  return out;
}

function sortedBy(list: unknown[], order: unknown[], mergeKey: string): unknown[] {
  const place = positions(order, mergeKey);
  const rank = (item: unknown): number => place.get(identity(item, mergeKey)) ?? -1;
  return list.toSorted((a, b) => {
    const [i, j] = [rank(a), rank(b)];
    return i < 0 || j < 0 ? 0 : i - j;
  });
}

const isDeletion = (item: unknown): boolean => isJsonObject(item) && item[directive] === 'delete';

/**
 * The merged elements in order: those the patch speaks of as the patch has them, the others as they were, woven in
 * where the old order puts them.
 */
export function ordered(
  merged: unknown[],
  patchOrder: unknown[],
  liveOrder: unknown[],
  mergeKey: string,
): unknown[] {
  const inPatch = positions(patchOrder, mergeKey);
  if (mergeKey !== '') for (const item of [...merged, ...patchOrder, ...liveOrder]) keyOf(item, mergeKey);
  const deletions = merged.filter(isDeletion);
  const kept = merged.filter((item) => !isDeletion(item));
  const fromPatch = sortedBy(
    kept.filter((item) => inPatch.has(identity(item, mergeKey))),
    patchOrder,
    mergeKey,
  );
  const others = sortedBy(
    kept.filter((item) => !inPatch.has(identity(item, mergeKey))),
    liveOrder,
    mergeKey,
  );
  return [...weave(others, fromPatch, positions(liveOrder, mergeKey), mergeKey), ...deletions];
}

/** Each of `left` goes before the first of `right` that was behind it. */
function weave(left: unknown[], right: unknown[], place: Map<unknown, number>, mergeKey: string): unknown[] {
  const out: unknown[] = [];
  let next = 0;
  for (const item of right) {
    const at = place.get(identity(item, mergeKey));
    for (; next < left.length; next++) {
      const other = place.get(identity(left[next], mergeKey));
      if (at === undefined || other === undefined || other >= at) break;
      out.push(left[next]);
    }
    out.push(item);
  }
  return [...out, ...left.slice(next)];
}

/** The elements named in `$setElementOrder` must come in its order in the patch, and be all that the patch has. */
export function checkOrder(patch: unknown[], order: unknown[], mergeKey: string): void {
  if (order.length === 0 || patch.length === 0) return;
  const items =
    mergeKey === '' ? patch : patch.filter((item) => !isJsonObject(item) || !Object.hasOwn(item, directive));
  let next = 0;
  for (const wanted of order) {
    if (next >= items.length) break;
    const same =
      mergeKey === '' ? items[next] === wanted : keyOf(items[next], mergeKey) === keyOf(wanted, mergeKey);
    if (same) next++;
  }
  if (next < items.length)
    throw new StrategicPatchError(
      `The order in patch list:\n${goText(patch)}\n doesn't match $setElementOrder list:\n${goText(order)}\n`,
    );
}

/** Carries out `$patch: delete` and `$patch: replace` elements; returns both lists without them. */
export function applyElementDirectives(
  original: unknown[],
  patch: unknown[],
  mergeKey: string,
): { original: unknown[]; patch: unknown[] } {
  let kept = original;
  let replace = false;
  const plain: unknown[] = [];
  for (const item of patch as JsonObject[]) {
    if (!Object.hasOwn(item, directive)) {
      plain.push(item);
      continue;
    }
    switch (item[directive]) {
      case 'delete': {
        const value = keyOf(item, mergeKey);
        while (findByKey(kept, mergeKey, value) >= 0)
          kept = kept.toSpliced(findByKey(kept, mergeKey, value), 1);
        break;
      }
      case 'replace':
        replace = true;
        break;
      case 'merge':
        throw new StrategicPatchError('merging lists cannot yet be specified in the patch');
      default:
        throw unknownDirective(item[directive], item);
    }
  }
  return replace ? { original: plain, patch: [] } : { original: kept, patch: plain };
}

export const unknownDirective = (value: unknown, map: unknown): StrategicPatchError =>
  new StrategicPatchError(`unknown patch type: ${goText(value)} in map: ${goText(map)}`);
