/**
 * String formats of custom resources' schemas (kube-openapi/pkg/validation/strfmt and its govalidator;
 * apiextensions-apiserver/pkg/apiserver/validation/formats.go says which are supported).
 */
import { isIP, isIPv4, isIPv6 } from 'node:net';

const pattern = (expression: RegExp) => (value: string) => expression.test(value);

const maxHostname = 255;
const maxHostLabel = 63;
const hostname =
  /^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9\-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$/u;

function isHostname(value: string): boolean {
  // Length first: the expression backtracks on long input.
  if (Buffer.byteLength(value) > maxHostname || !hostname.test(value)) return false;
  return value.split('.').every((label) => Buffer.byteLength(label) <= maxHostLabel);
}

/** Go once read octets with leading zeros, and for this format still does. */
const withoutZeros = (value: string): string => value.replace(/(^|\.)0+(?=\d)/g, '$1');

function isSloppyIp(value: string): boolean {
  return isIP(value) !== 0 ? !value.includes('%') : isIPv4(withoutZeros(value));
}

function isCidr(value: string): boolean {
  const slash = value.indexOf('/');
  if (slash < 0) return false;
  const address = value.slice(0, slash);
  const bits = value.slice(slash + 1);
  if (!isSloppyIp(address) || !/^\d{1,3}$/.test(bits)) return false;
  return Number(bits) <= (address.includes(':') ? 128 : 32);
}

const mac =
  /^(?:(?:[0-9a-f]{2}([:-]))(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}|(?:[0-9a-f]{2}([:-]))(?:[0-9a-f]{2}\2){6}[0-9a-f]{2}|(?:[0-9a-f]{2}([:-]))(?:[0-9a-f]{2}\3){18}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}|(?:[0-9a-f]{4}\.){3}[0-9a-f]{4}|(?:[0-9a-f]{4}\.){9}[0-9a-f]{4})$/i;

/** A mailbox as net/mail reads it: an address, or a name and an address in angle brackets. */
function isEmail(value: string): boolean {
  if (value.length > maxSearched) return false;
  const atom = "[a-zA-Z0-9!#$%&'*+\\-/=?^_`{|}~\\u0080-\\uffff]+";
  const local = `(?:${atom}(?:\\.${atom})*|"(?:[^"\\\\\\r\\n]|\\\\.)*")`;
  const domain = `(?:${atom}(?:\\.${atom})*|\\[[^\\[\\]\\\\]*\\])`;
  const address = `${local}@${domain}`;
  return new RegExp(`^\\s*(?:${address}|[^<>@]*<\\s*${address}\\s*>)\\s*$`, 'u').test(value);
}

/** net/url.ParseRequestURI, which also takes absolute paths. */
function isRequestUri(value: string): boolean {
  if (value === '' || /[\p{Cc} ]/u.test(value)) return false;
  if (/%(?![0-9a-fA-F]{2})/.test(value)) return false;
  if (value.startsWith('/')) return true;
  const scheme = /^[a-zA-Z][a-zA-Z0-9+.-]*:/.exec(value)?.[0];
  if (scheme === undefined) return false;
  const rest = value.slice(scheme.length);
  if (!rest.startsWith('//')) return true;
  const authority = /^\/\/([^/?#]*)/.exec(rest)?.[1] ?? '';
  const host = authority.slice(authority.lastIndexOf('@') + 1);
  return /^(?:\[[^\]]*\]|[^:[\]<>"\\^`{|}]*)(?::\d*)?$/.test(host);
}

function checksum10(digits: string): boolean {
  let sum = 0;
  for (let i = 0; i < 9; i++) sum += (i + 1) * Number(digits[i]);
  sum += digits[9] === 'X' ? 100 : 10 * Number(digits[9]);
  return sum % 11 === 0;
}

function isIsbn10(value: string): boolean {
  const digits = value.replace(/[\s-]+/g, '');
  return /^(?:[0-9]{9}X|[0-9]{10})$/.test(digits) && checksum10(digits);
}

function isIsbn13(value: string): boolean {
  const digits = value.replace(/[\s-]+/g, '');
  if (!/^[0-9]{13}$/.test(digits)) return false;
  let sum = 0;
  for (let i = 0; i < 12; i++) sum += (i % 2 === 0 ? 1 : 3) * Number(digits[i]);
  return Number(digits[12]) - ((10 - (sum % 10)) % 10) === 0;
}

const card =
  /^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\d{3})\d{11})$/;

function isCreditCard(value: string): boolean {
  const digits = value.replace(/[^0-9]+/g, '');
  if (!card.test(digits)) return false;
  let sum = 0;
  let double = false;
  for (let i = digits.length - 1; i >= 0; i--) {
    const digit = Number(digits[i]) * (double ? 2 : 1);
    sum += digit >= 10 ? (digit % 10) + 1 : digit;
    double = !double;
  }
  return sum % 10 === 0;
}

const daysIn = (year: number, month: number): number => new Date(Date.UTC(year, month, 0)).getUTCDate();

function isDate(value: string): boolean {
  const parts = /^(\d{4})-(\d{2})-(\d{2})$/.exec(value);
  if (!parts) return false;
  const [year, month, day] = parts.slice(1).map(Number) as [number, number, number];
  return month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year < 100 ? year + 400 : year, month);
}

function isDateTime(value: string): boolean {
  const [date, time] = value.toLowerCase().split('t');
  if (date === undefined || time === undefined || !isDate(date)) return false;
  const parts = /^([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$/.exec(time);
  if (!parts) return false;
  const [hour = '', minute = '', second = ''] = parts.slice(1);
  return hour <= '23' && minute <= '59' && second <= '59';
}

/** Longer texts are none of those that expressions here look through more than once. */
const maxSearched = 1_024;

const goDuration = /^[+-]?(?:0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/;
/** Short names exactly, the last of each as a prefix: `2 hours`, `3 weeks`. */
const durationUnits =
  /^(?:ns|nano.*|us|µs|micro.*|ms|milli.*|s|sec.*|m|min.*|h|hr|hour.*|d|day.*|w|wk|week.*)$/;

function isDuration(value: string): boolean {
  if (value.length > maxSearched) return false;
  if (goDuration.test(value)) return true;
  for (const [, unit = ''] of value.matchAll(/\d+\s*([A-Za-zµ]+)/g))
    if (durationUnits.test(unit.toLowerCase())) return true;
  return false;
}

const maxShortName = 63;
const maxLongName = 253;

/** Checks by name without dashes. */
const checks: Readonly<Record<string, (value: string) => boolean>> = {
  bsonobjectid: pattern(/^[0-9a-fA-F]{24}$/),
  uri: isRequestUri,
  email: isEmail,
  hostname: isHostname,
  ipv4: (value) => value.includes('.') && isSloppyIp(value),
  ipv6: (value) => isIPv6(value) && !value.includes('%'),
  cidr: isCidr,
  mac: pattern(mac),
  uuid: pattern(/^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i),
  uuid3: pattern(/^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i),
  uuid4: pattern(/^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$/i),
  uuid5: pattern(/^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$/i),
  isbn: (value) => isIsbn10(value) || isIsbn13(value),
  isbn10: isIsbn10,
  isbn13: isIsbn13,
  creditcard: isCreditCard,
  ssn: (value) => value.length === 11 && /^\d{3}[- ]?\d{2}[- ]?\d{4}$/.test(value),
  hexcolor: pattern(/^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$/),
  rgbcolor: pattern(
    /^rgb\(\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*\)$/,
  ),
  byte: pattern(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$/),
  password: () => true,
  date: isDate,
  duration: isDuration,
  datetime: isDateTime,
  k8sshortname: (value) => value.length <= maxShortName && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(value),
  k8slongname: (value) =>
    value.length <= maxLongName &&
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(value),
};

const numeric: Readonly<Record<string, readonly string[]>> = {
  integer: ['int32', 'int64'],
  number: ['float', 'double'],
};

/** Whether a schema's format is checked at all: those that upstream does not know for the type are ignored. */
export function isSupportedFormat(format: string, type: string): boolean {
  if (type === '' || type === 'string') return Object.hasOwn(checks, format.replaceAll('-', ''));
  return numeric[type]?.includes(format) ?? false;
}

/** The check of a string format; undefined for formats of numbers. */
export function formatCheck(format: string): ((value: string) => boolean) | undefined {
  const name = format.replaceAll('-', '');
  return Object.hasOwn(checks, name) ? checks[name] : undefined;
}
