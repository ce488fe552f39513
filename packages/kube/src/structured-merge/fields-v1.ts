import { type PathElement, PathElementError, readElement, sortElements } from './path-element.ts';
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
  const elements: PathElement[] = [...set.members];
  for (const element of set.inner) if (!set.hasMember(element)) elements.push(element);
  const fields: Record<string, FieldsV1> = self ? { '.': leaf } : {};
  for (const element of sortElements(elements)) {
    const child = set.child(element);
    fields[element] = child ? emit(child, set.hasMember(element)) : leaf;
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
    // Two spellings of one element are not worth more than one of them.
    if (!set.child(element)) set.addChild(element, inner.set);
  }
  return { set, self: self || !any };
}

/** For tests and tools: the text of {@link toFieldsV1}. */
export function fieldsV1Text(set: PathSet): string {
  return JSON.stringify(toFieldsV1(set));
}
