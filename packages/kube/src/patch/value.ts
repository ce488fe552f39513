// JSON values as patches handle them: own members only, so that a member called `__proto__` is data.
import { setMember } from '../codec/json-reader.ts';
import { isJsonObject, type JsonObject } from '../codec/json-value.ts';

/** A member that the object itself has. */
export const own = (object: JsonObject, key: string): unknown =>
  Object.hasOwn(object, key) ? object[key] : undefined;
export const put = setMember;

/** A deep copy; numbers, bigints and strings are shared. */
export function clone<T>(value: T): T {
  if (Array.isArray(value)) return value.map((item: unknown) => clone(item)) as T;
  if (!isJsonObject(value)) return value;
  const out: JsonObject = {};
  for (const key of Object.keys(value)) setMember(out, key, clone(value[key]));
  return out as T;
}

/** Whether two values are the same JSON, whatever the order of members. */
export function equal(a: unknown, b: unknown): boolean {
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, index) => equal(item, b[index]));
  }
  if (!isJsonObject(a) || !isJsonObject(b)) return a === b;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]))
  );
}
