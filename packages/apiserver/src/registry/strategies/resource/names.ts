/** Names and collections in kinds of devices (upstream: pkg/apis/resource/validation). */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import { dns1123Subdomain } from '../../validation/fields.ts';
import { validateCsiDriverName } from '../pod/validate-remote-volumes.ts';

const maxIdentifierBytes = 32;
const maxPoolNameBytes = 253;
/** A domain, a slash and a name. */
export const maxQualifiedNameBytes = 63 + 1 + maxIdentifierBytes;
const identifierText =
  "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')";
const uuidNormal =
  'uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters';

/** Each item, unless there are too many to look at; with `key`, each key once. */
export function validateItems<T>(
  items: readonly T[] | undefined,
  path: FieldPath,
  max: number,
  check: (item: T, path: FieldPath) => FieldError[],
  key?: (item: T) => string,
): FieldError[] {
  const list = items ?? [];
  if (list.length > max) return [fieldErrors.tooMany(path, list.length, max)];
  const wrong = list.flatMap((item, i) => check(item, path.index(i)));
  if (!key) return wrong;
  const keys = list.map(key);
  for (const [i, text] of keys.entries())
    if (keys.indexOf(text) < i) wrong.push(fieldErrors.duplicate(path.index(i), text));
  return wrong;
}

/** As Go cuts keys of maps in paths: the middle goes. */
function shortened(key: string, max: number): string {
  const limit = Math.max(max, 16);
  const bytes = Buffer.from(key);
  if (bytes.length <= limit) return key;
  const left = limit - 3;
  const head = bytes.subarray(0, Math.trunc((left + 1) / 2)).toString();
  return `${head}...${bytes.subarray(bytes.length - Math.trunc(left / 2)).toString()}`;
}

/** How a map is judged; `max` entries at most, keys shown with at most `keyBytes`. */
export interface MapRules<T> {
  readonly max?: number;
  readonly keyBytes: number;
  key(name: string, path: FieldPath): FieldError[];
  value(value: T, path: FieldPath): FieldError[];
}

export function validateMap<T>(
  map: Readonly<Record<string, T>> | undefined,
  path: FieldPath,
  rules: MapRules<T>,
): FieldError[] {
  const entries = Object.entries(map ?? {});
  if (rules.max !== undefined && entries.length > rules.max)
    return [fieldErrors.tooMany(path, entries.length, rules.max)];
  return entries.flatMap(([name, value]) => [
    ...rules.key(name, path),
    ...rules.value(value, path.key(shortened(name, rules.keyBytes))),
  ]);
}

/** DNS subdomains with slashes between them. */
export function validatePoolName(name: string | undefined, path: FieldPath): FieldError[] {
  if (!name) return [fieldErrors.required(path)];
  const wrong =
    Buffer.byteLength(name) > maxPoolNameBytes ? [fieldErrors.tooLong(path, maxPoolNameBytes)] : [];
  return [...wrong, ...name.split('/').flatMap((part) => dns1123Subdomain(part, path))];
}

const hex = '[0-9a-fA-F]';
const uuid = `${hex}{8}-${hex}{4}-${hex}{4}-${hex}{4}-${hex}{12}`;

/** Why a text is no UUID in any of its forms, in the words of github.com/google/uuid. */
function uuidProblem(text: string): string | undefined {
  const bytes = Buffer.byteLength(text);
  const format = 'invalid UUID format';
  switch (bytes) {
    case 45:
      if (text.slice(0, 9).toLowerCase() !== 'urn:uuid:')
        return `invalid urn prefix: ${JSON.stringify(text.slice(0, 9))}`;
      return new RegExp(`^${uuid}$`).test(text.slice(9)) ? undefined : format;
    case 38:
      if (!text.startsWith('{') || !text.endsWith('}')) return 'invalid bracketed UUID format';
      return new RegExp(`^${uuid}$`).test(text.slice(1, -1)) ? undefined : format;
    case 36:
      return new RegExp(`^${uuid}$`).test(text) ? undefined : format;
    case 32:
      return new RegExp(`^${hex}{32}$`).test(text) ? undefined : format;
    default:
      return `invalid UUID length: ${bytes}`;
  }
}

export function validateUuid(text: string, path: FieldPath): FieldError[] {
  const problem = uuidProblem(text);
  if (problem) return [fieldErrors.invalid(path, text, `error validating uid: ${problem}`)];
  if (text.length === 36 && text === text.toLowerCase()) return [];
  return [fieldErrors.invalid(path, text, uuidNormal)];
}

function validateIdentifier(name: string, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  if (Buffer.byteLength(name) > maxIdentifierBytes) wrong.push(fieldErrors.tooLong(path, maxIdentifierBytes));
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) wrong.push(fieldErrors.invalid(path, name, identifierText));
  return wrong;
}

/** `NAME` or `DOMAIN/NAME`; upstream does not look at names with more slashes. */
export function validateQualifiedName(name: string, path: FieldPath): FieldError[] {
  const parts = name.split('/');
  if (parts.length > 2) return [];
  const [domain, id = ''] = parts.length === 1 ? [undefined, name] : parts;
  if (domain === undefined) return validateIdentifier(id, path);
  return [
    ...(domain === ''
      ? [fieldErrors.invalid(path, '', 'the domain must not be empty')]
      : validateCsiDriverName(domain, path)),
    ...(id === ''
      ? [fieldErrors.invalid(path, '', 'the name must not be empty')]
      : validateIdentifier(id, path)),
  ];
}

/** `DOMAIN/NAME`. */
export function validateFullName(name: string, path: FieldPath): FieldError[] {
  const wrong = validateQualifiedName(name, path);
  if (name.includes('/')) return wrong;
  const why = 'a fully qualified name must be a domain and a name separated by a slash';
  return [...wrong, fieldErrors.invalid(path, name, why)];
}
