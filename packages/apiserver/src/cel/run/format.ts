/** Values as texts: in messages, and by string() (cel-go common/types). */
import {
  CelBytes,
  CelDuration,
  CelFailure,
  CelList,
  CelMap,
  CelOpaque,
  CelOptional,
  CelTimestamp,
  CelTypeValue,
  CelUint,
  type CelValue,
} from './values.ts';

/** Go's %g: shortest digits, exponents of two digits from 1e21 and below 1e-4. */
export function formatDouble(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  const magnitude = Math.abs(value);
  if (magnitude >= 1e-4 && magnitude < 1e21) return String(value);
  const [mantissa, exponent] = value.toExponential().split('e') as [string, string];
  const power = Number(exponent);
  return `${mantissa}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
}

/** Go's RFC3339Nano, in the zone that the time was given in. */
export function formatTimestamp({ nanoseconds, offsetSeconds }: CelTimestamp): string {
  const second = 1_000_000_000n;
  const fraction = ((nanoseconds % second) + second) % second;
  const seconds = Number((nanoseconds - fraction) / second) + offsetSeconds;
  const date = new Date(seconds * 1000).toISOString();
  const whole = date.slice(0, date.indexOf('.'));
  const digits = fraction === 0n ? '' : `.${String(fraction).padStart(9, '0').replace(/0+$/, '')}`;
  return whole + digits + formatOffset(offsetSeconds);
}

function formatOffset(seconds: number): string {
  if (seconds === 0) return 'Z';
  const minutes = Math.trunc(Math.abs(seconds) / 60);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${seconds < 0 ? '-' : '+'}${two(Math.trunc(minutes / 60))}:${two(minutes % 60)}`;
}

/** Seconds as a double, without exponent: `90s`, `0.5s`. */
export function formatDuration({ nanoseconds }: CelDuration): string {
  const second = 1_000_000_000n;
  const seconds = Number(nanoseconds / second) + Number(nanoseconds % second) / 1e9;
  return `${formatFixed(seconds)}s`;
}

/** Go's FormatFloat(v, 'f', -1): shortest digits, never an exponent. */
export function formatFixed(value: number): string {
  const text = String(value);
  const match = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(text);
  if (!match) return text;
  const [, sign, head, tail = '', exponent] = match as unknown as [
    string,
    string,
    string,
    string | undefined,
    string,
  ];
  const power = Number(exponent);
  const digits = head + tail;
  if (power < 0) return `${sign}0.${'0'.repeat(-power - 1)}${digits}`;
  return sign + digits.padEnd(power + 1, '0');
}

/** A value as it stands in messages (Go's %v). */
export function formatValue(value: CelValue): string {
  switch (typeof value) {
    case 'string':
      return value;
    case 'number':
      return formatDouble(value);
    case 'bigint':
    case 'boolean':
      return String(value);
    default:
      return value === null ? 'null' : formatObject(value);
  }
}

function formatObject(value: Exclude<CelValue, string | number | bigint | boolean | null>): string {
  if (value instanceof CelUint) return String(value.value);
  if (value instanceof CelTimestamp) return formatTimestamp(value);
  if (value instanceof CelDuration) return formatDuration(value);
  if (value instanceof CelBytes) return `[${value.bytes.join(' ')}]`;
  if (value instanceof CelTypeValue) return value.name;
  if (value instanceof CelFailure) return value.message;
  if (value instanceof CelOptional)
    return value.value === undefined ? 'optional.none()' : `optional(${formatValue(value.value)})`;
  if (value instanceof CelOpaque) return value.text() ?? value.typeName;
  if (value instanceof CelList) return `[${[...value].map(formatValue).join(', ')}]`;
  if (value instanceof CelMap)
    return `{${[...value.keys()].map((key) => `${formatValue(key)}: ${formatValue(value.find(key) ?? null)}`).join(', ')}}`;
  return '';
}
