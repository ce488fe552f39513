/** Selecting fields, keys and elements (cel-go interpreter/attributes.go). */
import {
  CelFailure,
  CelList,
  CelMap,
  CelMessage,
  CelUint,
  type CelValue,
  fail,
  goTypeOf,
  typeNameOf,
} from './values.ts';
import { formatValue } from './format.ts';

/** The place in a list that a number means; -1 for none. */
export function indexOf(key: CelValue): number | CelFailure {
  if (typeof key === 'bigint') return Number(key);
  if (key instanceof CelUint) return Number(key.value);
  if (typeof key === 'number')
    return Number.isSafeInteger(key) ? key : fail(`unsupported index value ${formatValue(key)} in list`);
  return fail(`unsupported index type '${typeNameOf(key)}' in list`);
}

/** What `key` selects in `value`; undefined where nothing is. */
export function find(value: CelValue, key: CelValue): CelValue | undefined {
  if (value instanceof CelMap || value instanceof CelMessage) return value.find(key);
  if (value instanceof CelList) {
    const index = indexOf(key);
    if (index instanceof CelFailure) return index;
    return index >= 0 && index < value.size ? value.at(index) : undefined;
  }
  return value instanceof CelFailure ? value : undefined;
}

/** As `find`, but that nothing is there is a failure. */
export function get(value: CelValue, key: CelValue): CelValue {
  const found = find(value, key);
  if (found !== undefined) return found;
  const zero = value instanceof CelMessage ? value.zero(key) : undefined;
  if (zero !== undefined) return zero;
  return fail(
    value instanceof CelList
      ? `index out of bounds: ${formatValue(key)}`
      : `no such key: ${formatValue(key)}`,
  );
}

/** Whether a value can select anything; else the failure that says so. */
export function checkKey(key: CelValue): CelValue {
  const selects =
    (typeof key !== 'object' && key !== undefined) || key instanceof CelUint || key instanceof CelFailure;
  return selects ? key : fail(`invalid qualifier type: ${goTypeOf(key)}`);
}
