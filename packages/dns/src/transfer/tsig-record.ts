import { readName, WireError, writeName } from '../wire/name.ts';

/** The fields of a TSIG record (RFC 8945 section 4.2). */
export interface TsigRecord {
  /** Lower case, without the dot at the end. */
  readonly keyName: string;
  /** The algorithm's name as a domain name, lower case. */
  readonly algorithm: string;
  readonly timeSignedSeconds: number;
  readonly fudgeSeconds: number;
  readonly mac: Buffer;
  readonly originalId: number;
  readonly error: number;
  readonly otherData: Buffer;
}

const typeTsig = 250;
const classAny = 255;
const headerBytes = 12;

/**
 * Parts a message from its TSIG record: `unsigned` is the message as it was before it was signed, with the id it came
 * with. Throws {@link WireError} for a TSIG record that is not the last of the additional section, not alone, or not
 * well-formed (RFC 8945 section 5.1: FORMERR).
 */
export function splitTsig(message: Buffer): { unsigned: Buffer; tsig: TsigRecord | undefined } {
  if (message.length < headerBytes) throw new WireError('message is shorter than its header');
  let position = headerBytes;
  for (let i = message.readUInt16BE(4); i > 0; i--) position = skipName(message, position) + 4;
  const additional = message.readUInt16BE(10);
  const total = message.readUInt16BE(6) + message.readUInt16BE(8) + additional;
  let last = position;
  for (let i = 0; i < total; i++) {
    last = position;
    const fixed = skipName(message, position);
    if (fixed + 10 > message.length) throw new WireError('record is cut off');
    position = fixed + 10 + message.readUInt16BE(fixed + 8);
    if (position > message.length) throw new WireError('record data is cut off');
    const isLast = i === total - 1 && additional > 0;
    if (message.readUInt16BE(fixed) === typeTsig && !isLast)
      throw new WireError('a TSIG record is not the last record of the message');
  }
  if (position > message.length) throw new WireError('question is cut off');
  const fixed = additional > 0 ? skipName(message, last) : 0;
  if (additional === 0 || message.readUInt16BE(fixed) !== typeTsig)
    return { unsigned: message, tsig: undefined };
  if (position !== message.length) throw new WireError('bytes follow the TSIG record');
  const unsigned = Buffer.from(message.subarray(0, last));
  unsigned.writeUInt16BE(additional - 1, 10);
  return { unsigned, tsig: readRecord(message, last, fixed) };
}

/** The end of the name at `offset`; what it says is not looked at. */
function skipName(message: Buffer, offset: number): number {
  for (let position = offset; position < message.length;) {
    const size = message[position] as number;
    if (size === 0) return position + 1;
    if (size >= 0xc0) return position + 2;
    if (size > 63) throw new WireError('unknown label type');
    position += 1 + size;
  }
  throw new WireError('name runs past the end of the message');
}

function readRecord(message: Buffer, start: number, fixed: number): TsigRecord {
  const end = message.length;
  if (message.readUInt16BE(fixed + 2) !== classAny || message.readUInt32BE(fixed + 4) !== 0)
    throw new WireError('a TSIG record is not of class ANY with a TTL of 0');
  const { name: algorithm, end: times } = readName(message, fixed + 10);
  if (times + 10 > end) throw new WireError('TSIG data is cut off');
  const macEnd = times + 10 + message.readUInt16BE(times + 8);
  if (macEnd + 6 > end) throw new WireError('TSIG data is cut off');
  const otherEnd = macEnd + 6 + message.readUInt16BE(macEnd + 4);
  if (otherEnd !== end) throw new WireError('TSIG data is not as long as it says');
  return {
    keyName: lower(readName(message, start).name),
    algorithm: lower(algorithm),
    timeSignedSeconds: message.readUIntBE(times, 6),
    fudgeSeconds: message.readUInt16BE(times + 6),
    mac: Buffer.from(message.subarray(times + 10, macEnd)),
    originalId: message.readUInt16BE(macEnd),
    error: message.readUInt16BE(macEnd + 2),
    otherData: Buffer.from(message.subarray(macEnd + 6, otherEnd)),
  };
}

/** The message with its TSIG record, whose names are not compressed (RFC 8945 section 4.2). */
export function joinTsig(unsigned: Buffer, record: TsigRecord): Buffer {
  const algorithm = writeName(record.algorithm);
  const data = Buffer.alloc(algorithm.length + 16 + record.mac.length + record.otherData.length);
  let position = algorithm.copy(data);
  position = data.writeUIntBE(record.timeSignedSeconds, position, 6);
  position = data.writeUInt16BE(record.fudgeSeconds, position);
  position = data.writeUInt16BE(record.mac.length, position);
  position += record.mac.copy(data, position);
  position = data.writeUInt16BE(record.originalId, position);
  position = data.writeUInt16BE(record.error, position);
  position = data.writeUInt16BE(record.otherData.length, position);
  record.otherData.copy(data, position);
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(typeTsig, 0);
  fixed.writeUInt16BE(classAny, 2);
  fixed.writeUInt16BE(data.length, 8);
  const signed = Buffer.concat([unsigned, writeName(record.keyName), fixed, data]);
  signed.writeUInt16BE(unsigned.readUInt16BE(10) + 1, 10);
  return signed;
}

/** Octets that {@link joinTsig} adds. */
export function tsigBytes(keyName: string, algorithm: string, macBytes: number, otherBytes: number): number {
  return writeName(keyName).length + 10 + writeName(algorithm).length + 16 + macBytes + otherBytes;
}

function lower(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
