// What an unquoted YAML word means to Kubernetes: YAML 1.1 as go-yaml v2 reads it (resolve.go), since manifests
// are written for that reader. `on` is true, 0644 is octal, 12:30 and dates are strings.
import { integerValue } from './json-reader.ts';

const words = new Map<string, boolean | null | number>();
for (const word of ['y', 'Y', 'yes', 'Yes', 'YES', 'true', 'True', 'TRUE', 'on', 'On', 'ON'])
  words.set(word, true);
for (const word of ['n', 'N', 'no', 'No', 'NO', 'false', 'False', 'FALSE', 'off', 'Off', 'OFF'])
  words.set(word, false);
for (const word of ['', '~', 'null', 'Null', 'NULL']) words.set(word, null);
for (const word of ['.nan', '.NaN', '.NAN']) words.set(word, Number.NaN);
for (const sign of ['', '+', '-'])
  for (const word of ['.inf', '.Inf', '.INF']) words.set(sign + word, sign === '-' ? -Infinity : Infinity);

const integer = /^([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|0[0-7]+|0|[1-9][0-9]*)$/;
const float = /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/;

function parseInteger(text: string): number | bigint | undefined {
  const match = integer.exec(text);
  if (!match) return undefined;
  const digits = match[2] as string;
  const literal = /^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits;
  const magnitude = BigInt(literal);
  return integerValue(String(match[1] === '-' ? -magnitude : magnitude));
}

/** The value of a plain scalar: boolean, null, number, bigint (beyond ±(2^53-1)), or the text itself. */
export function resolvePlain(text: string): unknown {
  const word = words.get(text);
  if (word !== undefined) return word;
  const first = text.charCodeAt(0);
  if (!((first >= 0x30 && first <= 0x39) || first === 0x2b || first === 0x2d || first === 0x2e)) return text;
  const plain = first === 0x2e ? text : text.replaceAll('_', '');
  const whole = parseInteger(plain);
  if (whole !== undefined) return whole;
  if (float.test(plain)) {
    const value = Number(plain);
    if (Number.isFinite(value)) return value;
  }
  return text;
}

/** Whether a reader of YAML 1.1 or 1.2 would take the unquoted text for something else than this string. */
export function needsQuotes(text: string): boolean {
  return (
    typeof resolvePlain(text) !== 'string' ||
    /^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$/.test(text) ||
    /^\d{4}-\d/.test(text) ||
    text === '<<' ||
    text === '='
  );
}
