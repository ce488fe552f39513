import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { ConfigMap } from '@cloudless/kube/types/core-v1';
import type { Strategy } from '../../strategy.ts';
import { invalidEach, semanticallyEqual } from '../../validation/fields.ts';
import { isConfigMapKey } from '../../validation/names.ts';
import { ageColumn, ageOf, table, text } from '../table/table.ts';

/** Of all values together, keys not counted; also of a Secret. */
export const maxDataBytes = 1024 * 1024;

/** Bytes that a base64 text stands for. */
export function decodedLength(base64: string): number {
  const padding = base64.endsWith('==') ? 2 : base64.endsWith('=') ? 1 : 0;
  return Math.floor((base64.length * 3) / 4) - padding;
}

/** What may not change once `immutable` is set. */
export function validateImmutableData<T extends { immutable?: boolean }>(
  now: T,
  before: T,
  names: ReadonlyArray<keyof T & string>,
): FieldError[] {
  if (!before.immutable) return [];
  const text = 'field is immutable when `immutable` is set';
  const wrong: FieldError[] = [];
  if (!now.immutable) wrong.push(fieldErrors.forbidden(FieldPath.of('immutable'), text));
  for (const name of names) {
    if (!semanticallyEqual(now[name] ?? {}, before[name] ?? {})) {
      wrong.push(fieldErrors.forbidden(FieldPath.of(name), text));
    }
  }
  return wrong;
}

function validate(map: ConfigMap): FieldError[] {
  const wrong: FieldError[] = [];
  let size = 0;
  for (const [key, value] of Object.entries(map.data ?? {})) {
    const at = FieldPath.of('data').key(key);
    wrong.push(...invalidEach(at, key, isConfigMapKey(key)));
    if (map.binaryData?.[key] !== undefined) {
      wrong.push(fieldErrors.invalid(at, key, 'duplicate of key present in binaryData'));
    }
    size += Buffer.byteLength(value);
  }
  for (const [key, value] of Object.entries(map.binaryData ?? {})) {
    wrong.push(...invalidEach(FieldPath.of('binaryData').key(key), key, isConfigMapKey(key)));
    size += decodedLength(value);
  }
  if (size > maxDataBytes) wrong.push(fieldErrors.tooLong(FieldPath.of(''), maxDataBytes));
  return wrong;
}

/** Upstream: pkg/apis/core/validation, pkg/registry/core/configmap. */
export const configMap: Strategy<ConfigMap> = {
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object, old) => [
    ...validateImmutableData(object, old, ['data', 'binaryData']),
    ...validate(object),
  ],
  table: table<ConfigMap>([text('Data', 'Number of keys.'), ageColumn], (object, nowMs) => [
    Object.keys(object.data ?? {}).length + Object.keys(object.binaryData ?? {}).length,
    ageOf(object, nowMs),
  ]),
};
