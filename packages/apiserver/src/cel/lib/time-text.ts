/** Times and durations as Go reads them. */

const units: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};
const part = /(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)/y;

/** Nanoseconds of `1h30m`, `-1.5s` (Go: time.ParseDuration); undefined for what is none or beyond int64. */
export function parseDuration(text: string): bigint | undefined {
  const sign = /^[+-]/.exec(text)?.[0];
  const rest = sign === undefined ? text : text.slice(1);
  if (rest === '0') return 0n;
  let sum = 0n;
  let at = 0;
  while (at < rest.length) {
    part.lastIndex = at;
    const match = part.exec(rest);
    if (!match) return undefined;
    const [whole, digits, fraction, unit] = match as unknown as [string, string, string | undefined, string];
    if (digits === '' && (fraction ?? '') === '') return undefined;
    const scale = units[unit] as bigint;
    sum += BigInt(digits || '0') * scale;
    if (fraction) sum += (BigInt(fraction) * scale) / 10n ** BigInt(fraction.length);
    if (sum > 2n ** 63n) return undefined;
    at += whole.length;
  }
  if (at === 0) return undefined;
  const value = sign === '-' ? -sum : sum;
  return value >= 2n ** 63n ? undefined : value;
}

const rfc3339 =
  /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:[.,](\d+))?(?:(Z)|([+-])(\d{2}):(\d{2}))$/;

export interface ParsedTime {
  readonly nanoseconds: bigint;
  readonly offsetSeconds: number;
}

/** Milliseconds of a date that the calendar has. */
export function parseDate(year: number, month: number, day: number): number | undefined {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? date.getTime() : undefined;
}

/** A time of RFC 3339 as Go reads it; undefined for what is none. */
export function parseTimestamp(text: string): ParsedTime | undefined {
  const match = rfc3339.exec(text);
  if (!match) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const date = parseDate(year, month, day);
  if (date === undefined || hour > 23 || minute > 59 || second > 59) return undefined;
  const offsetHours = Number(match[10] ?? 0);
  const offsetMinutes = Number(match[11] ?? 0);
  if (offsetHours > 24 || offsetMinutes > 60) return undefined;
  const offsetSeconds = (offsetHours * 60 + offsetMinutes) * 60 * (match[9] === '-' ? -1 : 1);
  const seconds = date / 1000 + hour * 3600 + minute * 60 + second - offsetSeconds;
  const fraction = (match[7] ?? '').slice(0, 9).padEnd(9, '0');
  return { nanoseconds: BigInt(seconds) * 1_000_000_000n + BigInt(fraction), offsetSeconds };
}
