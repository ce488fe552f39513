/** Path attributes: type codes (RFC 4271 section 5, RFC 1997, 4760, 6793, 8092) and how they are written. */
export const attribute = {
  origin: 1,
  asPath: 2,
  nextHop: 3,
  multiExitDisc: 4,
  localPref: 5,
  atomicAggregate: 6,
  aggregator: 7,
  communities: 8,
  mpReach: 14,
  mpUnreach: 15,
  as4Path: 17,
  as4Aggregator: 18,
  largeCommunities: 32,
} as const;

export const flag = { optional: 0x80, transitive: 0x40, partial: 0x20, extendedLength: 0x10 } as const;

/** Segments of an AS_PATH (RFC 4271 section 4.3, RFC 5065). */
export const asSequence = 2;

/** One attribute; two octets of length only where one is too short. */
export function encodeAttribute(flags: number, type: number, value: Buffer): Buffer {
  const long = value.length > 255;
  const head = Buffer.alloc(long ? 4 : 3);
  head.writeUInt8(long ? flags | flag.extendedLength : flags, 0);
  head.writeUInt8(type, 1);
  if (long) head.writeUInt16BE(value.length, 2);
  else head.writeUInt8(value.length, 2);
  return Buffer.concat([head, value]);
}

/** Numbers of 2 or 4 octets, one after another. */
export function encodeNumbers(octets: 2 | 4, numbers: readonly number[]): Buffer {
  const buffer = Buffer.alloc(octets * numbers.length);
  for (const [i, number] of numbers.entries()) buffer.writeUIntBE(number, i * octets, octets);
  return buffer;
}
