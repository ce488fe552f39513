import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { formatTimestamp, parseTimestamp, storedTimestamp, zeroSeconds } from './timestamp.ts';

const seed = process.env['SEED'] === undefined ? {} : { seed: Number(process.env['SEED']) };

/** What becomes of a text that is taken apart, errors included. */
function takenApart(text: string, kind: 'time' | 'microTime'): string | undefined {
  const time = parseTimestamp(text, kind);
  return time.seconds === zeroSeconds && time.nanos === 0 ? undefined : formatTimestamp(time, kind);
}
const outcome = (work: () => string | undefined): string => {
  try {
    return String(work());
  } catch (error) {
    return `error: ${(error as Error).message}`;
  }
};

describe('times as they are stored', () => {
  it('are what comes of taking a text apart, whether or not that is needed', () => {
    const two = fc.oneof(
      { weight: 5, arbitrary: fc.integer({ min: 1, max: 31 }) },
      fc.integer({ min: 0, max: 99 }),
    );
    const digits = (value: number, length: number): string => String(value).padStart(length, '0');
    const text = fc
      .tuple(
        fc.oneof(fc.integer({ min: 0, max: 9999 }), fc.constantFrom(0, 1, 1970, 2024, 2025)),
        fc.tuple(two, two, two, two, two),
        fc.constantFrom('', '.000006', '.123456', '.5', ',123456', '.1234567'),
        fc.constantFrom('Z', '+00:00', '-01:30', 'z', ''),
        fc.constantFrom('T', 'T', 'T', ' ', 't'),
      )
      .map(
        ([year, [month, day, hour, minute, second], fraction, zone, t]) =>
          `${digits(year, 4)}-${digits(month, 2)}-${digits(day, 2)}${t}${digits(hour, 2)}:${digits(minute, 2)}:${digits(second, 2)}${fraction}${zone}`,
      );
    const odd = fc.constantFrom(
      '0001-01-01T00:00:00Z',
      '0001-01-01T00:00:00.000000Z',
      '0001-01-01T00:00:01Z',
      '2023-02-29T00:00:00Z',
      '2024-02-29T00:00:00Z',
      '2024-01-01T24:00:00Z',
      '2024-12-31T23:59:60Z',
      'Tue Jan 2 2024 03:0Z',
    );
    fc.assert(
      fc.property(fc.oneof(text, odd), fc.constantFrom('time', 'microTime'), (written, kind) => {
        const expected = outcome(() => takenApart(written, kind));
        assert.equal(
          outcome(() => storedTimestamp(written, kind)),
          expected,
        );
      }),
      { numRuns: Number(process.env['ITERATIONS'] ?? 5_000), ...seed },
    );
  });
});
