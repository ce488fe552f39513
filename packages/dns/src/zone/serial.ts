/** Where the serial is in the RDATA of a SOA: five numbers of four octets end it (RFC 1035 section 3.3.13). */
const serialFromEnd = 20;

/** The serial in the RDATA of a SOA. */
export function soaSerial(data: Buffer): number {
  return data.readUInt32BE(data.length - serialFromEnd);
}

/** The same RDATA of a SOA with another serial, taken modulo 2^32. */
export function withSoaSerial(data: Buffer, serial: number): Buffer {
  const copy = Buffer.from(data);
  copy.writeUInt32BE(serial >>> 0, copy.length - serialFromEnd);
  return copy;
}

/** RDATA of a SOA to be compared with another version's. */
export function withoutSerial(data: Buffer): Buffer {
  return withSoaSerial(data, 0);
}

/** Whether serial `a` is higher than `b` in the sense of RFC 1982 section 3.2. */
export function isSerialHigher(a: number, b: number): boolean {
  const distance = (a - b) >>> 0;
  return distance !== 0 && distance < 0x8000_0000;
}
