import { classIn, readName, rrType, WireError, writeName } from './name.ts';
import { uncompressedData } from './rdata.ts';

export interface Question {
  /** As asked, case kept. */
  name: string;
  type: number;
  class: number;
}

/** What a server needs of a query. */
export interface Query {
  id: number;
  opcode: number;
  recursionDesired: boolean;
  question: Question;
  /** The question's bytes, copied into the answer so that 0x20 case is kept. */
  questionBytes: Buffer;
  /** EDNS0 (RFC 6891); undefined when the query has no OPT record. */
  edns: { udpSize: number; version: number; dnssecOk: boolean } | undefined;
}

/** A record of an answer. `data` is the uncompressed RDATA. */
export interface ResourceRecord {
  name: string;
  type: number;
  ttlSeconds: number;
  data: Buffer;
}

const headerBytes = 12;

/** Parses a query; throws {@link WireError}. Responses and messages without exactly one question are refused. */
export function parseQuery(message: Buffer): Query {
  if (message.length < headerBytes) throw new WireError('message is shorter than its header');
  const flags = message.readUInt16BE(2);
  if ((flags & 0x8000) !== 0) throw new WireError('message is a response');
  if (message.readUInt16BE(4) !== 1) throw new WireError('message does not have exactly one question');
  const { name, end } = readName(message, headerBytes);
  if (end + 4 > message.length) throw new WireError('question is cut off');
  const question = { name, type: message.readUInt16BE(end), class: message.readUInt16BE(end + 2) };
  return {
    id: message.readUInt16BE(0),
    opcode: (flags >> 11) & 0xf,
    recursionDesired: (flags & 0x0100) !== 0,
    question,
    questionBytes: Buffer.from(message.subarray(headerBytes, end + 4)),
    edns: findEdns(message, end + 4),
  };
}

interface RawRecord {
  name: string;
  type: number;
  class: number;
  ttl: number;
  /** Where its data is in the message. */
  start: number;
  end: number;
}

/** The records from `offset` on, `count` of them. Throws {@link WireError}. */
function* rawRecords(message: Buffer, offset: number, count: number): Iterable<RawRecord> {
  let position = offset;
  for (let i = 0; i < count; i++) {
    const { name, end: fixed } = readName(message, position);
    if (fixed + 10 > message.length) throw new WireError('record is cut off');
    const start = fixed + 10;
    const end = start + message.readUInt16BE(fixed + 8);
    if (end > message.length) throw new WireError('record data is cut off');
    yield {
      name,
      type: message.readUInt16BE(fixed),
      class: message.readUInt16BE(fixed + 2),
      ttl: message.readUInt32BE(fixed + 4),
      start,
      end,
    };
    position = end;
  }
}

function findEdns(message: Buffer, offset: number): Query['edns'] {
  const count = message.readUInt16BE(6) + message.readUInt16BE(8) + message.readUInt16BE(10);
  let found: Query['edns'];
  for (const record of rawRecords(message, offset, count)) {
    if (record.type !== rrType.OPT) continue;
    if (found) throw new WireError('message has more than one OPT record');
    found = {
      udpSize: Math.max(512, record.class),
      version: (record.ttl >> 16) & 0xff,
      dnssecOk: (record.ttl & 0x8000) !== 0,
    };
  }
  return found;
}

/** The answer section of a response with one question, names written out. Throws {@link WireError}. */
export function readRecords(message: Buffer): ResourceRecord[] {
  if (message.length < headerBytes) throw new WireError('message is shorter than its header');
  const offset = readName(message, headerBytes).end + 4;
  return [...rawRecords(message, offset, message.readUInt16BE(6))].map(({ name, type, ttl, start, end }) => ({
    name,
    type,
    ttlSeconds: ttl,
    data: uncompressedData(message, type, start, end),
  }));
}

export interface Answer {
  rcode: number;
  authoritative: boolean;
  recursionAvailable: boolean;
  answers: ResourceRecord[];
  authorities: ResourceRecord[];
  additionals: ResourceRecord[];
}

/** Our own EDNS0 buffer: no fragmentation on any common link (DNS flag day 2020). */
export const ednsUdpSize = 1232;

/**
 * The answer's bytes. A record whose owner is the question's name points back to it. What does not fit in
 * `maxBytes` leaves with TC set and no records (RFC 2181 section 9), so that the client asks again by TCP.
 */
export function writeAnswer(query: Query, answer: Answer, maxBytes: number): Buffer {
  const owner = query.question.name.toLowerCase();
  const sections = [answer.answers, answer.authorities, answer.additionals];
  const opt = query.edns ? [optRecord(answer.rcode, query.edns.dnssecOk)] : [];
  const body = sections.map((records) => records.map((record) => writeRecord(record, owner)));
  const size = (parts: Buffer[][]): number =>
    headerBytes + query.questionBytes.length + parts.flat().reduce((sum, part) => sum + part.length, 0);
  // Additional records are a courtesy: they are the first to go.
  if (size([...body, opt]) > maxBytes) body[2] = [];
  const truncated = size([...body, opt]) > maxBytes;
  const kept = truncated ? [[], [], []] : body;
  const header = Buffer.alloc(headerBytes);
  header.writeUInt16BE(query.id, 0);
  header.writeUInt16BE(
    0x8000 |
      (query.opcode << 11) |
      (answer.authoritative ? 0x0400 : 0) |
      (truncated ? 0x0200 : 0) |
      (query.recursionDesired ? 0x0100 : 0) |
      (answer.recursionAvailable ? 0x0080 : 0) |
      (answer.rcode & 0xf),
    2,
  );
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(kept[0]?.length ?? 0, 6);
  header.writeUInt16BE(kept[1]?.length ?? 0, 8);
  header.writeUInt16BE((kept[2]?.length ?? 0) + opt.length, 10);
  return Buffer.concat([header, query.questionBytes, ...kept.flat(), ...opt]);
}

function writeRecord(record: ResourceRecord, owner: string): Buffer {
  const name = record.name.toLowerCase() === owner ? Buffer.of(0xc0, headerBytes) : writeName(record.name);
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(record.type, 0);
  fixed.writeUInt16BE(classIn, 2);
  fixed.writeUInt32BE(record.ttlSeconds, 4);
  fixed.writeUInt16BE(record.data.length, 8);
  return Buffer.concat([name, fixed, record.data]);
}

/** Holds the upper bits of the response code; the DO bit comes back as it was sent (RFC 3225 section 3). */
function optRecord(code: number, dnssecOk: boolean): Buffer {
  const record = Buffer.alloc(11);
  record.writeUInt16BE(rrType.OPT, 1);
  record.writeUInt16BE(ednsUdpSize, 3);
  record.writeUInt8(code >> 4, 5);
  record.writeUInt16BE(dnssecOk ? 0x8000 : 0, 7);
  return record;
}

/** An answer to a message that could not be parsed as a query: its id and FORMERR. undefined when there is no id. */
export function formErrFor(message: Buffer): Buffer | undefined {
  if (message.length < headerBytes || (message.readUInt16BE(2) & 0x8000) !== 0) return undefined;
  const header = Buffer.alloc(headerBytes);
  message.copy(header, 0, 0, 2);
  header.writeUInt16BE(0x8000 | (message.readUInt16BE(2) & 0x7900) | 1, 2);
  return header;
}
