/** Times and durations of schemas' formats (kube-openapi/pkg/validation/strfmt). */
import { parseDate, parseDuration, parseTimestamp, type ParsedTime } from '../lib/time-text.ts';

const units: ReadonlyArray<readonly [bigint, readonly string[]]> = [
  [1n, ['ns', 'nano']],
  [1_000n, ['us', 'µs', 'micro']],
  [1_000_000n, ['ms', 'milli']],
  [1_000_000_000n, ['s', 'sec']],
  [60_000_000_000n, ['m', 'min']],
  [3_600_000_000_000n, ['h', 'hr', 'hour']],
  [86_400_000_000_000n, ['d', 'day']],
  [604_800_000_000_000n, ['w', 'wk', 'week']],
];

/** Nanoseconds of Go's durations, and of words: `3 days 2 hours`; undefined for what is none. */
export function parseApiDuration(text: string): bigint | undefined {
  const known = parseDuration(text);
  if (known !== undefined) return known;
  let sum: bigint | undefined;
  for (const [, amount, word] of text.matchAll(/((\d+)\s*([A-Za-zµ]+))/g).map((match) => match.slice(1))) {
    const unit = (word as string).toLowerCase();
    for (const [scale, names] of units)
      if (names.some((name, i) => unit === name || (i === names.length - 1 && unit.startsWith(name))))
        sum = (sum ?? 0n) + BigInt(amount as string) * scale;
  }
  return sum;
}

/** Nanoseconds of `2006-01-02`; undefined for what is none. */
export function parseFullDate(text: string): bigint | undefined {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text);
  const date = match && parseDate(Number(match[1]), Number(match[2]), Number(match[3]));
  return date === null || date === undefined ? undefined : BigInt(date) * 1_000_000n;
}

/** A time of RFC 3339, or without a zone; an empty text is the epoch. */
export function parseApiTime(text: string): ParsedTime | undefined {
  if (text === '') return { nanoseconds: 0n, offsetSeconds: 0 };
  return parseTimestamp(text) ?? parseTimestamp(`${text}Z`);
}
