import type { ListType, MapType, MergeType } from './merge-type.ts';
import { fieldName, type PathElement } from './path-element.ts';
import { PathSet } from './path-set.ts';

/** What to take out of a set, whole, and what to put in after that. */
interface Change {
  remove: PathSet;
  add: PathSet;
}

/**
 * Brings a set up to date with a type that changed since it was written: who owned parts of what is one piece now
 * (atomic) owns the piece. The other way round nothing changes. Gives the very set if nothing did. Source:
 * structured-merge-diff v6, typed/reconcile_schema.go.
 */
export function reconcileSet(type: MergeType, set: PathSet): PathSet {
  const change: Change = { remove: new PathSet(), add: new PathSet() };
  walk(type, set, [], false, change);
  if (change.add.isEmpty) return set;
  return set.recursiveDifference(change.remove).union(change.add);
}

function walk(
  type: MergeType,
  set: PathSet | undefined,
  path: readonly PathElement[],
  whole: boolean,
  change: Change,
): void {
  if (type.map) return walkMap(type.map, set, path, whole, change);
  if (type.scalar || !type.list) return;
  const list: ListType = type.list;
  if (list.atomic) {
    if (!whole) replace(path, change);
    return;
  }
  each(set, (element, child, leaf) => walk(list.element, child, [...path, element], leaf, change));
}

function walkMap(
  map: MapType,
  set: PathSet | undefined,
  path: readonly PathElement[],
  whole: boolean,
  change: Change,
): void {
  if (map.fields.size === 0 && map.element?.map?.deduced) return;
  if (map.atomic) {
    if (!whole && set && set.size > 0) replace(path, change);
    return;
  }
  each(set, (element, child, leaf) => {
    const name = fieldName(element);
    const inner = (name === undefined ? undefined : map.fields.get(name)?.type) ?? map.element;
    if (inner) walk(inner, child, [...path, element], leaf, change);
  });
}

function replace(path: readonly PathElement[], change: Change): void {
  change.remove.addPath(path);
  change.add.addPath(path);
}

/** Visits every element with the set below it, and whether it is a member without one. */
function each(
  set: PathSet | undefined,
  visit: (element: PathElement, child: PathSet | undefined, leaf: boolean) => void,
): void {
  if (!set) return;
  for (const element of set.inner) if (!set.hasMember(element)) visit(element, set.child(element), false);
  for (const element of set.members) {
    const child = set.child(element);
    visit(element, child, child === undefined);
  }
}
