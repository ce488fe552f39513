import { crc32 } from 'node:zlib';
import type { FactChange, FactName, LeaseChange, LogBatch, LogRecord } from './log.ts';

/**
 * A frame is one batch of the log as it lies in a segment:
 *
 *     0 magic  4 checksum of all that follows  8 length  12 checksum of the frame before
 *     16 epoch  24 sequence  32 head revision  40 head position  48 compact revision (0: none)
 *     56 records  60 other changes  64 bytes of the segment's file
 *     72 the records: position, revision, create revision, version, lease, key and value length, key, value
 *        the other changes: kind, length of a name, two numbers, the name
 *
 * Numbers are little-endian, of 8 bytes or (magic, lengths, counts) 4. Sequences count up through both segments
 * and are never used twice in an epoch, so what a segment held before it was used again is never taken for new.
 * The checksum is CRC-32 and not CRC-32C because zlib's is native: 1 µs for a kilobyte.
 */
export const frameHeaderBytes = 72;
const magic = 0x31474c43; // "CLG1"
export const magicBytes = Buffer.from('CLG1', 'latin1');
const checksummedFrom = 8;
export const recordHeaderBytes = 48;
const changeHeaderBytes = 24;
const tombstone = 0xffff_ffff;
/** Encoding a huge batch stops after so long to let the event loop turn. */
const sliceMs = 5;

const changeKinds = { grant: 0, revoke: 1, fact: 2 } as const;

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** What a frame says about itself. */
export interface FrameHeader {
  /** Its bytes, header included, padding not. */
  readonly length: number;
  readonly checksum: number;
  readonly previousChecksum: number;
  readonly epoch: number;
  readonly sequence: number;
  readonly revision: number;
  readonly position: number;
  /** 0: the batch did not compact. */
  readonly compactRevision: number;
  readonly records: number;
  readonly changes: number;
  /** How long the segment's file was: a shorter one has been cut. */
  readonly fileBytes: number;
}

/** A record inside a segment: the value stays where it is. */
export interface FramedRecord extends Omit<LogRecord, 'value'> {
  /** Offset of the value from the start of the frame's bytes; -1 for a tombstone. */
  readonly valueAt: number;
  readonly valueBytes: number;
}

function putNumber(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
}

const getNumber = (view: DataView, at: number): number =>
  view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Bytes of the frame that holds `batch`. */
export function frameLength({ records, leases, facts }: LogBatch): number {
  let length = frameHeaderBytes + leases.length * changeHeaderBytes;
  for (const { key, value } of records) {
    length += recordHeaderBytes + key.byteLength + (value?.byteLength ?? 0);
  }
  for (const { name } of facts) length += changeHeaderBytes + name.length;
  return length;
}

/**
 * Writes the frame to `bytes` at `at`, where there must be room, and returns its checksum. A huge batch is written with
 * pauses for the event loop.
 */
export async function encodeFrame(
  bytes: Uint8Array,
  at: number,
  batch: LogBatch,
  place: Pick<FrameHeader, 'length' | 'previousChecksum' | 'epoch' | 'sequence' | 'fileBytes'>,
): Promise<number> {
  const view = viewOf(bytes);
  const { records, leases, facts, head } = batch;
  view.setUint32(at, magic, true);
  view.setUint32(at + 8, place.length, true);
  view.setUint32(at + 12, place.previousChecksum, true);
  putNumber(view, at + 16, place.epoch);
  putNumber(view, at + 24, place.sequence);
  putNumber(view, at + 32, head.revision);
  putNumber(view, at + 40, head.position);
  putNumber(view, at + 48, batch.compactRevision ?? 0);
  view.setUint32(at + 56, records.length, true);
  view.setUint32(at + 60, leases.length + facts.length, true);
  putNumber(view, at + 64, place.fileBytes);
  let to = at + frameHeaderBytes;
  let until = performance.now() + sliceMs;
  for (let i = 0; i < records.length; i++) {
    to = putRecord(bytes, view, to, records[i] as LogRecord);
    if (i % 1024 === 1023 && performance.now() > until) {
      await nextTurn();
      until = performance.now() + sliceMs;
    }
  }
  for (const lease of leases) to = putLease(view, to, lease);
  for (const fact of facts) to = putFact(bytes, view, to, fact);
  const checksum = crc32(bytes.subarray(at + checksummedFrom, to));
  view.setUint32(at + 4, checksum, true);
  return checksum;
}

function putRecord(bytes: Uint8Array, view: DataView, at: number, record: LogRecord): number {
  const { key, value, lease } = record;
  putNumber(view, at, record.position);
  putNumber(view, at + 8, record.revision);
  putNumber(view, at + 16, record.createRevision);
  putNumber(view, at + 24, record.version);
  if (lease === 0n) putNumber(view, at + 32, 0);
  else view.setBigUint64(at + 32, BigInt.asUintN(64, lease), true);
  view.setUint32(at + 40, key.byteLength, true);
  view.setUint32(at + 44, value === undefined ? tombstone : value.byteLength, true);
  const keyAt = at + recordHeaderBytes;
  bytes.set(key, keyAt);
  if (value === undefined) return keyAt + key.byteLength;
  bytes.set(value, keyAt + key.byteLength);
  return keyAt + key.byteLength + value.byteLength;
}

function putLease(view: DataView, at: number, change: LeaseChange): number {
  view.setUint32(at, changeKinds[change.type], true);
  view.setUint32(at + 4, 0, true);
  view.setBigUint64(at + 8, BigInt.asUintN(64, change.id), true);
  putNumber(view, at + 16, change.type === 'grant' ? change.ttlSeconds : 0);
  return at + changeHeaderBytes;
}

function putFact(bytes: Uint8Array, view: DataView, at: number, { name, value }: FactChange): number {
  view.setUint32(at, changeKinds.fact, true);
  view.setUint32(at + 4, name.length, true);
  view.setBigUint64(at + 8, BigInt.asUintN(64, value), true);
  putNumber(view, at + 16, 0);
  bytes.set(Buffer.from(name, 'latin1'), at + changeHeaderBytes);
  return at + changeHeaderBytes + name.length;
}

/** The frame at `at` in these bytes of a segment, if a whole and undamaged one of this epoch begins there. */
export function frameAt(bytes: Uint8Array, at: number, epoch: number): FrameHeader | undefined {
  if (at + frameHeaderBytes > bytes.byteLength) return undefined;
  const view = viewOf(bytes);
  if (view.getUint32(at, true) !== magic) return undefined;
  const length = view.getUint32(at + 8, true);
  if (length < frameHeaderBytes || at + length > bytes.byteLength) return undefined;
  if (getNumber(view, at + 16) !== epoch) return undefined;
  const checksum = view.getUint32(at + 4, true);
  if (crc32(bytes.subarray(at + checksummedFrom, at + length)) !== checksum) return undefined;
  return {
    length,
    checksum,
    previousChecksum: view.getUint32(at + 12, true),
    epoch,
    sequence: getNumber(view, at + 24),
    revision: getNumber(view, at + 32),
    position: getNumber(view, at + 40),
    compactRevision: getNumber(view, at + 48),
    records: view.getUint32(at + 56, true),
    changes: view.getUint32(at + 60, true),
    fileBytes: getNumber(view, at + 64),
  };
}

/** The records of the frame at `at`, in order; keys are views into `bytes`. Ends with the offset behind them. */
export function* recordsOf(
  bytes: Uint8Array,
  at: number,
  { records }: FrameHeader,
): Generator<FramedRecord, number> {
  const view = viewOf(bytes);
  let from = at + frameHeaderBytes;
  for (let i = 0; i < records; i++) {
    const keyBytes = view.getUint32(from + 40, true);
    const valueBytes = view.getUint32(from + 44, true);
    const keyAt = from + recordHeaderBytes;
    const isTombstone = valueBytes === tombstone;
    yield {
      position: getNumber(view, from),
      revision: getNumber(view, from + 8),
      createRevision: getNumber(view, from + 16),
      version: getNumber(view, from + 24),
      lease: view.getBigUint64(from + 32, true),
      key: bytes.subarray(keyAt, keyAt + keyBytes),
      valueAt: isTombstone ? -1 : keyAt + keyBytes,
      valueBytes: isTombstone ? 0 : valueBytes,
    };
    from = keyAt + keyBytes + (isTombstone ? 0 : valueBytes);
  }
  return from;
}

/** The changes of leases and facts in the frame, from the offset behind its records. */
export function changesOf(
  bytes: Uint8Array,
  from: number,
  { changes }: FrameHeader,
): { leases: LeaseChange[]; facts: FactChange[] } {
  const view = viewOf(bytes);
  const leases: LeaseChange[] = [];
  const facts: FactChange[] = [];
  let at = from;
  for (let i = 0; i < changes; i++) {
    const kind = view.getUint32(at, true);
    const nameBytes = view.getUint32(at + 4, true);
    const first = view.getBigUint64(at + 8, true);
    const second = getNumber(view, at + 16);
    at += changeHeaderBytes;
    if (kind === changeKinds.grant) leases.push({ type: 'grant', id: first, ttlSeconds: second });
    else if (kind === changeKinds.revoke) leases.push({ type: 'revoke', id: first });
    else {
      const name = Buffer.from(bytes.buffer, bytes.byteOffset + at, nameBytes).toString('latin1');
      facts.push({ name: name as FactName, value: first });
      at += nameBytes;
    }
  }
  return { leases, facts };
}
