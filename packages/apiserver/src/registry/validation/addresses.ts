/**
 * IP addresses and CIDRs as values: parsed to a number line, printed in canonical form (RFC 5952), validated in
 * upstream's words (apimachinery/pkg/util/validation/ip.go).
 */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';

export type IpFamily = 'IPv4' | 'IPv6';

/** An address as a point of its family's number line. IPv4-mapped IPv6 addresses are IPv4, as in Go. */
export interface Ip {
  readonly family: IpFamily;
  readonly value: bigint;
  /** Written in a form that strict parsers refuse (leading zeros, IPv4-mapped). */
  readonly nonStandard?: 'leading-zeros' | 'mapped';
}

/** A range `first`…`first + 2^(bits-length) - 1`. */
export interface Cidr {
  readonly family: IpFamily;
  readonly first: bigint;
  readonly length: number;
  /** The address as written, before masking. */
  readonly address: Ip;
}

const mappedPrefix = 0xffff_0000_0000n;
const bitsOf = (family: IpFamily): number => (family === 'IPv4' ? 32 : 128);

function parseIpv4(text: string): { value: bigint; leadingZeros: boolean } | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let value = 0n;
  let leadingZeros = false;
  for (const part of parts) {
    if (!/^[0-9]+$/.test(part)) return undefined;
    const octet = Number(part);
    if (octet > 255) return undefined;
    if (part.length > 1 && part.startsWith('0')) leadingZeros = true;
    value = (value << 8n) | BigInt(octet);
  }
  return { value, leadingZeros };
}

function parseIpv6(text: string): { value: bigint; leadingZeros: boolean } | undefined {
  let body = text;
  let leadingZeros = false;
  const dotted = body.lastIndexOf(':') + 1;
  if (body.includes('.', dotted)) {
    const tail = parseIpv4(body.slice(dotted));
    if (!tail) return undefined;
    leadingZeros = tail.leadingZeros;
    body = `${body.slice(0, dotted)}${(tail.value >> 16n).toString(16)}:${(tail.value & 0xffffn).toString(16)}`;
  }
  const halves = body.split('::');
  if (halves.length > 2) return undefined;
  const groupsOf = (half: string): string[] => (half === '' ? [] : half.split(':'));
  const head = groupsOf(halves[0] as string);
  const tail = halves.length === 2 ? groupsOf(halves[1] as string) : [];
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  let value = 0n;
  for (const group of [...head, ...Array<string>(missing).fill('0'), ...tail]) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined;
    value = (value << 16n) | BigInt(parseInt(group, 16));
  }
  return { value, leadingZeros };
}

/** Undefined when `text` is no address. Leading zeros are decimal, as Go's older parser had it. */
export function parseIp(text: string): Ip | undefined {
  if (!text.includes(':')) {
    const found = parseIpv4(text);
    if (!found) return undefined;
    return found.leadingZeros
      ? { family: 'IPv4', value: found.value, nonStandard: 'leading-zeros' }
      : { family: 'IPv4', value: found.value };
  }
  const found = parseIpv6(text);
  if (!found) return undefined;
  if (found.value >> 32n === mappedPrefix >> 32n) {
    return { family: 'IPv4', value: found.value & 0xffff_ffffn, nonStandard: 'mapped' };
  }
  return found.leadingZeros
    ? { family: 'IPv6', value: found.value, nonStandard: 'leading-zeros' }
    : { family: 'IPv6', value: found.value };
}

/** Canonical text: dotted decimal or RFC 5952. */
export function formatIp(ip: { family: IpFamily; value: bigint }): string {
  if (ip.family === 'IPv4') {
    const value = Number(ip.value);
    return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
  }
  const groups: string[] = [];
  for (let shift = 112n; shift >= 0n; shift -= 16n) groups.push(((ip.value >> shift) & 0xffffn).toString(16));
  const { start, length } = longestZeroRun(groups);
  if (length < 2) return groups.join(':');
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`;
}

function longestZeroRun(groups: readonly string[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let i = 0; i < groups.length; i++) {
    let end = i;
    while (groups[end] === '0') end++;
    if (end - i > best.length) best = { start: i, length: end - i };
    i = Math.max(i, end);
  }
  return best;
}

/** `ADDRESS/LENGTH`; undefined when it is neither. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  if (slash === -1 || !/^[0-9]+$/.test(text.slice(slash + 1))) return undefined;
  const address = parseIp(text.slice(0, slash));
  if (!address) return undefined;
  let length = Number(text.slice(slash + 1));
  if (address.nonStandard === 'mapped') length -= 96;
  const bits = bitsOf(address.family);
  if (length < 0 || length > bits) return undefined;
  const hostBits = BigInt(bits - length);
  return { family: address.family, first: (address.value >> hostBits) << hostBits, length, address };
}

export const formatCidr = (cidr: Pick<Cidr, 'family' | 'first' | 'length'>): string =>
  `${formatIp({ family: cidr.family, value: cidr.first })}/${cidr.length}`;

/** Number of addresses in the range. */
export const sizeOf = (cidr: Pick<Cidr, 'family' | 'length'>): bigint =>
  1n << BigInt(bitsOf(cidr.family) - cidr.length);

export const cidrContains = (cidr: Cidr, ip: Ip): boolean =>
  ip.family === cidr.family && ip.value >= cidr.first && ip.value < cidr.first + sizeOf(cidr);

const notAnIp = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';
const notACidr = 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)';

/** Fields that took sloppy addresses before: anything that parses. */
export function validateLegacyIp(value: string, path: FieldPath): FieldError[] {
  return parseIp(value) ? [] : [fieldErrors.invalid(path, value, notAnIp)];
}

/** An address in canonical form. */
export const validateIp = (value: string, path: FieldPath): FieldError[] =>
  ipNameErrors(value).map((text) => fieldErrors.invalid(path, value, text));

/** What is wrong with an address in canonical form, as bare texts; also the rule for IPAddress names. */
export function ipNameErrors(value: string): string[] {
  const ip = parseIp(value);
  if (!ip) return [notAnIp];
  if (ip.nonStandard === 'leading-zeros') return ['must not have leading 0s'];
  if (ip.nonStandard === 'mapped') return ['must not be an IPv4-mapped IPv6 address'];
  const canonical = formatIp(ip);
  return canonical === value ? [] : [`must be in canonical form (${JSON.stringify(canonical)})`];
}

export function validateLegacyCidr(value: string, path: FieldPath): FieldError[] {
  return parseCidr(value) ? [] : [fieldErrors.invalid(path, value, notACidr)];
}

/** A CIDR in canonical form, no bits beyond the prefix. */
export function validateCidr(value: string, path: FieldPath): FieldError[] {
  const cidr = parseCidr(value);
  const wrong = (text: string): FieldError[] => [fieldErrors.invalid(path, value, text)];
  if (!cidr) return wrong(notACidr);
  if (cidr.address.nonStandard === 'leading-zeros' || /\/0[0-9]/.test(value)) {
    return wrong('must not have leading 0s in IP or prefix length');
  }
  if (cidr.address.nonStandard === 'mapped') return wrong('must not have an IPv4-mapped IPv6 address');
  if (cidr.address.value !== cidr.first) return wrong('must not have bits set beyond the prefix length');
  const canonical = formatCidr(cidr);
  return canonical === value ? [] : wrong(`must be in canonical form (${JSON.stringify(canonical)})`);
}

/** An address with the length of its network's prefix: `10.9.8.7/24` (upstream: IsValidInterfaceAddress). */
export function validateInterfaceAddress(value: string, path: FieldPath): FieldError[] {
  const cidr = parseCidr(value);
  if (!cidr) {
    const why = 'must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)';
    return [fieldErrors.invalid(path, value, why)];
  }
  const canonical = `${formatIp(cidr.address)}/${cidr.length}`;
  if (canonical === value) return [];
  return [fieldErrors.invalid(path, value, `must be in canonical form (${JSON.stringify(canonical)})`)];
}

/** A `Warning` for an address that parses but should be written otherwise. */
export function ipWarnings(value: string, path: FieldPath): string[] {
  const ip = parseIp(value);
  if (!ip) return [];
  const shown = JSON.stringify(value);
  const canonical = JSON.stringify(formatIp(ip));
  if (ip.nonStandard) {
    return [
      `${path.toString()}: non-standard IP address ${shown} will be considered invalid in a future Kubernetes release: use ${canonical}`,
    ];
  }
  if (ip.family === 'IPv6' && canonical !== shown) {
    return [
      `${path.toString()}: IPv6 address ${shown} should be in RFC 5952 canonical format (${canonical})`,
    ];
  }
  return [];
}

/** As {@link ipWarnings}, for CIDRs. */
export function cidrWarnings(value: string, path: FieldPath): string[] {
  const cidr = parseCidr(value);
  if (!cidr) return [];
  const at = path.toString();
  const shown = JSON.stringify(value);
  const canonical = JSON.stringify(formatCidr(cidr));
  const warnings: string[] = [];
  if (cidr.address.value !== cidr.first) {
    const bits = bitsOf(cidr.family);
    const single = JSON.stringify(`${formatIp(cidr.address)}/${bits}`);
    warnings.push(
      `${at}: CIDR value ${shown} is ambiguous in this context (should be ${canonical} or ${single}?)`,
    );
  }
  if (cidr.address.nonStandard || /\/0[0-9]/.test(value)) {
    warnings.push(
      `${at}: non-standard CIDR value ${shown} will be considered invalid in a future Kubernetes release: use ${canonical}`,
    );
  }
  if (warnings.length === 0 && cidr.family === 'IPv6' && canonical !== shown) {
    warnings.push(`${at}: IPv6 CIDR value ${shown} should be in RFC 5952 canonical format (${canonical})`);
  }
  return warnings;
}
