/** Capacities of devices that several claims share, and how much one may ask for (upstream: pkg/apis/resource/validation). */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import { Quantity } from '@cloudless/kube/quantity';
import type { Quantity as QuantityText } from '@cloudless/kube/types/meta-v1';
import type {
  CapacityRequestPolicy,
  CapacityRequestPolicyRange,
  DeviceCapacity,
} from '@cloudless/kube/types/resource-v1';
import { compareQuantities, formatQuantity } from '../../validation/quantities.ts';
import { validateItems } from './names.ts';

const maxOptions = 10;
const whole = (quantity: QuantityText): bigint => (Quantity.tryParse(quantity) ?? Quantity.zero).value();

function validateOptions(
  options: readonly QuantityText[],
  chosen: QuantityText,
  capacity: QuantityText,
  path: FieldPath,
): FieldError[] {
  const wrong: FieldError[] = [];
  for (let i = 1; i < options.length; i++) {
    if (compareQuantities(options[i - 1], options[i]) <= 0) continue;
    const why = 'values must be sorted in ascending order';
    wrong.push(fieldErrors.invalid(path.index(i), formatQuantity(options[i]), why));
  }
  const why = `option is larger than capacity value: ${formatQuantity(capacity)}`;
  wrong.push(
    ...validateItems(
      options,
      path,
      maxOptions,
      (option, at) =>
        compareQuantities(option, capacity) > 0 ? [fieldErrors.invalid(at, formatQuantity(option), why)] : [],
      (option) => whole(option).toString(),
    ),
  );
  // Too many are not looked at, so that none of them is the default.
  const isFound =
    options.length <= maxOptions && options.some((option) => compareQuantities(option, chosen) === 0);
  if (isFound) return wrong;
  const notFound = 'default value is not valid according to the requestPolicy';
  return [...wrong, fieldErrors.invalid(path, formatQuantity(chosen), notFound)];
}

function validateStep(
  value: QuantityText,
  min: QuantityText,
  step: QuantityText,
  path: FieldPath,
): FieldError[] {
  const size = whole(step);
  // Upstream divides by zero here.
  if (size !== 0n && (whole(value) - whole(min)) % size === 0n) return [];
  const why = `value is not a multiple of a given step (${formatQuantity(step)}) from (${formatQuantity(min)})`;
  return [fieldErrors.invalid(path, formatQuantity(value), why)];
}

function validateRange(
  { min, max, step }: Partial<CapacityRequestPolicyRange>,
  chosen: QuantityText,
  capacity: QuantityText,
  path: FieldPath,
): FieldError[] {
  if (min == null) return [fieldErrors.required(path.child('min'), 'required when validRange is defined')];
  const wrong: FieldError[] = [];
  const say = (field: string, value: QuantityText, why: string, limit: QuantityText): void => {
    wrong.push(
      fieldErrors.invalid(path.child(field), formatQuantity(value), `${why}: ${formatQuantity(limit)}`),
    );
  };
  if (compareQuantities(min, capacity) > 0) say('min', min, 'min is larger than capacity value', capacity);
  if (compareQuantities(chosen, min) < 0) say('min', chosen, 'default is less than min', min);
  if (max != null) {
    if (compareQuantities(min, max) > 0) say('max', min, 'min is larger than max', max);
    if (compareQuantities(max, capacity) > 0) say('max', max, 'max is larger than capacity value', capacity);
    if (compareQuantities(chosen, max) > 0) say('max', chosen, 'default is more than max', max);
  }
  if (step == null) return wrong;
  const at = path.child('step');
  const first = (Quantity.tryParse(min) ?? Quantity.zero).add(Quantity.tryParse(step) ?? Quantity.zero);
  if (compareQuantities(first.toString(), capacity) > 0) {
    const why = `one step ${first.toString()} is larger than capacity value: ${formatQuantity(capacity)}`;
    wrong.push(fieldErrors.invalid(at, formatQuantity(step), why));
  }
  wrong.push(...validateStep(chosen, min, step, at));
  if (max != null) wrong.push(...validateStep(max, min, step, at));
  return wrong;
}

function validatePolicy(
  policy: CapacityRequestPolicy,
  capacity: QuantityText,
  path: FieldPath,
): FieldError[] {
  const { default: chosen, validRange, validValues = [] } = policy;
  if (validValues.length > 0 && validRange) {
    const why =
      'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time';
    return [fieldErrors.forbidden(path, why)];
  }
  const which = validValues.length > 0 ? 'validValues' : validRange ? 'validRange' : undefined;
  if (!which) return [];
  if (chosen == null)
    return [fieldErrors.required(path.child('default'), `required when ${which} is defined`)];
  return validRange
    ? validateRange(validRange, chosen, capacity, path.child(which))
    : validateOptions(validValues, chosen, capacity, path.child(which));
}

/** `isShared`: several claims may have a part of the device each. */
export function validateCapacity(capacity: DeviceCapacity, isShared: boolean, path: FieldPath): FieldError[] {
  const { requestPolicy, value } = capacity;
  if (!requestPolicy) return [];
  const at = path.child('requestPolicy');
  if (!isShared) return [fieldErrors.forbidden(at, 'allowMultipleAllocations must be true')];
  return validatePolicy(requestPolicy, value ?? '0', at);
}
