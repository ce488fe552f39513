import { type EdnsOption, ednsUdpSize } from './edns.ts';
import { MessageWriter } from './message-writer.ts';
import { headerBytes } from './name.ts';
import type { Query } from './query.ts';
import type { ResourceRecord } from './record.ts';
import { ednsOption, rrType } from './types.ts';

export interface Answer {
  /** Up to 4095 with EDNS0; without it the upper bits are lost. */
  rcode: number;
  authoritative: boolean;
  recursionAvailable: boolean;
  answers: readonly ResourceRecord[];
  authorities: readonly ResourceRecord[];
  additionals: readonly ResourceRecord[];
  /** How many additional records, from the first on, the answer is not whole without: glue (RFC 9471). */
  requiredAdditionals?: number;
  /** CO comes back: its denials are compact, with the response code that the name has (RFC 9824 section 5.1). */
  compactOk?: boolean;
  /** Sent when the query had an OPT record. */
  options?: readonly EdnsOption[];
  /** The answer is made a multiple of this long (RFC 7830), when it has an OPT record and that fits. */
  paddingBlockBytes?: number;
}

const writer = new MessageWriter();

/**
 * The answer's bytes, names compressed. What does not fit in `maxBytes` leaves with TC set and no records (RFC 2181
 * section 9), so that the client asks again by TCP; additional records that are not required are a courtesy, and as many
 * whole sets of them are written as fit. Throws {@link WireError} when a record's owner is no name.
 */
export function writeAnswer(query: Query, answer: Answer, maxBytes: number): Buffer {
  const optBytes = query.edns ? sizeOfOpt(answer.options) : 0;
  const limit = maxBytes - optBytes;
  writer.begin(true);
  writer.length = headerBytes;
  writer.question(query.questionBytes);
  const questionEnd = writer.length;
  let isWhole = writeSection(answer.answers, limit) && writeSection(answer.authorities, limit);
  let additionals = isWhole ? writeAdditionals(answer.additionals, limit) : 0;
  if (additionals < (answer.requiredAdditionals ?? 0)) isWhole = false;
  if (!isWhole) {
    writer.length = questionEnd;
    additionals = 0;
  }
  if (query.edns) {
    writeOpt(answer, query.edns.dnssecOk, optBytes, maxBytes);
    additionals += 1;
  }
  writeHeader(query, answer, isWhole, additionals);
  return writer.take();
}

/** Whether they end before `limit`. */
function writeSection(records: readonly ResourceRecord[], limit: number): boolean {
  for (const record of records) {
    writer.record(record);
    if (writer.length > limit) return false;
  }
  return writer.length <= limit;
}

/** How many were written: whole sets with their signatures (RFC 2181 section 9). */
function writeAdditionals(records: readonly ResourceRecord[], limit: number): number {
  let setStart = writer.length;
  let setIndex = 0;
  let last: ResourceRecord | undefined;
  for (const [index, record] of records.entries()) {
    const isSameSet =
      record.name === last?.name && (record.type === last.type || record.type === rrType.RRSIG);
    if (!isSameSet) {
      setStart = writer.length;
      setIndex = index;
    }
    writer.record(record);
    if (writer.length > limit) {
      writer.length = setStart;
      return setIndex;
    }
    last = record;
  }
  return records.length;
}

function writeHeader(query: Query, answer: Answer, isWhole: boolean, additionals: number): void {
  const end = writer.length;
  writer.length = 0;
  writer.u16(query.id);
  writer.u16(
    0x8000 |
      (query.opcode << 11) |
      (answer.authoritative ? 0x0400 : 0) |
      (isWhole ? 0 : 0x0200) |
      (query.recursionDesired ? 0x0100 : 0) |
      (answer.recursionAvailable ? 0x0080 : 0) |
      (query.checkingDisabled ? 0x0010 : 0) |
      (answer.rcode & 0xf),
  );
  writer.u16(1);
  writer.u16(isWhole ? answer.answers.length : 0);
  writer.u16(isWhole ? answer.authorities.length : 0);
  writer.u16(additionals);
  writer.length = end;
}

const optFixedBytes = 11;

function sizeOfOpt(options: readonly EdnsOption[] | undefined): number {
  let size = optFixedBytes;
  if (options) for (const option of options) size += 4 + option.data.length;
  return size;
}

/** Holds the upper bits of the response code; the DO bit comes back as it was sent (RFC 3225 section 3). */
function writeOpt(answer: Answer, dnssecOk: boolean, optBytes: number, maxBytes: number): void {
  const block = answer.paddingBlockBytes ?? 0;
  const unpadded = writer.length + optBytes + 4;
  const padded = block > 0 ? Math.min(Math.ceil(unpadded / block) * block, maxBytes) : 0;
  const padding = padded >= unpadded ? padded - unpadded : -1;
  writer.bytes[writer.length++] = 0;
  writer.u16(rrType.OPT);
  writer.u16(ednsUdpSize);
  writer.u16((answer.rcode >> 4) << 8);
  writer.u16((dnssecOk ? 0x8000 : 0) | (answer.compactOk ? 0x4000 : 0));
  writer.u16(optBytes - optFixedBytes + (padding < 0 ? 0 : 4 + padding));
  for (const option of answer.options ?? []) {
    writer.u16(option.code);
    writer.u16(option.data.length);
    writer.copy(option.data);
  }
  if (padding < 0) return;
  writer.u16(ednsOption.padding);
  writer.u16(padding);
  writer.bytes.fill(0, writer.length, writer.length + padding);
  writer.length += padding;
}
