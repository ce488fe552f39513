import { type Edns, type EdnsOption, ednsUdpSize } from './edns.ts';
import { MessageWriter, messageBytes } from './message-writer.ts';
import { endOfName, headerBytes, nameAt, WireError } from './name.ts';
import { readEdns } from './query.ts';
import { detachedRecord, type Question, readRawRecord, type ResourceRecord } from './record.ts';
import { rrType } from './types.ts';

export { type Answer, writeAnswer } from './answer.ts';
export { type Edns, type EdnsOption, ednsUdpSize } from './edns.ts';
export { formErrFor, parseQuery, type Query } from './query.ts';
export type { Question, ResourceRecord } from './record.ts';

/** A whole message (RFC 1035 section 4): a query, an answer, a NOTIFY, an UPDATE, a part of a transfer. */
export interface Message {
  id: number;
  opcode: number;
  /** With EDNS0's upper bits. */
  rcode: number;
  isResponse: boolean;
  authoritative: boolean;
  truncated: boolean;
  recursionDesired: boolean;
  recursionAvailable: boolean;
  authenticData: boolean;
  checkingDisabled: boolean;
  questions: readonly Question[];
  answers: readonly ResourceRecord[];
  authorities: readonly ResourceRecord[];
  /** Without OPT and TSIG. */
  additionals: readonly ResourceRecord[];
  edns: Edns | undefined;
  /** The TSIG record (RFC 8945) and where it begins: what it signs ends there. Read only; see {@link appendRecord}. */
  tsig: { record: ResourceRecord; offset: number } | undefined;
}

/** What a message is when nothing else is said: for `{ ...emptyMessage, … }`. */
export const emptyMessage: Message = Object.freeze({
  id: 0,
  opcode: 0,
  rcode: 0,
  isResponse: false,
  authoritative: false,
  truncated: false,
  recursionDesired: false,
  recursionAvailable: false,
  authenticData: false,
  checkingDisabled: false,
  questions: [],
  answers: [],
  authorities: [],
  additionals: [],
  edns: undefined,
  tsig: undefined,
});

/** Parses any message; data of records is uncompressed but not checked (`checkData`). Throws {@link WireError}. */
export function parseMessage(bytes: Buffer): Message {
  if (bytes.length < headerBytes) throw new WireError('message is shorter than its header');
  const flags = bytes.readUInt16BE(2);
  const has = (bit: number): boolean => (flags & bit) !== 0;
  const questions: Question[] = [];
  let position = headerBytes;
  for (let i = bytes.readUInt16BE(4); i > 0; i--) {
    const name = nameAt(bytes, position);
    const end = endOfName();
    if (end + 4 > bytes.length) throw new WireError('question is cut off');
    questions.push({ name, type: bytes.readUInt16BE(end), class: bytes.readUInt16BE(end + 2) });
    position = end + 4;
  }
  const answers = readSection(bytes, position, bytes.readUInt16BE(6));
  const authorities = readSection(bytes, answers.end, bytes.readUInt16BE(8));
  const additionals = readAdditionals(bytes, authorities.end, bytes.readUInt16BE(10));
  return {
    id: bytes.readUInt16BE(0),
    opcode: (flags >> 11) & 0xf,
    rcode: additionals.extendedRcode | (flags & 0xf),
    isResponse: has(0x8000),
    authoritative: has(0x0400),
    truncated: has(0x0200),
    recursionDesired: has(0x0100),
    recursionAvailable: has(0x0080),
    authenticData: has(0x0020),
    checkingDisabled: has(0x0010),
    questions,
    answers: answers.records,
    authorities: authorities.records,
    additionals: additionals.records,
    edns: additionals.edns,
    tsig: additionals.tsig,
  };
}

function readSection(
  bytes: Buffer,
  offset: number,
  count: number,
): { records: ResourceRecord[]; end: number } {
  const records: ResourceRecord[] = [];
  let end = offset;
  for (let i = 0; i < count; i++) {
    const raw = readRawRecord(bytes, end);
    if (raw.type === rrType.OPT || raw.type === rrType.TSIG)
      throw new WireError('an OPT or TSIG record stands outside the additional section');
    records.push(detachedRecord(bytes, raw));
    end = raw.end;
  }
  return { records, end };
}

interface Additionals extends Pick<Message, 'edns' | 'tsig'> {
  records: ResourceRecord[];
  extendedRcode: number;
}

function readAdditionals(bytes: Buffer, offset: number, count: number): Additionals {
  const found: Additionals = { records: [], edns: undefined, tsig: undefined, extendedRcode: 0 };
  let position = offset;
  for (let i = 0; i < count; i++) {
    const raw = readRawRecord(bytes, position);
    if (raw.type === rrType.OPT) {
      if (found.edns) throw new WireError('message has more than one OPT record');
      found.edns = readEdns(bytes, raw.offset, raw.start - 10, raw.end);
      found.extendedRcode = (raw.ttl >>> 24) << 4;
    } else if (raw.type === rrType.TSIG) {
      if (i !== count - 1) throw new WireError('the TSIG record is not the last one (RFC 8945 section 5.2)');
      found.tsig = { record: detachedRecord(bytes, raw), offset: raw.offset };
    } else found.records.push(detachedRecord(bytes, raw));
    position = raw.end;
  }
  return found;
}

/** The answer section of a response with one question, names written out. Throws {@link WireError}. */
export function readRecords(bytes: Buffer): ResourceRecord[] {
  if (bytes.length < headerBytes) throw new WireError('message is shorter than its header');
  nameAt(bytes, headerBytes);
  return readSection(bytes, endOfName() + 4, bytes.readUInt16BE(6)).records;
}

const writer = new MessageWriter();

/**
 * The bytes of a message, names compressed where RFC 3597 allows it, without `tsig`. Beyond `maxBytes` (65535) records
 * are left out from the end, and TC is set unless they are additional ones. Throws {@link WireError} for what DNS
 * cannot hold, and when not even the questions fit.
 */
export function writeMessage(message: Message, options: { maxBytes?: number } = {}): Buffer {
  const opt = message.edns && optRecord(message.edns, message.rcode);
  const limit = Math.min(options.maxBytes ?? messageBytes, messageBytes) - (opt ? 11 + opt.data.length : 0);
  writer.begin(false);
  writer.length = headerBytes;
  for (const question of message.questions) {
    writer.name(question.name);
    writer.u16(question.type);
    writer.u16(question.class);
    if (writer.length > limit) throw new WireError('the questions are longer than the message may be');
  }
  const answers = writeSection(message.answers, limit);
  const isWhole = answers === message.answers.length;
  const authorities = isWhole ? writeSection(message.authorities, limit) : 0;
  const truncated = !isWhole || authorities < message.authorities.length;
  let additionals = truncated ? 0 : writeSection(message.additionals, limit);
  if (opt) {
    writer.record(opt);
    additionals += 1;
  }
  const end = writer.length;
  writer.length = 0;
  writer.u16(message.id);
  writer.u16(flagsOf(message, truncated));
  writer.u16(message.questions.length);
  writer.u16(answers);
  writer.u16(authorities);
  writer.u16(additionals);
  writer.length = end;
  return writer.take();
}

/** How many of the records end before `limit`; the others are not written. */
function writeSection(records: readonly ResourceRecord[], limit: number): number {
  for (const [index, record] of records.entries()) {
    const start = writer.length;
    writer.record(record);
    if (writer.length > limit || index > 65_535) {
      writer.length = start;
      return index;
    }
  }
  return records.length;
}

function flagsOf(message: Message, truncated: boolean): number {
  return (
    (message.isResponse ? 0x8000 : 0) |
    ((message.opcode & 0xf) << 11) |
    (message.authoritative ? 0x0400 : 0) |
    (message.truncated || truncated ? 0x0200 : 0) |
    (message.recursionDesired ? 0x0100 : 0) |
    (message.recursionAvailable ? 0x0080 : 0) |
    (message.authenticData ? 0x0020 : 0) |
    (message.checkingDisabled ? 0x0010 : 0) |
    (message.rcode & 0xf)
  );
}

function optRecord(edns: Edns, rcode: number): ResourceRecord {
  const ttlSeconds =
    ((rcode >> 4) << 24) |
    (edns.version << 16) |
    (edns.dnssecOk ? 0x8000 : 0) |
    (edns.compactOk ? 0x4000 : 0);
  const data = Buffer.concat(edns.options.map(optionBytes));
  return { name: '', type: rrType.OPT, class: edns.udpSize, ttlSeconds: ttlSeconds >>> 0, data };
}

function optionBytes({ code, data }: EdnsOption): Buffer {
  const fixed = Buffer.alloc(4);
  fixed.writeUInt16BE(code, 0);
  fixed.writeUInt16BE(data.length, 2);
  return Buffer.concat([fixed, data]);
}

/** EDNS0 as we send it with a query of our own. */
export const plainEdns: Edns = Object.freeze({
  udpSize: ednsUdpSize,
  version: 0,
  dnssecOk: false,
  compactOk: false,
  options: [],
});

/** The message with one more additional record at its end, uncompressed: TSIG. Throws {@link WireError}. */
export function appendRecord(message: Buffer, record: ResourceRecord): Buffer {
  writer.begin(false);
  writer.copy(message);
  writer.record(record);
  const whole = writer.take();
  if (whole.length > messageBytes) throw new WireError('the message is longer than 65535 octets');
  whole.writeUInt16BE(message.readUInt16BE(10) + 1, 10);
  return whole;
}
