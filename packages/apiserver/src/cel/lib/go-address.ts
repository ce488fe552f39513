/** IP addresses as Go's net/netip reads them: strictly, with a reason for each refusal. */
import { formatIp, parseIp } from '../../registry/validation/addresses.ts';
import { goQuoted } from './string-format.ts';

export interface Address {
  readonly family: 'IPv4' | 'IPv6';
  readonly value: bigint;
  /** `::ffff:1.2.3.4`. */
  readonly mapped: boolean;
  readonly zone: string;
}

export const bitsOf = (family: Address['family']): number => (family === 'IPv4' ? 32 : 128);
export const addressText = (address: Pick<Address, 'family' | 'value'>): string => formatIp(address);

const refused = (text: string, why: string, at?: string): string =>
  `ParseAddr(${goQuoted(text)}): ${why}${at === undefined ? '' : ` (at ${goQuoted(at)})`}`;

/** Why a text with dots is no IPv4 address. */
function ipv4Problem(text: string): string | undefined {
  let digits = 0;
  let value = 0;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const character = text[i] as string;
    if (/\d/.test(character)) {
      if (digits === 1 && value === 0) return refused(text, 'IPv4 field has octet with leading zero');
      value = value * 10 + Number(character);
      digits++;
      if (value > 255) return refused(text, 'IPv4 field has value >255');
    } else if (character === '.') {
      if (i === 0 || i === text.length - 1 || text[i - 1] === '.')
        return refused(text, 'IPv4 field must have at least one digit', text.slice(i));
      if (dots === 3) return refused(text, 'IPv4 address too long');
      dots++;
      value = 0;
      digits = 0;
    } else return refused(text, 'unexpected character', text.slice(i));
  }
  return dots < 3 ? refused(text, 'IPv4 address too short') : undefined;
}

/** Why a text with colons is no IPv6 address, as far as one look tells. */
function ipv6Problem(text: string, address: string): string {
  const long = /[0-9a-fA-F]{5,}.*$/.exec(address);
  if (long) return refused(text, 'each group must have 4 or less digits', long[0]);
  const twice = address.indexOf('::', address.indexOf('::') + 1);
  if (twice >= 0 && address.includes('::'))
    return refused(text, 'multiple :: in address', address.slice(twice + 1));
  const strange = /[^0-9a-fA-F:.].*$/.exec(address);
  if (strange) {
    const at = address.length - strange[0].length;
    return at === 0 || address[at - 1] === ':'
      ? refused(text, 'each colon-separated field must have at least one digit', strange[0])
      : refused(text, 'unexpected character, want colon', strange[0]);
  }
  if (/[^:]:$/.test(address)) return refused(text, 'colon must be followed by more characters', ':');
  if (address.startsWith(':') && !address.startsWith('::'))
    return refused(text, 'each colon-separated field must have at least one digit', address);
  const groups = address.split(':').length;
  if (!address.includes('::') && groups < 8) return refused(text, 'address string too short');
  return refused(text, 'trailing garbage after address', address.split(':').slice(8).join(':'));
}

/** The address, or why there is none (Go's text). */
export function parseAddress(text: string): Address | string {
  const kind = /[.:%]/.exec(text)?.[0];
  if (kind === undefined) return refused(text, 'unable to parse IP');
  if (kind === '%') return refused(text, 'missing IPv6 address');
  if (kind === '.') {
    const problem = ipv4Problem(text);
    if (problem !== undefined) return problem;
    return { family: 'IPv4', value: parseIp(text)?.value ?? 0n, mapped: false, zone: '' };
  }
  const percent = text.indexOf('%');
  const address = percent < 0 ? text : text.slice(0, percent);
  const zone = percent < 0 ? '' : text.slice(percent + 1);
  if (percent >= 0 && zone === '') return refused(text, 'zone must be a non-empty string');
  const found = parseIp(address);
  if (found === undefined || (found.nonStandard === 'leading-zeros' && found.family === 'IPv4'))
    return ipv6Problem(text, address);
  const mapped = found.nonStandard === 'mapped';
  const value = mapped ? found.value | (0xffffn << 32n) : found.value;
  return { family: 'IPv6', value, mapped, zone };
}
