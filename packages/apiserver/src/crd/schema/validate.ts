/**
 * Validation of a value against a schema, with upstream's texts, types and order of checks
 * (kube-openapi/pkg/validation/validate), and its ratcheting in updates
 * (apiextensions-apiserver/pkg/apiserver/validation/ratcheting.go).
 */
import type { FieldError, FieldPath } from '@cloudless/kube/field';
import type { JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';
import { equalJson } from '../../storage/codec.ts';
import type { Correlation } from './correlate.ts';
import { formatCheck, isSupportedFormat } from './formats.ts';
import { matchesPattern, patternError } from './regex.ts';
import { isJsonObject, type JsonObject } from '@cloudless/kube/codec/json-value';
import { itemsOf, schemaOrBool } from './structural.ts';
import { validateNumber } from './validate-number.ts';
import { fieldErrorsOf, Result } from './validation-result.ts';

/** How upstream names a value's type and format. */
function typeOf(value: unknown): { type: string; format: string } {
  if (Array.isArray(value)) return { type: 'array', format: '' };
  switch (typeof value) {
    case 'boolean':
      return { type: 'boolean', format: '' };
    case 'string':
      return { type: 'string', format: '' };
    case 'bigint':
      return { type: 'integer', format: 'int64' };
    case 'number':
      return Number.isInteger(value)
        ? { type: 'integer', format: 'int64' }
        : { type: 'number', format: 'float64' };
    default:
      return { type: 'object', format: '' };
  }
}

const bothTypes = ['integer', 'string'];

function typesOf(schema: JSONSchemaProps): readonly string[] {
  if (schema['x-kubernetes-int-or-string']) return bothTypes;
  return schema.type ? [schema.type] : [];
}

/** The format if it is checked for the schema's type. */
function supportedFormat(schema: JSONSchemaProps): string {
  const { format } = schema;
  if (!format) return '';
  const type = schema['x-kubernetes-int-or-string'] ? '' : (schema.type ?? '');
  return isSupportedFormat(format, type) ? format : '';
}

function wrongType(path: string, type: string, value: string, result: Result): void {
  const text = `${path} in body must be of type ${type}: ${JSON.stringify(value)}`;
  result.add({ type: 'type', name: path, text, value });
}

/** Whether the type fits; nothing else is checked of a value of the wrong type by its type's own checks. */
function validateType(value: unknown, schema: JSONSchemaProps, path: string, result: Result): void {
  const types = typesOf(schema);
  const format = supportedFormat(schema);
  result.matches++;
  if (value === null) {
    if (types.length > 0 && !schema.nullable) wrongType(path, types.join(','), 'null', result);
    return;
  }
  if (types.length === 0 && format === '') return;
  const is = typeOf(value);
  const textual = is.type === 'string' || is.type === 'array';
  const fits = types.includes(is.type) || (is.type === 'integer' && types.includes('number'));
  if (!textual && format !== '' && !fits && is.format !== format) {
    wrongType(path, format, is.format, result);
    return;
  }
  const numeric = types.includes('number') || types.includes('integer');
  if (!numeric && format !== '' && textual) return;
  if (!fits) wrongType(path, types.join(','), is.type, result);
}

function characters(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

function validateString(value: string, schema: JSONSchemaProps, path: string, result: Result): void {
  const { maxLength, minLength, pattern } = schema;
  result.matches++;
  if (maxLength !== undefined && value.length > maxLength && characters(value) > maxLength) {
    const text = `${path} in body should be at most ${maxLength} chars long`;
    result.add({ type: 'too-long', name: path, text, max: maxLength });
    return;
  }
  if (minLength !== undefined && characters(value) < minLength) {
    const text = `${path} in body should be at least ${minLength} chars long`;
    result.add({ type: 'invalid', name: path, text, value });
    return;
  }
  if (!pattern) return;
  const broken = patternError(pattern);
  if (broken !== undefined) {
    const text = `${path} in body should match '${pattern}, but pattern is invalid: ${broken}'`;
    result.add({ type: 'invalid', name: path, text, value });
  } else if (!matchesPattern(pattern, value)) {
    result.add({ type: 'invalid', name: path, text: `${path} in body should match '${pattern}'`, value });
  }
}

function validateFormat(value: string, schema: JSONSchemaProps, path: string, result: Result): void {
  const format = supportedFormat(schema);
  const check = format === '' ? undefined : formatCheck(format);
  if (!check) return;
  result.matches++;
  if (check(value)) return;
  const text = `${path} in body must be of type ${format}: ${JSON.stringify(value)}`;
  result.add({ type: 'type', name: path, text, value });
}

function validateEnum(value: unknown, schema: JSONSchemaProps, path: string, result: Result): void {
  const allowed = schema.enum ?? [];
  result.matches++;
  if (allowed.length === 0) return;
  // A null never equals a member, not even null.
  if (value !== null && allowed.some((each) => each !== null && equalJson(each, value))) return;
  const text = `${path} in body should be one of [${allowed.map(String).join(' ')}]`;
  result.add({ type: 'enum', name: path, text, value, allowed });
}

function validateArray(
  value: readonly unknown[],
  schema: JSONSchemaProps,
  path: string,
  result: Result,
  old: Correlation | undefined,
): void {
  const items = itemsOf(schema);
  if (items) {
    for (const [i, item] of value.entries())
      result.merge(ratcheted(item, items, `${path}[${i}]`, old?.index(i)));
  }
  const { minItems, maxItems } = schema;
  if (minItems !== undefined && value.length < minItems) {
    const text = `${path} in body should have at least ${minItems} items`;
    result.add({ type: 'invalid', name: path, text, value: value.length });
  }
  if (maxItems !== undefined && value.length > maxItems) {
    const text = `${path} in body should have at most ${maxItems} items`;
    result.add({ type: 'too-many', name: path, text, actual: value.length, max: maxItems });
  }
  if (
    schema.uniqueItems &&
    value.some((item, i) => value.slice(0, i).some((other) => equalJson(item, other)))
  )
    result.add({
      type: 'invalid',
      name: path,
      text: `${path} in body shouldn't contain duplicates`,
      value: '',
    });
  result.matches += 2;
}

function validateObject(
  value: JsonObject,
  schema: JSONSchemaProps,
  path: string,
  result: Result,
  old: Correlation | undefined,
): void {
  const keys = Object.keys(value);
  const { minProperties, maxProperties } = schema;
  if (minProperties !== undefined && keys.length < minProperties) {
    const text = `${path} in body should have at least ${minProperties} properties`;
    result.add({ type: 'invalid', name: path, text, value: keys.length });
  }
  if (maxProperties !== undefined && keys.length > maxProperties) {
    const text = `${path} in body should have at most ${maxProperties} properties`;
    result.add({ type: 'too-many', name: path, text, actual: keys.length, max: maxProperties });
  }
  const properties = schema.properties ?? {};
  const additional = schemaOrBool(schema.additionalProperties);
  for (const key of keys) {
    if (Object.hasOwn(properties, key)) continue;
    if (additional && !additional.allows) {
      const text = `${path}.${key} in body is a forbidden property`;
      result.add({ type: 'invalid', name: path, text, value: key });
    } else if (additional?.schema) {
      result.merge(ratcheted(value[key], additional.schema, `${path}.${key}`, old?.key(key)));
    }
  }
  for (const key of keys) {
    if (!Object.hasOwn(properties, key)) continue;
    // apiVersion and kind are those of the request: that they have not changed says nothing.
    const member = path === '' && (key === 'kind' || key === 'apiVersion') ? undefined : old?.key(key);
    const at = path === '' ? key : `${path}.${key}`;
    result.merge(ratcheted(value[key], properties[key] as JSONSchemaProps, at, member));
  }
  for (const name of schema.required ?? []) {
    if (Object.hasOwn(value, name)) continue;
    const at = `${path}.${name}`;
    result.add({ type: 'required', name: at, text: `${at} in body is required` });
  }
  result.matches++;
}

/** The combination keywords; of alternatives that all fail, the one with most checks that held is reported. */
function validateCombinations(
  value: unknown,
  schema: JSONSchemaProps,
  path: string,
  result: Result,
  old: Correlation | undefined,
): void {
  const { anyOf = [], oneOf = [], allOf = [], not } = schema;
  const quoted = JSON.stringify(path);
  result.matches += 2;
  if (anyOf.length > 0) {
    const { first, best } = alternatives(value, anyOf, path, old, true);
    if (!first)
      result.add({ type: 'composite', text: `${quoted} must validate at least one schema (anyOf)` });
    if (first ?? best) result.merge((first ?? best) as Result);
  }
  if (oneOf.length > 0) {
    const { first, best, valid } = alternatives(value, oneOf, path, old, false);
    if (valid === 1) result.merge(first as Result);
    else {
      const why = valid === 0 ? 'Found none valid' : `Found ${valid} valid alternatives`;
      result.add({
        type: 'composite',
        text: `${quoted} must validate one and only one schema (oneOf). ${why}`,
      });
      if (best && valid === 0) result.merge(best);
    }
  }
  if (allOf.length > 0) {
    let valid = 0;
    for (const each of allOf) {
      const one = validateValue(value, each, path, old);
      if (one.isValid) valid++;
      result.merge(one);
    }
    if (valid !== allOf.length) {
      const none = valid === 0 ? '. None validated' : '';
      result.add({ type: 'composite', text: `${quoted} must validate all the schemas (allOf)${none}` });
    }
  }
  if (not && validateValue(value, not, path, old).isValid)
    result.add({ type: 'composite', text: `${quoted} must not validate the schema (not)` });
}

function alternatives(
  value: unknown,
  schemas: readonly JSONSchemaProps[],
  path: string,
  old: Correlation | undefined,
  anyWillDo: boolean,
): { first: Result | undefined; best: Result | undefined; valid: number } {
  let first: Result | undefined;
  let best: Result | undefined;
  let valid = 0;
  for (const schema of schemas) {
    const result = validateValue(value, schema, path, old);
    if (result.isValid) {
      valid++;
      first ??= result;
      if (anyWillDo) break;
    } else if (!best || result.matches > best.matches) best = result;
  }
  return { first, best, valid };
}

/** Everything a schema says of a value. `path` is upstream's dotted path, '' for the root. */
function validateValue(
  value: unknown,
  schema: JSONSchemaProps,
  path: string,
  old: Correlation | undefined,
): Result {
  const result = new Result();
  if (value === null) {
    validateType(value, schema, path, result);
    validateEnum(value, schema, path, result);
    return result;
  }
  validateType(value, schema, path, result);
  validateCombinations(value, schema, path, result, old);
  if (typeof value === 'string') {
    validateString(value, schema, path, result);
    validateFormat(value, schema, path, result);
  } else if (typeof value === 'number' || typeof value === 'bigint') {
    result.merge(validateNumber(value, schema, path));
  } else if (Array.isArray(value)) validateArray(value, schema, path, result, old);
  validateEnum(value, schema, path, result);
  if (isJsonObject(value)) validateObject(value, schema, path, result, old);
  result.matches++;
  return result;
}

/** Errors of a part that has not changed are overlooked. */
function ratcheted(
  value: unknown,
  schema: JSONSchemaProps,
  path: string,
  old: Correlation | undefined,
): Result {
  const result = validateValue(value, schema, path, old);
  if (result.isValid || !old?.isEqual) return result;
  const overlooked = new Result();
  overlooked.mergeMatches(result);
  return overlooked;
}

/**
 * Violations of a value, as upstream reports them. `base` is the field of the value, undefined for a whole object.
 * `old` correlates an update's values: errors of what has not changed are overlooked.
 */
export function validateAgainst(
  value: unknown,
  schema: JSONSchemaProps,
  base?: FieldPath,
  old?: Correlation,
): FieldError[] {
  const result = ratcheted(value, schema, '', old);
  return result.isValid ? [] : fieldErrorsOf(result, base);
}
