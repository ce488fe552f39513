/** Quantities (apiserver/pkg/cel/library/quantity.go). */
import { Quantity, QuantityError } from '@cloudless/kube/quantity';
import { fn, method, type Overload } from '../check/functions.ts';
import { CelOpaque, type CelValue, fail } from '../run/values.ts';
import { boolType, doubleType, intType, nominalType, stringType } from '../types.ts';

export const quantityType = nominalType('kubernetes.Quantity');

class QuantityValue extends CelOpaque {
  override readonly typeName = 'kubernetes.Quantity';
  readonly quantity: Quantity;

  constructor(quantity: Quantity) {
    super();
    this.quantity = quantity;
  }

  override equals(other: CelOpaque): boolean {
    return other instanceof QuantityValue && other.quantity.equals(this.quantity);
  }
}

function parse(text: string): QuantityValue | string {
  // Go trims nothing.
  if (text !== text.trim())
    return "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
  try {
    return new QuantityValue(Quantity.parse(text));
  } catch (error) {
    if (error instanceof QuantityError) return error.message;
    throw error;
  }
}

const two = [quantityType, quantityType];
const ofInt = (value: bigint): Quantity => Quantity.of(value, 'DecimalExponent');

type Pair = (left: QuantityValue, right: QuantityValue) => CelValue;
const compared =
  (holds: (order: number) => CelValue): Pair =>
  (left, right) =>
    holds(left.quantity.compare(right.quantity));

export const quantityLibrary: readonly Overload[] = [
  fn('quantity', 'string_to_quantity', [stringType], quantityType, (text: string): CelValue => {
    const quantity = parse(text);
    return typeof quantity === 'string' ? fail(quantity) : quantity;
  }),
  fn(
    'isQuantity',
    'is_quantity_string',
    [stringType],
    boolType,
    (text: string) => typeof parse(text) !== 'string',
  ),
  fn('sign', 'quantity_sign', [quantityType], intType, (value: QuantityValue) => BigInt(value.quantity.sign)),
  method(
    'isGreaterThan',
    'quantity_is_greater_than',
    two,
    boolType,
    compared((order) => order > 0),
  ),
  method(
    'isLessThan',
    'quantity_is_less_than',
    two,
    boolType,
    compared((order) => order < 0),
  ),
  method(
    'compareTo',
    'quantity_compare_to',
    two,
    intType,
    compared((order) => BigInt(order)),
  ),
  method('asApproximateFloat', 'quantity_get_float', [quantityType], doubleType, (value: QuantityValue) =>
    value.quantity.toNumber(),
  ),
  method(
    'asInteger',
    'quantity_get_int',
    [quantityType],
    intType,
    (value: QuantityValue) => value.quantity.asInt64() ?? fail('cannot convert value to integer'),
  ),
  method(
    'isInteger',
    'quantity_is_integer',
    [quantityType],
    boolType,
    (value: QuantityValue) => value.quantity.asInt64() !== undefined,
  ),
  method(
    'add',
    'quantity_add',
    two,
    quantityType,
    (left: QuantityValue, right: QuantityValue) => new QuantityValue(left.quantity.add(right.quantity)),
  ),
  method(
    'add',
    'quantity_add_int',
    [quantityType, intType],
    quantityType,
    (left: QuantityValue, right: bigint) => new QuantityValue(left.quantity.add(ofInt(right))),
  ),
  method(
    'sub',
    'quantity_sub',
    two,
    quantityType,
    (left: QuantityValue, right: QuantityValue) => new QuantityValue(left.quantity.sub(right.quantity)),
  ),
  method(
    'sub',
    'quantity_sub_int',
    [quantityType, intType],
    quantityType,
    (left: QuantityValue, right: bigint) => new QuantityValue(left.quantity.sub(ofInt(right))),
  ),
];
