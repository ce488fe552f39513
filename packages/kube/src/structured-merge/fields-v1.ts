import { compareElements, type PathElement, PathElementError, readElement } from './path-element.ts';
import { PathSet } from './path-set.ts';
import { isMap } from './value.ts';

/** `fieldsV1` of a managedFields entry: a tree of path elements; `.` marks one that is owned itself. */
export type FieldsV1 = { readonly [element: string]: FieldsV1 };

const leaf: FieldsV1 = Object.freeze({});

/** The set as upstream writes it, elements in order. Shared leaves: do not change it. */
export function toFieldsV1(set: PathSet): FieldsV1 {
  return emit(set, false);
}

function emit(set: PathSet, self: boolean): FieldsV1 {
  const { members, children } = set;
  const elements: PathElement[] = [...members];
  for (const element of children.keys()) if (!members.has(element)) elements.push(element);
  if (elements.length > 1) elements.sort(compareElements);
  const fields: Record<string, FieldsV1> = self ? { '.': leaf } : {};
  for (const element of elements) {
    const child = children.get(element);
    fields[element] = child ? emit(child, members.has(element)) : leaf;
  }
  return fields;
}

/**
 * Reads `fieldsV1`. What leads nowhere is owned itself, and elements of unknown kinds are left out. Throws
 * PathElementError for a malformed one.
 */
export function fromFieldsV1(fields: unknown): PathSet {
  return read(fields).set;
}

function read(fields: unknown): { set: PathSet; self: boolean } {
  const set = new PathSet();
  if (fields === null || fields === undefined) return { set, self: true };
  if (!isMap(fields)) throw new PathElementError(`expected an object of path elements, got ${typeof fields}`);
  let self = false;
  let any = false;
  for (const key in fields) {
    if (key === '.') {
      self = true;
      continue;
    }
    const element = readElement(key);
    if (element === undefined) continue;
    const inner = read(fields[key]);
    any = true;
    if (inner.self) set.add(element);
    set.addChild(element, set.below(element).union(inner.set));
  }
  return { set, self: self || !any };
}

/** For tests and tools: the text of {@link toFieldsV1}. */
export function fieldsV1Text(set: PathSet): string {
  return JSON.stringify(toFieldsV1(set));
}
