/** JSON → values by declared types. */
import { type CelValue } from '../run/values.ts';
import type { CelType } from '../types.ts';
import { bindAny, JsonList, JsonMap } from './json.ts';

/** The value of JSON that a variable of a type is given; what the type says nothing about is bound as it looks. */
export function bindValue(json: unknown, type: CelType): CelValue {
  if (type.bind !== undefined) return type.bind(json);
  if (typeof json === 'number' && type.kind === 'double') return json;
  if (Array.isArray(json) && type.kind === 'list') {
    const element = type.params[0] as CelType;
    return new JsonList(json, (value) => bindValue(value, element));
  }
  const bound = bindAny(json);
  if (!(bound instanceof JsonMap)) return bound;
  if (type.kind === 'map') {
    const value = type.params[1] as CelType;
    return new JsonMap(json as Record<string, unknown>, (entry) => bindValue(entry, value));
  }
  return bound;
}
