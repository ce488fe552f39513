import { type EdnsOption, extendedErrorOption } from '../wire/edns.ts';
import { ednsUdpSize, parseMessage, type Message, type Query, writeMessage } from '../wire/message.ts';
import { readRawRecord, type RawRecord } from '../wire/record.ts';
import { WireError } from '../wire/name.ts';
import { extendedError, rcode, rrType } from '../wire/types.ts';

/** What kind of answer the cache holds it to be, as CoreDNS names them; `error` is kept for seconds only. */
export type AnswerKind = 'success' | 'denial' | 'error';

/** An answer from upstream in the form in which it is sent on: bytes, and the places in them that differ each time. */
export interface ForwardedAnswer {
  /** Without its OPT record. Id, flags and question are written over. */
  readonly message: Buffer;
  /** Where the question ends. */
  readonly questionEnd: number;
  /** With EDNS0's upper bits. */
  readonly rcode: number;
  readonly truncated: boolean;
  /** Validated upstream (AD). */
  readonly authenticData: boolean;
  readonly kind: AnswerKind;
  /** Where the TTLs of its records are. */
  readonly ttlOffsets: readonly number[];
  /** How long it holds: the least TTL, or what the SOA says of a denial (RFC 2308 section 5); undefined: not at all. */
  readonly ttlSeconds: number | undefined;
  /** Extended errors of the server upstream, handed on (RFC 8914 section 3). */
  readonly options: readonly EdnsOption[];
  readonly hadEdns: boolean;
}

const headerBytes = 12;
/** A TTL with its highest bit set is 0 (RFC 2181 section 8). */
const ttlOf = (ttl: number): number => (ttl > 0x7fffffff ? 0 : ttl);

/** Reads an answer that was checked to be one to `question`. Throws {@link WireError} when it is not a message. */
export function readForwarded(received: Buffer, question: Buffer): ForwardedAnswer {
  const bytes = received.readUInt16BE(4) === 0 ? withQuestion(received, question) : received;
  const message = parseMessage(bytes);
  const edns = message.edns;
  // An OPT record stands at the end in practice; where it does not, the message is written anew.
  const plain = edns ? withoutOpt(bytes, message) : bytes;
  const { questionEnd, ttlOffsets, records } = placesIn(plain);
  const kind = kindOf(message);
  return {
    message: plain,
    questionEnd,
    rcode: message.rcode,
    truncated: message.truncated,
    authenticData: message.authenticData,
    kind,
    ttlOffsets,
    ttlSeconds: message.truncated ? undefined : lifetimeOf(message, kind, records),
    options: (edns?.options ?? []).filter((option) => option.code === extendedErrorOption(0).code),
    hadEdns: edns !== undefined,
  };
}

function withQuestion(header: Buffer, question: Buffer): Buffer {
  const bytes = Buffer.concat([header.subarray(0, headerBytes), question]);
  bytes.writeUInt16BE(1, 4);
  return bytes;
}

function placesIn(message: Buffer): { questionEnd: number; ttlOffsets: number[]; records: RawRecord[] } {
  let position = headerBytes;
  while (message[position] !== 0) position += (message[position] as number) + 1;
  position += 5;
  const questionEnd = position;
  const count = message.readUInt16BE(6) + message.readUInt16BE(8) + message.readUInt16BE(10);
  const records: RawRecord[] = [];
  for (let i = 0; i < count; i++) {
    const record = readRawRecord(message, position);
    records.push(record);
    position = record.end;
  }
  if (position !== message.length) throw new WireError('there are bytes after the last record');
  return { questionEnd, ttlOffsets: records.map((record) => record.start - 6), records };
}

function withoutOpt(bytes: Buffer, message: Message): Buffer {
  const count = bytes.readUInt16BE(6) + bytes.readUInt16BE(8) + bytes.readUInt16BE(10);
  let position = headerBytes;
  while (bytes[position] !== 0) position += (bytes[position] as number) + 1;
  position += 5;
  for (let i = 0; i < count; i++) {
    const record = readRawRecord(bytes, position);
    if (record.type === rrType.OPT) {
      if (i < count - 1) return writeMessage({ ...message, edns: undefined, rcode: message.rcode & 0xf });
      const cut = Buffer.from(bytes.subarray(0, position));
      cut.writeUInt16BE(bytes.readUInt16BE(10) - 1, 10);
      return cut;
    }
    position = record.end;
  }
  return bytes;
}

function kindOf(message: Message): AnswerKind {
  if (message.rcode === rcode.nxDomain) return 'denial';
  if (message.rcode !== rcode.noError) return 'error';
  const type = message.questions[0]?.type;
  const answers = message.answers.some((record) => record.type === type || type === rrType.ANY);
  return answers ? 'success' : 'denial';
}

/** The least TTL of what was answered; of a denial the SOA's TTL or its minimum (RFC 2308), and without SOA nothing. */
function lifetimeOf(message: Message, kind: AnswerKind, records: readonly RawRecord[]): number | undefined {
  if (kind === 'error')
    return message.rcode === rcode.servFail || message.rcode === rcode.notImp ? 0 : undefined;
  let least = kind === 'denial' ? denialSeconds(message) : Infinity;
  if (least === undefined) return undefined;
  for (const record of records) if (record.type !== rrType.OPT) least = Math.min(least, ttlOf(record.ttl));
  return least;
}

function denialSeconds(message: Message): number | undefined {
  const soa = message.authorities.find((record) => record.type === rrType.SOA);
  if (!soa || soa.data.length < 22) return undefined;
  return Math.min(ttlOf(soa.ttlSeconds), ttlOf(soa.data.readUInt32BE(soa.data.length - 4)));
}

/** How an answer is told to one client. */
export interface Telling {
  /** What can be sent. */
  readonly maxBytes: number;
  /** Seconds since it came. */
  readonly ageSeconds: number;
  /** No TTL is higher than this, less the age. */
  readonly lifetimeSeconds: number;
  /** TTL of every record of an answer past its time (RFC 8767 section 4). */
  readonly staleTtlSeconds?: number | undefined;
}

/** The answer for one client: its id, its case, its flags, TTLs counted down. What does not fit goes with TC alone. */
export function writeForwarded(query: Query, answer: ForwardedAnswer, telling: Telling): Buffer {
  const options =
    telling.staleTtlSeconds === undefined ? answer.options : [...answer.options, staleOption(answer.rcode)];
  const optBytes = query.edns ? 11 + options.reduce((sum, option) => sum + 4 + option.data.length, 0) : 0;
  const fits = answer.message.length + optBytes <= telling.maxBytes;
  const { questionBytes } = query;
  const bodyBytes = fits ? answer.message.length : headerBytes + questionBytes.length;
  const out = Buffer.allocUnsafe(bodyBytes + optBytes);
  if (fits) answer.message.copy(out, 0, 0, bodyBytes);
  else out.fill(0, 0, headerBytes);
  questionBytes.copy(out, headerBytes);
  out[0] = query.id >> 8;
  out[1] = query.id & 0xff;
  out[2] = 0x80 | (query.recursionDesired ? 1 : 0) | (answer.truncated || !fits ? 2 : 0);
  // AD is for those who asked for it (RFC 6840 section 5.8).
  const wantsAd = query.edns?.dnssecOk === true;
  out[3] =
    0x80 |
    (answer.authenticData && wantsAd ? 0x20 : 0) |
    (query.checkingDisabled ? 0x10 : 0) |
    (answer.rcode & 0xf);
  out.writeUInt16BE(1, 4);
  if (fits) writeTtls(out, answer, telling);
  if (query.edns) {
    out.writeUInt16BE((fits ? out.readUInt16BE(10) : 0) + 1, 10);
    writeOpt(out, bodyBytes, answer.rcode, query.edns.dnssecOk, options);
  }
  return out;
}

function writeTtls(out: Buffer, answer: ForwardedAnswer, telling: Telling): void {
  const { ageSeconds, lifetimeSeconds, staleTtlSeconds } = telling;
  for (const offset of answer.ttlOffsets) {
    const ttl = Math.min(ttlOf(answer.message.readUInt32BE(offset)), lifetimeSeconds);
    out.writeUInt32BE(staleTtlSeconds ?? Math.max(0, ttl - ageSeconds), offset);
  }
}

const staleOption = (code: number): EdnsOption =>
  extendedErrorOption(code === rcode.nxDomain ? extendedError.staleNxDomain : extendedError.staleAnswer);

function writeOpt(
  out: Buffer,
  start: number,
  code: number,
  dnssecOk: boolean,
  options: readonly EdnsOption[],
): void {
  out[start] = 0;
  out.writeUInt16BE(rrType.OPT, start + 1);
  out.writeUInt16BE(ednsUdpSize, start + 3);
  out.writeUInt32BE(((((code >> 4) & 0xff) << 24) | (dnssecOk ? 0x8000 : 0)) >>> 0, start + 5);
  out.writeUInt16BE(out.length - start - 11, start + 9);
  let position = start + 11;
  for (const { code: number, data } of options) {
    out.writeUInt16BE(number, position);
    out.writeUInt16BE(data.length, position + 2);
    data.copy(out, position + 4);
    position += 4 + data.length;
  }
}
