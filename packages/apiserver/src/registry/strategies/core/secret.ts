import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { Secret } from '@cloudless/kube/types/core-v1';
import type { Strategy } from '../../strategy.ts';
import { immutable, invalidEach } from '../../validation/fields.ts';
import { isConfigMapKey } from '../../validation/names.ts';
import { ageColumn, ageOf, table, text } from '../table/table.ts';
import { decodedLength, maxDataBytes, validateImmutableData } from './config-map.ts';

const dataPath = FieldPath.of('data');

/** `stringData` is for writing only: its values become `data`, over keys that are there. */
function mergeStringData(secret: Secret): void {
  if (!secret.stringData) return;
  const data = (secret.data ??= {});
  for (const [key, value] of Object.entries(secret.stringData))
    data[key] = Buffer.from(value).toString('base64');
  delete secret.stringData;
}

function validateJson(secret: Secret, key: string): FieldError[] {
  const value = secret.data?.[key];
  const at = dataPath.key(key);
  if (value === undefined) return [fieldErrors.required(at)];
  try {
    const parsed: unknown = JSON.parse(Buffer.from(value, 'base64').toString());
    if (parsed === null || (typeof parsed === 'object' && !Array.isArray(parsed))) return [];
  } catch {
    // The parser's message may show part of the value, which is secret.
  }
  return [fieldErrors.invalid(at, '<secret contents redacted>', 'must be a JSON object')];
}

const needsKeys = (secret: Secret, ...keys: string[]): FieldError[] =>
  keys
    .filter((key) => secret.data?.[key] === undefined)
    .map((key) => fieldErrors.required(dataPath.key(key)));

/** Types that say what the data must hold. */
const types: Readonly<Record<string, (secret: Secret) => FieldError[]>> = {
  'kubernetes.io/service-account-token': (secret) =>
    secret.metadata.annotations?.['kubernetes.io/service-account.name']
      ? []
      : [
          fieldErrors.required(
            FieldPath.of('metadata', 'annotations').key('kubernetes.io/service-account.name'),
          ),
        ],
  'kubernetes.io/dockercfg': (secret) => validateJson(secret, '.dockercfg'),
  'kubernetes.io/dockerconfigjson': (secret) => validateJson(secret, '.dockerconfigjson'),
  'kubernetes.io/basic-auth': (secret) =>
    secret.data?.['username'] === undefined && secret.data?.['password'] === undefined
      ? needsKeys(secret, 'username', 'password')
      : [],
  'kubernetes.io/ssh-auth': (secret) =>
    secret.data?.['ssh-privatekey'] ? [] : [fieldErrors.required(dataPath.key('ssh-privatekey'))],
  'kubernetes.io/tls': (secret) => needsKeys(secret, 'tls.crt', 'tls.key'),
};

function validate(secret: Secret): FieldError[] {
  const wrong: FieldError[] = [];
  let size = 0;
  for (const [key, value] of Object.entries(secret.data ?? {})) {
    wrong.push(...invalidEach(dataPath.key(key), key, isConfigMapKey(key)));
    size += decodedLength(value ?? '');
  }
  if (size > maxDataBytes) wrong.push(fieldErrors.tooLong(dataPath, maxDataBytes));
  return [
    ...wrong,
    ...(Object.hasOwn(types, secret.type ?? '') ? (types[secret.type ?? '']?.(secret) ?? []) : []),
  ];
}

/** Upstream: pkg/apis/core/validation, pkg/registry/core/secret. */
export const secret: Strategy<Secret> = {
  defaults(object) {
    mergeStringData(object);
    object.type ||= 'Opaque';
  },
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object, old) => [
    ...immutable(object.type, old.type, FieldPath.of('type')),
    ...validateImmutableData(object, old, ['data']),
    ...validate(object),
  ],
  selectableFields: { type: (object) => object.type ?? '' },
  table: table<Secret>(
    [text('Type', 'What the data is for.'), text('Data', 'Number of keys.'), ageColumn],
    (object, nowMs) => [object.type ?? '', Object.keys(object.data ?? {}).length, ageOf(object, nowMs)],
  ),
};
