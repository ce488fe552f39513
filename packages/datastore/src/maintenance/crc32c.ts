/** CRC-32 with Castagnoli's polynomial (RFC 3720, appendix B.4), as Go's hash/crc32 computes it. */

const polynomial = 0x82f63b78;
const slices = 8;

/** `tables[k][b]`: what byte `b` leaves behind `k` bytes of zeros. */
const tables = makeTables();

function makeTables(): Uint32Array[] {
  const all = Array.from({ length: slices }, () => new Uint32Array(256));
  const first = all[0] as Uint32Array;
  for (let byte = 0; byte < 256; byte++) {
    let rest = byte;
    for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ polynomial : rest >>> 1;
    first[byte] = rest;
  }
  for (let k = 1; k < slices; k++) {
    for (let byte = 0; byte < 256; byte++) {
      const before = (all[k - 1] as Uint32Array)[byte] as number;
      (all[k] as Uint32Array)[byte] = (before >>> 8) ^ (first[before & 0xff] as number);
    }
  }
  return all;
}

const [t0, t1, t2, t3, t4, t5, t6, t7] = tables as [
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
];

/** The checksum of `bytes` behind what `before` is the checksum of. */
export function crc32c(bytes: Uint8Array, before = 0): number {
  let crc = ~before;
  let at = 0;
  const eighths = bytes.length - (bytes.length % slices);
  while (at < eighths) {
    crc ^=
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    crc =
      (t7[crc & 0xff] as number) ^
      (t6[(crc >>> 8) & 0xff] as number) ^
      (t5[(crc >>> 16) & 0xff] as number) ^
      (t4[crc >>> 24] as number) ^
      (t3[bytes[at + 4] as number] as number) ^
      (t2[bytes[at + 5] as number] as number) ^
      (t1[bytes[at + 6] as number] as number) ^
      (t0[bytes[at + 7] as number] as number);
    at += slices;
  }
  while (at < bytes.length) crc = (crc >>> 8) ^ (t0[(crc ^ (bytes[at++] as number)) & 0xff] as number);
  return ~crc >>> 0;
}
