import { formOf, type ListType, type MapType, type MergeType } from './merge-type.ts';
import { fieldElement, type PathElement } from './path-element.ts';
import { PathSet } from './path-set.ts';
import { isEmptyMap, isList, isMap } from './value.ts';

/**
 * The paths that who applies `value` owns: every leaf, every item of a list-map or set, members of maps that are
 * not declared, empty maps and nulls. The value must be valid. Source: structured-merge-diff v6, typed/tofieldset.go.
 */
export function toFieldSet(type: MergeType, value: unknown): PathSet {
  const set = new PathSet();
  collect(type, value, set);
  return set;
}

/** Adds the paths below a value to `into`; whether the value itself is a leaf. */
function collect(type: MergeType, value: unknown, into: PathSet): boolean {
  switch (formOf(type, value)) {
    case 'map':
      return collectMap(type.map as MapType, value, into);
    case 'list':
      return collectList(type.list as ListType, value, into);
    default:
      return true;
  }
}

function collectMap(type: MapType, value: unknown, into: PathSet): boolean {
  if (type.atomic) return true;
  if (!isMap(value)) return false;
  for (const name in value) {
    const member = value[name];
    const field = type.fields.get(name);
    const memberType = field?.type ?? type.element;
    if (member === undefined || !memberType) continue;
    const element = fieldElement(name);
    const child = new PathSet();
    const isLeaf = collect(memberType, member, child);
    if (isLeaf || !field || member === null || (isMap(member) && isEmptyMap(member))) into.add(element);
    into.addChild(element, child);
  }
  return false;
}

function collectList(type: ListType, value: unknown, into: PathSet): boolean {
  if (type.atomic) return true;
  if (!isList(value)) return false;
  const elements = value.map((item) => type.elementOrNone(item));
  const repeated = duplicates(elements);
  for (const [index, element] of elements.entries()) {
    into.add(element);
    if (repeated.has(element)) continue;
    const child = new PathSet();
    collect(type.element, value[index], child);
    into.addChild(element, child);
  }
  return false;
}

function duplicates(elements: readonly PathElement[]): Set<PathElement> {
  const repeated = new Set<PathElement>();
  if (elements.length < 2) return repeated;
  const seen = new Set<PathElement>();
  for (const element of elements) {
    if (seen.has(element)) repeated.add(element);
    seen.add(element);
  }
  return repeated;
}
