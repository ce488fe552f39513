import { type Edns, readOptions } from './edns.ts';
import { endOfName, headerBytes, nameAt, skipName, WireError } from './name.ts';
import type { Question } from './record.ts';
import { rrType } from './types.ts';

/** What a server needs of a query. */
export interface Query {
  id: number;
  opcode: number;
  recursionDesired: boolean;
  /** CD (RFC 4035 section 3.2.2); copied into the answer. */
  checkingDisabled: boolean;
  question: Question;
  /** The question's bytes, copied into the answer so that 0x20 case is kept. */
  questionBytes: Buffer;
  /** EDNS0 (RFC 6891); undefined when the query has no OPT record. */
  edns: Edns | undefined;
  /** It has a TSIG or SIG(0) record: whoever has the keys must look at it. */
  isSigned: boolean;
}

/** Parses a query; throws {@link WireError}. Responses and messages without exactly one question are refused. */
export function parseQuery(message: Buffer): Query {
  if (message.length < headerBytes) throw new WireError('message is shorter than its header');
  const flags = message.readUInt16BE(2);
  if ((flags & 0x8000) !== 0) throw new WireError('message is a response');
  if (message.readUInt16BE(4) !== 1) throw new WireError('message does not have exactly one question');
  const name = nameAt(message, headerBytes);
  const end = endOfName();
  if (end + 4 > message.length) throw new WireError('question is cut off');
  const query: Query = {
    id: message.readUInt16BE(0),
    opcode: (flags >> 11) & 0xf,
    recursionDesired: (flags & 0x0100) !== 0,
    checkingDisabled: (flags & 0x0010) !== 0,
    question: { name, type: message.readUInt16BE(end), class: message.readUInt16BE(end + 2) },
    questionBytes: Buffer.from(message.subarray(headerBytes, end + 4)),
    edns: undefined,
    isSigned: false,
  };
  readOtherRecords(message, end + 4, query);
  return query;
}

/** OPT and signatures; the other records of a query mean nothing, but must be records. */
function readOtherRecords(message: Buffer, offset: number, query: Query): void {
  const before = message.readUInt16BE(6) + message.readUInt16BE(8);
  const count = before + message.readUInt16BE(10);
  let position = offset;
  for (let i = 0; i < count; i++) {
    const fixed = skipName(message, position);
    if (fixed + 10 > message.length) throw new WireError('record is cut off');
    const end = fixed + 10 + message.readUInt16BE(fixed + 8);
    if (end > message.length) throw new WireError('record data is cut off');
    const type = message.readUInt16BE(fixed);
    if (i >= before && type === rrType.OPT) {
      if (query.edns) throw new WireError('message has more than one OPT record');
      query.edns = readEdns(message, position, fixed, end);
    } else if (i >= before && (type === rrType.TSIG || type === rrType.SIG)) query.isSigned = true;
    position = end;
  }
}

/** The OPT record that begins at `offset`, its name ending at `fixed`. Throws {@link WireError}. */
export function readEdns(message: Buffer, offset: number, fixed: number, end: number): Edns {
  if (message[offset] !== 0) throw new WireError('the OPT record does not belong to the root');
  return {
    udpSize: Math.max(512, message.readUInt16BE(fixed + 2)),
    version: message.readUInt8(fixed + 5),
    dnssecOk: (message.readUInt8(fixed + 6) & 0x80) !== 0,
    compactOk: (message.readUInt8(fixed + 6) & 0x40) !== 0,
    options: readOptions(message, fixed + 10, end),
  };
}

/** An answer to a message that could not be parsed as a query: its id and FORMERR. undefined when there is no id. */
export function formErrFor(message: Buffer): Buffer | undefined {
  if (message.length < headerBytes || (message.readUInt16BE(2) & 0x8000) !== 0) return undefined;
  const header = Buffer.alloc(headerBytes);
  message.copy(header, 0, 0, 2);
  header.writeUInt16BE(0x8000 | (message.readUInt16BE(2) & 0x7900) | 1, 2);
  return header;
}
