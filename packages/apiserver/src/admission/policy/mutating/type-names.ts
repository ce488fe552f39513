import { CelObject } from '../../../cel/lib/patches.ts';
import { ArrayList, CelMap, type CelValue } from '../../../cel/run/values.ts';

/** Where objects have another type name than their place says: `Object.spec{selector: Object.spec.wrong{}}`. */
function mismatches(value: CelValue, expected: string, found: string[]): void {
  if (value instanceof CelObject) {
    if (value.typeName !== expected)
      found.push(
        `unexpected type name ${JSON.stringify(value.typeName)}, expected ${JSON.stringify(expected)}, which matches field name path from root Object type`,
      );
    for (const [name, inner] of value.fields) mismatches(inner, `${expected}.${name}`, found);
  } else if (value instanceof ArrayList) {
    // Lists that are joined from others are not looked into, as upstream.
    for (const inner of value) mismatches(inner, expected, found);
  } else if (value instanceof CelMap) {
    for (const key of value.keys()) mismatches(value.find(key) ?? null, expected, found);
  }
}

/** Throws where a created object's type does not fit its place (upstream: cel/mutation/dynamic, CheckTypeNamesMatchFieldPathNames). */
export function checkTypeNames(object: CelObject): void {
  const found: string[] = [];
  mismatches(object, object.typeName, found);
  if (found.length > 0) throw new Error(`type mismatch: ${found.join('\n')}`);
}
