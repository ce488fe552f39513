import { addressBytes, addressText } from '../../socket/address.ts';

export type Family = 'ipv4' | 'ipv6';

/** AFI numbers; the SAFI is always 1, unicast. */
export const wireFamily: Readonly<Record<Family, number>> = { ipv4: 1, ipv6: 2 };

/** The family of AFI and SAFI; undefined for those that are not spoken. */
export function familyOf(afi: number, safi: number): Family | undefined {
  if (safi !== 1) return undefined;
  return afi === 1 ? 'ipv4' : afi === 2 ? 'ipv6' : undefined;
}

/** A prefix as NLRI has it: a length in bits and as many bytes as it needs (RFC 4271 section 4.3). */
export interface WirePrefix {
  readonly family: Family;
  readonly bytes: Buffer;
}

/** Encodes `192.0.2.0/24`. Bits beyond the length are cleared. Throws a RangeError or TypeError when it is no prefix. */
export function encodePrefix(prefix: string): WirePrefix {
  const slash = prefix.indexOf('/');
  const address = Buffer.from(addressBytes(slash < 0 ? prefix : prefix.slice(0, slash)));
  const bits = slash < 0 ? address.length * 8 : Number(prefix.slice(slash + 1));
  if (!Number.isInteger(bits) || bits < 0 || bits > address.length * 8)
    throw new RangeError(`${prefix} is no prefix: its length is not between 0 and ${address.length * 8}`);
  const bytes = Buffer.alloc(1 + Math.ceil(bits / 8));
  bytes.writeUInt8(bits, 0);
  address.copy(bytes, 1, 0, bytes.length - 1);
  if (bits % 8 !== 0)
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) & (0xff << (8 - (bits % 8))), bytes.length - 1);
  return { family: address.length === 4 ? 'ipv4' : 'ipv6', bytes };
}

/** The prefixes of a field of NLRI; undefined when it is malformed: a length over the family's, or cut short. */
export function decodePrefixes(field: Buffer, family: Family): string[] | undefined {
  const size = family === 'ipv4' ? 4 : 16;
  const prefixes: string[] = [];
  for (let at = 0; at < field.length;) {
    const bits = field.readUInt8(at);
    const octets = Math.ceil(bits / 8);
    if (bits > size * 8 || at + 1 + octets > field.length) return undefined;
    const address = Buffer.alloc(size);
    field.copy(address, 0, at + 1, at + 1 + octets);
    // Trailing bits mean nothing (RFC 4271 section 4.3): two spellings are one prefix.
    if (bits % 8 !== 0)
      address.writeUInt8(address.readUInt8(octets - 1) & (0xff << (8 - (bits % 8))), octets - 1);
    prefixes.push(`${addressText(address)}/${bits}`);
    at += 1 + octets;
  }
  return prefixes;
}
