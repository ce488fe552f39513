import { headerBytes, lowerName, readName, skipName, WireError, writeName } from '../wire/name.ts';
import { rrClass, rrType } from '../wire/types.ts';

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
    if (message.readUInt16BE(fixed) === rrType.TSIG && !isLast)
      throw new WireError('a TSIG record is not the last record of the message');
  }
  if (position > message.length) throw new WireError('question is cut off');
  const fixed = additional > 0 ? skipName(message, last) : 0;
  if (additional === 0 || message.readUInt16BE(fixed) !== rrType.TSIG)
    return { unsigned: message, tsig: undefined };
  if (position !== message.length) throw new WireError('bytes follow the TSIG record');
  const unsigned = Buffer.from(message.subarray(0, last));
  unsigned.writeUInt16BE(additional - 1, 10);
  return { unsigned, tsig: readRecord(message, last, fixed) };
}

function readRecord(message: Buffer, start: number, fixed: number): TsigRecord {
  const end = message.length;
  if (message.readUInt16BE(fixed + 2) !== rrClass.ANY || message.readUInt32BE(fixed + 4) !== 0)
    throw new WireError('a TSIG record is not of class ANY with a TTL of 0');
  const { name: algorithm, end: times } = readName(message, fixed + 10);
  if (times + 10 > end) throw new WireError('TSIG data is cut off');
  const macEnd = times + 10 + message.readUInt16BE(times + 8);
  if (macEnd + 6 > end) throw new WireError('TSIG data is cut off');
  const otherEnd = macEnd + 6 + message.readUInt16BE(macEnd + 4);
  if (otherEnd !== end) throw new WireError('TSIG data is not as long as it says');
  return {
    keyName: lowerName(readName(message, start).name),
    algorithm: lowerName(algorithm),
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
  fixed.writeUInt16BE(rrType.TSIG, 0);
  fixed.writeUInt16BE(rrClass.ANY, 2);
  fixed.writeUInt16BE(data.length, 8);
  const signed = Buffer.concat([unsigned, writeName(record.keyName), fixed, data]);
  signed.writeUInt16BE(unsigned.readUInt16BE(10) + 1, 10);
  return signed;
}

/** Octets that {@link joinTsig} adds. */
export function tsigBytes(keyName: string, algorithm: string, macBytes: number, otherBytes: number): number {
  return writeName(keyName).length + 10 + writeName(algorithm).length + 16 + macBytes + otherBytes;
}
