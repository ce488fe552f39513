/** A JSON value that is neither null nor made of others. */
export const isScalar = (value: unknown): value is string | number | bigint | boolean =>
  typeof value === 'string' ||
  typeof value === 'number' ||
  typeof value === 'bigint' ||
  typeof value === 'boolean';
