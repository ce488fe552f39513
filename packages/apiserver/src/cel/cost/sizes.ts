/** Ranges of sizes and costs (cel-go checker/cost.go). */

/** Stands for all that nothing bounds, and for sums beyond it: upstream's largest uint64. */
export const unbounded: number = 2 ** 64;

export interface Range {
  readonly min: number;
  readonly max: number;
}

export const unknownSize: Range = { min: 0, max: unbounded };
export const exactly = (value: number): Range => ({ min: value, max: value });
export const nothing: Range = exactly(0);

const capped = (value: number): number => Math.min(value, unbounded);
const times = (a: number, b: number): number => capped(a * b);

export const plus = (...ranges: readonly Range[]): Range => ({
  min: capped(ranges.reduce((sum, range) => sum + range.min, 0)),
  max: capped(ranges.reduce((sum, range) => sum + range.max, 0)),
});
export const multiply = (a: Range, b: Range): Range => ({
  min: times(a.min, b.min),
  max: times(a.max, b.max),
});
/** Rounded up. */
export const scale = (range: Range, factor: number): Range => ({
  min: capped(Math.ceil(range.min * factor)),
  max: capped(Math.ceil(range.max * factor)),
});
export const union = (a: Range, b: Range): Range => ({
  min: Math.min(a.min, b.min),
  max: Math.max(a.max, b.max),
});
