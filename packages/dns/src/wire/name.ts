/** A message is not DNS (RFC 1035); the server answers FORMERR where it can. */
export class WireError extends Error {
  override readonly name = 'WireError';
}

/** Type codes (IANA DNS parameters). */
export const rrType = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const;

/** Response codes (RFC 1035 section 4.1.1; from 16 on with EDNS0 only, RFC 6891 section 6.1.3). */
export const rcode = {
  noError: 0,
  formErr: 1,
  servFail: 2,
  nxDomain: 3,
  notImp: 4,
  refused: 5,
  badVers: 16,
} as const;

export const classIn = 1;

/**
 * Reads a name at `offset`, following compression pointers (RFC 1035 section 4.1.4). Labels keep their case and are
 * joined by dots, a dot or backslash inside a label is escaped; the root is ''. Pointers must go backwards, so a
 * loop cannot occur.
 */
export function readName(message: Buffer, offset: number): { name: string; end: number } {
  const labels: string[] = [];
  let position = offset;
  let end = -1;
  let length = 0;
  let limit = offset;
  for (;;) {
    if (position >= message.length) throw new WireError('name runs past the end of the message');
    const size = message[position] as number;
    if (size === 0) {
      if (end < 0) end = position + 1;
      return { name: labels.join('.'), end };
    }
    if ((size & 0xc0) === 0xc0) {
      if (position + 1 >= message.length) throw new WireError('compression pointer is cut off');
      if (end < 0) end = position + 2;
      position = ((size & 0x3f) << 8) | (message[position + 1] as number);
      if (position >= limit) throw new WireError('compression pointer does not point backwards');
      limit = position;
      continue;
    }
    if ((size & 0xc0) !== 0) throw new WireError('unknown label type');
    length += size + 1;
    if (length > 254) throw new WireError('name is longer than 255 octets');
    if (position + 1 + size > message.length) throw new WireError('label runs past the end of the message');
    labels.push(message.toString('latin1', position + 1, position + 1 + size).replace(/[.\\]/g, '\\$&'));
    position += size + 1;
  }
}

/** The wire form of a name, without compression. Throws for labels over 63 and names over 255 octets. */
export function writeName(name: string): Buffer {
  if (name === '' || name === '.') return Buffer.of(0);
  const parts: Buffer[] = [];
  let total = 1;
  for (const label of name.replace(/\.$/, '').match(/(?:\\.|[^.\\])+/g) ?? []) {
    const bytes = Buffer.from(label.replace(/\\(.)/g, '$1'), 'latin1');
    if (bytes.length > 63) throw new WireError(`label ${label} is longer than 63 octets`);
    total += bytes.length + 1;
    parts.push(Buffer.of(bytes.length), bytes);
  }
  if (total > 255) throw new WireError(`name ${name} is longer than 255 octets`);
  parts.push(Buffer.of(0));
  return Buffer.concat(parts);
}
