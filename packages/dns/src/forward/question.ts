import { randomBytes, randomInt } from 'node:crypto';
import { ednsUdpSize } from '../wire/message.ts';
import { ednsOption, rrType } from '../wire/types.ts';

/** What is asked of a server upstream. Nothing else of a client's query goes out: no cookie, no subnet. */
export interface ForwardedQuestion {
  /** The question section: name, type, class. */
  readonly bytes: Buffer;
  readonly recursionDesired: boolean;
  readonly checkingDisabled: boolean;
  readonly dnssecOk: boolean;
}

const headerBytes = 12;
/** Queries over TLS are padded to this (RFC 8467 section 4.1). */
const paddingBlockBytes = 128;

/** How a server wants to be asked. */
export interface QueryForm {
  readonly edns: boolean;
  readonly padded: boolean;
  /** Mix upper and lower case, and believe only answers that keep it (draft-vixie-dnsext-dns0x20). */
  readonly randomCase: boolean;
}

/** A query under an id of its own (RFC 5452). */
export function writeQuery(question: ForwardedQuestion, form: QueryForm): Buffer {
  const { bytes } = question;
  const plainBytes = headerBytes + bytes.length + (form.edns ? 11 : 0);
  const paddedBytes = form.padded
    ? Math.ceil((plainBytes + 4) / paddingBlockBytes) * paddingBlockBytes
    : plainBytes;
  const query = Buffer.alloc(paddedBytes);
  query.writeUInt16BE(randomInt(0x10000), 0);
  // AD says that we understand it in answers (RFC 6840 section 5.7).
  query.writeUInt16BE(
    (question.recursionDesired ? 0x0100 : 0) | 0x0020 | (question.checkingDisabled ? 0x10 : 0),
    2,
  );
  query.writeUInt16BE(1, 4);
  bytes.copy(query, headerBytes);
  if (form.randomCase) mixCase(query, headerBytes, headerBytes + bytes.length - 4);
  if (!form.edns) return query;
  query.writeUInt16BE(1, 10);
  const opt = headerBytes + bytes.length;
  query.writeUInt16BE(rrType.OPT, opt + 1);
  query.writeUInt16BE(ednsUdpSize, opt + 3);
  query.writeUInt16BE(question.dnssecOk ? 0x8000 : 0, opt + 7);
  if (!form.padded) return query;
  query.writeUInt16BE(paddedBytes - opt - 11, opt + 9);
  query.writeUInt16BE(ednsOption.padding, opt + 11);
  query.writeUInt16BE(paddedBytes - opt - 15, opt + 13);
  return query;
}

/** Lengths of labels are below 64, so they are never taken for letters. */
function mixCase(query: Buffer, start: number, end: number): void {
  const random = randomBytes(32);
  for (let i = start; i < end; i++) {
    const byte = query[i] as number;
    const isLetter = (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);
    const bit = ((random[(i >> 3) & 31] as number) >> (i & 7)) & 1;
    if (isLetter && bit === 1) query[i] = byte ^ 0x20;
  }
}

/**
 * Whether an answer is one to the query: id and question are its own (RFC 5452 section 9.1). `exactCase`: the question
 * must come back in the same case.
 */
export function isAnswerTo(query: Buffer, answer: Buffer, exactCase: boolean): boolean {
  if (answer.length < headerBytes || answer.readUInt16BE(0) !== query.readUInt16BE(0)) return false;
  if (((answer[2] as number) & 0x80) === 0) return false;
  // A server that cannot read the query may send the header alone.
  if (answer.readUInt16BE(4) === 0)
    return answer.length === headerBytes && ((answer[3] as number) & 0xf) !== 0;
  const end = endOfQuestion(query);
  if (answer.readUInt16BE(4) !== 1 || answer.length < end) return false;
  for (let i = headerBytes; i < end; i++) {
    const asked = query[i] as number;
    const got = answer[i] as number;
    if (asked === got) continue;
    const isSameLetter = (asked ^ got) === 0x20 && (asked | 0x20) >= 0x61 && (asked | 0x20) <= 0x7a;
    if (exactCase || !isSameLetter || i >= end - 4) return false;
  }
  return true;
}

/** Where the question of a query that we wrote ends. */
function endOfQuestion(query: Buffer): number {
  let position = headerBytes;
  while (query[position] !== 0) position += (query[position] as number) + 1;
  return position + 5;
}
