/** Constraints on numbers (kube-openapi/pkg/validation/validate: numberValidator, values.go). */
import type { JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';
import { goFloat, Result } from './validation-result.ts';

type Numeric = number | bigint;

const isInteger = (value: Numeric): boolean => typeof value === 'bigint' || Number.isInteger(value);
const int32Limit = 2 ** 31;
const int64Limit = 2 ** 63;
const maxFloat32 = 3.4028234663852886e38;

/** What is wrong with a number for its type's format; `prefix` says which number it is. */
function rangeError(
  value: Numeric,
  type: string,
  format: string,
  prefix: string,
  path: string,
): string | undefined {
  const within = (limit: number): boolean => isInteger(value) && value >= -limit && value < limit;
  let fits = true;
  if (type === 'integer') fits = within(format === 'int32' ? int32Limit : int64Limit);
  else if (format === 'float') fits = Math.abs(Number(value)) <= maxFloat32;
  if (fits) return undefined;
  return format === ''
    ? `${prefix} value must be of type ${type} (default format) in ${path}`
    : `${prefix} value must be of type ${type} with format ${format} in ${path}`;
}

const formats: Readonly<Record<string, readonly string[]>> = {
  integer: ['int32', 'int64'],
  number: ['float', 'double'],
};

/** Checks range, multiples and bounds of a number. */
export function validateNumber(value: Numeric, schema: JSONSchemaProps, path: string): Result {
  const result = new Result();
  const type = schema['x-kubernetes-int-or-string'] ? '' : (schema.type ?? '');
  const format = formats[type]?.includes(schema.format ?? '') ? (schema.format as string) : '';
  const tell = (text: string | undefined): boolean => {
    if (text !== undefined) result.add({ type: 'composite', text });
    return text === undefined;
  };
  tell(rangeError(value, type, format, 'Checked', path));
  const native = (constraint: number, prefix: string): boolean =>
    tell(rangeError(constraint, type, format, prefix, path)) && isInteger(value);
  const { multipleOf, maximum, minimum } = schema;
  if (multipleOf !== undefined) {
    const whole = native(multipleOf, 'MultipleOf');
    multiple(value, whole ? Math.trunc(multipleOf) : multipleOf, whole, path, result);
  }
  if (maximum !== undefined) {
    const limit = native(maximum, 'Maximum boundary') ? Math.trunc(maximum) : maximum;
    const exclusive = schema.exclusiveMaximum === true;
    if (exclusive ? value >= limit : value > limit) {
      const text = exclusive ? 'less than' : 'less than or equal to';
      bound(value, limit, text, path, result);
    }
  }
  if (minimum !== undefined) {
    const limit = native(minimum, 'Minimum boundary') ? Math.trunc(minimum) : minimum;
    const exclusive = schema.exclusiveMinimum === true;
    if (exclusive ? value <= limit : value < limit) {
      const text = exclusive ? 'greater than' : 'greater than or equal to';
      bound(value, limit, text, path, result);
    }
  }
  result.matches++;
  return result;
}

function bound(value: Numeric, limit: number, words: string, path: string, result: Result): void {
  const text = `${path} in body should be ${words} ${goFloat(limit)}`;
  result.add({ type: 'invalid', name: path, text, value });
}

function multiple(value: Numeric, factor: number, whole: boolean, path: string, result: Result): void {
  if (factor <= 0) {
    const text = `factor MultipleOf declared for ${path} must be positive: ${goFloat(factor)}`;
    result.add({ type: 'invalid', name: path, text, value: factor });
    return;
  }
  const quotient = factor < 1 ? (1 / factor) * Number(value) : Number(value) / factor;
  const fits = whole && typeof value === 'bigint' ? value % BigInt(factor) === 0n : isNearInteger(quotient);
  if (fits) return;
  const text = `${path} in body should be a multiple of ${goFloat(factor)}`;
  result.add({ type: 'invalid', name: path, text, value });
}

/** Rounding apart (swag.IsFloat64AJSONInteger). */
function isNearInteger(value: number): boolean {
  if (!Number.isFinite(value) || Math.abs(value) > Number.MAX_SAFE_INTEGER) return false;
  const whole = Math.trunc(value);
  const difference = Math.abs(value - whole);
  if (value === whole) return true;
  if (whole === 0 || value === 0 || difference < Number.MIN_VALUE)
    return difference < 1e-9 * Number.MIN_VALUE;
  return difference / (Math.abs(value) + Math.abs(whole)) < 1e-9;
}
