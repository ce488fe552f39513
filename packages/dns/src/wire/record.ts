import { endOfName, nameAt, WireError } from './name.ts';
import { uncompressedData } from './rdata/data.ts';
import { classIn } from './types.ts';

export interface Question {
  /** As asked, case kept. */
  name: string;
  type: number;
  class: number;
}

/** `data` is the uncompressed RDATA. */
export interface ResourceRecord {
  name: string;
  type: number;
  ttlSeconds: number;
  data: Buffer;
  /** Where it is not IN: ANY and NONE of RFC 2136, TSIG's ANY. */
  class?: number;
}

/** A record in a message, its data where it stands. */
export interface RawRecord {
  readonly name: string;
  readonly type: number;
  readonly class: number;
  readonly ttl: number;
  /** Where it begins. */
  readonly offset: number;
  /** Where its data is. */
  readonly start: number;
  readonly end: number;
}

/** The record at `offset`. Throws {@link WireError}. */
export function readRawRecord(message: Buffer, offset: number): RawRecord {
  const name = nameAt(message, offset);
  const fixed = endOfName();
  if (fixed + 10 > message.length) throw new WireError('record is cut off');
  const start = fixed + 10;
  const end = start + message.readUInt16BE(fixed + 8);
  if (end > message.length) throw new WireError('record data is cut off');
  return {
    name,
    type: message.readUInt16BE(fixed),
    class: message.readUInt16BE(fixed + 2),
    ttl: message.readUInt32BE(fixed + 4),
    offset,
    start,
    end,
  };
}

/** The record with its names written out, so that it stands without its message. Throws {@link WireError}. */
export function detachedRecord(message: Buffer, raw: RawRecord): ResourceRecord {
  const record: ResourceRecord = {
    name: raw.name,
    type: raw.type,
    ttlSeconds: raw.ttl,
    data: uncompressedData(message, raw.type, raw.start, raw.end),
  };
  if (raw.class !== classIn) record.class = raw.class;
  return record;
}
