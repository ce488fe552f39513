import { setMember } from '../codec/json-reader.ts';
import { formOf, type ListType, type MapType, type MergeType } from './merge-type.ts';
import { fieldElement, isKey, keysOf } from './path-element.ts';
import { PathSet } from './path-set.ts';
import { toFieldSet } from './to-field-set.ts';
import { isEmptyMap, isList, isMap } from './value.ts';

/** A value without the paths of `paths`. Lists and maps that become empty turn into null (smd's typed/remove.go). */
export function removeItems(type: MergeType, value: unknown, paths: PathSet): unknown {
  return paths.isEmpty ? value : pick(type, value, paths, false);
}

/** Only what is at the paths of `paths`. `withKeys` adds the keys of every list item on the way to them. */
export function extractItems(type: MergeType, value: unknown, paths: PathSet, withKeys = false): unknown {
  return pick(type, value, withKeys ? paths.union(keyFields(type, value, paths)) : paths, true);
}

function keyFields(type: MergeType, value: unknown, paths: PathSet): PathSet {
  const present = toFieldSet(type, value);
  const keys = new PathSet();
  for (const path of paths.paths()) {
    if (!present.has(path)) continue;
    for (const [index, element] of path.entries()) {
      if (!isKey(element)) continue;
      for (const name in keysOf(element)) keys.addPath([...path.slice(0, index + 1), fieldElement(name)]);
    }
  }
  return keys;
}

function pick(type: MergeType, value: unknown, paths: PathSet, extract: boolean): unknown {
  switch (formOf(type, value)) {
    case 'map':
      return pickMap(type.map as MapType, value, paths, extract);
    case 'list':
      return pickList(type.list as ListType, value, paths, extract);
    default:
      return value;
  }
}

function pickMap(type: MapType, value: unknown, paths: PathSet, extract: boolean): unknown {
  if (!isMap(value)) return null;
  if (isEmptyMap(value) || type.atomic) return extract ? value : null;
  const result: Record<string, unknown> = {};
  let any = false;
  for (const name in value) {
    const member = value[name];
    if (member === undefined) continue;
    const element = fieldElement(name);
    const inner = type.fields.get(name)?.type ?? type.element;
    const below = paths.below(element);
    let kept: unknown = member;
    if (paths.hasMember(element)) {
      if (!extract) continue;
      kept = inner ? pick(inner, member, paths, true) : null;
    } else if (!below.isEmpty) kept = inner ? pick(inner, member, below, extract) : null;
    else if (extract) continue;
    setMember(result, name, kept);
    any = true;
  }
  return any ? result : null;
}

function pickList(type: ListType, value: unknown, paths: PathSet, extract: boolean): unknown {
  if (!isList(value)) return null;
  if (value.length === 0 || type.atomic) return extract ? value : null;
  const result: unknown[] = [];
  for (const item of value) {
    const element = type.elementOrNone(item);
    const exact = paths.hasMember(element);
    const below = paths.below(element);
    if (extract ? !exact && below.isEmpty : exact) continue;
    result.push(below.isEmpty ? item : pick(type.element, item, below, extract));
  }
  return result.length > 0 ? result : null;
}
