import { canonicalAddress } from './service-index.ts';

/** What a name under in-addr.arpa or ip6.arpa stands for. */
export interface ReverseName {
  /** Octets of the address, from its front; less than 4 or 16 where the name is of a network. */
  readonly bytes: Uint8Array;
  /** Bits that the name has. */
  readonly bits: number;
  /** The address, for a name that is whole. */
  readonly address: string | undefined;
}

/** Reads a reverse name (RFC 1035 section 3.5, RFC 3596 section 2.5; lower case); undefined: it is none. */
export function parseReverse(name: string): ReverseName | undefined {
  if (name.endsWith('.in-addr.arpa')) return ipv4(name.slice(0, -13).split('.'));
  return name.endsWith('.ip6.arpa') ? ipv6(name.slice(0, -9).split('.')) : undefined;
}

function ipv4(labels: string[]): ReverseName | undefined {
  if (labels.length > 4 || !labels.every((label) => /^(0|[1-9]\d{0,2})$/.test(label) && Number(label) < 256))
    return undefined;
  const octets = labels.reverse();
  return {
    bytes: Uint8Array.from({ length: 4 }, (_, i) => Number(octets[i] ?? 0)),
    bits: octets.length * 8,
    address: octets.length === 4 ? octets.join('.') : undefined,
  };
}

function ipv6(labels: string[]): ReverseName | undefined {
  if (labels.length > 32 || !labels.every((label) => /^[0-9a-f]$/.test(label))) return undefined;
  const hex = labels.reverse().join('');
  const groups = hex.match(/.{4}/g) ?? [];
  return {
    bytes: new Uint8Array(Buffer.from(hex.padEnd(32, '0'), 'hex')),
    bits: hex.length * 4,
    address: hex.length === 32 ? canonicalAddress(groups.join(':')) : undefined,
  };
}
