import type { KubeObject } from '@cloudless/kube/object';
import { mergeObjects } from '@cloudless/kube/structured-merge/merge';
import type { MergeType } from '@cloudless/kube/structured-merge/merge-type';
import { elementText, fieldElement, indexElement } from '@cloudless/kube/structured-merge/path-element';
import { validateValue } from '@cloudless/kube/structured-merge/validate';
import { isList, isMap } from '@cloudless/kube/structured-merge/value';
import { CelObject } from '../../../cel/lib/patches.ts';
import { toJson } from '../../../cel/schema/json.ts';
import { messageOf } from '../invocations.ts';
import { checkTypeNames } from './type-names.ts';

/** Places of lists, maps and objects that are one piece: setting a part of one would take the rest away unseen. */
function atomicPlaces(type: MergeType, value: unknown, path: string): string[] {
  const found: string[] = [];
  if (isMap(value) && type.map) {
    if (type.map.atomic) found.push(path);
    for (const [name, inner] of Object.entries(value)) {
      const field = type.map.fields.get(name);
      if (field) found.push(...atomicPlaces(field.type, inner, path + elementText(fieldElement(name))));
    }
  }
  if (isList(value) && type.list) {
    if (type.list.atomic) found.push(path);
    for (const [i, inner] of value.entries())
      found.push(...atomicPlaces(type.list.element, inner, path + elementText(indexElement(i))));
  }
  return found;
}

function step<T>(what: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new Error(`error applying patch: ${what}: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * The object with everything that an apply configuration says, merged as server-side apply merges (upstream:
 * policy/mutating/patch/smd.go). `object` is not changed. Throws what does not fit, in upstream's words.
 */
export function applyConfiguration(type: MergeType, object: KubeObject, value: unknown): unknown {
  if (!(value instanceof CelObject))
    throw new Error(`unsupported return type from ApplyConfiguration expression: ${typeof value}`);
  checkTypeNames(value);
  const { apiVersion, kind } = object;
  const applied = { ...(toJson(value) as Record<string, unknown>), apiVersion, kind };
  step('failed to convert patch object to typed object', () => validateValue(type, applied));
  step('invalid ApplyConfiguration', () => {
    const atomic = atomicPlaces(type, applied, '');
    if (atomic.length > 0)
      throw new Error(`may not mutate atomic arrays, maps or structs: ${atomic.join(', ')}`);
  });
  step('failed to convert original object to typed object', () => validateValue(type, object, true));
  return step('failed to merge patch', () => mergeObjects(type, object, applied));
}
