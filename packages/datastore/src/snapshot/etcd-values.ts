/**
 * What etcd keeps in its file: mvccpb.KeyValue (api/mvccpb/kv.proto) under a revision's bytes
 * (server/storage/mvcc/revision.go), leasepb.Lease (server/lease/leasepb/lease.proto) under the lease's id.
 */
import {
  finish,
  newWriter,
  type Reader,
  readerOf,
  readInt64,
  writeInt64,
} from '@cloudless/kube/protobuf/wire';
import type { RecordSize } from '../history/history.ts';
import type { LogRecord } from '../log/log.ts';

const tombstoneMark = 0x74; // 't'
const revisionBytes = 17;

/** `MAIN_SUB` in big-endian numbers, and a mark for a tombstone: the key of a record. */
export function revisionKey(revision: number, sub: number, isTombstone: boolean): Buffer {
  const key = Buffer.allocUnsafe(isTombstone ? revisionBytes + 1 : revisionBytes);
  key.writeBigInt64BE(BigInt(revision), 0);
  key[8] = 0x5f; // '_'
  key.writeBigInt64BE(BigInt(sub), 9);
  if (isTombstone) key[revisionBytes] = tombstoneMark;
  return key;
}

/** What a record's key says; undefined when it is none. */
export function readRevisionKey(
  key: Buffer,
): { revision: number; sub: number; isTombstone: boolean } | undefined {
  const isTombstone = key.length === revisionBytes + 1 && key[revisionBytes] === tombstoneMark;
  if ((key.length !== revisionBytes && !isTombstone) || key[8] !== 0x5f) return undefined;
  const [revision, sub] = [Number(key.readBigInt64BE(0)), Number(key.readBigInt64BE(9))];
  if (!Number.isSafeInteger(revision) || !Number.isSafeInteger(sub) || revision < 0 || sub < 0)
    return undefined;
  return { revision, sub, isTombstone };
}

/** Bytes of a number as a protobuf varint. */
function varintBytes(value: number | bigint): number {
  if (typeof value === 'number') {
    let bytes = 1;
    for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
    return bytes;
  }
  let bytes = 1;
  for (let rest = BigInt.asUintN(64, value); rest >= 0x80n; rest >>= 7n) bytes++;
  return bytes;
}

const fieldBytes = (value: number | bigint): number =>
  value === 0 || value === 0n ? 0 : 1 + varintBytes(value);
const blobBytes = (length: number): number => (length <= 0 ? 0 : 1 + varintBytes(length) + length);

/** How long {@link encodeKeyValue} will be. */
export function keyValueBytes(record: RecordSize): number {
  const { keyBytes, valueBytes, revision, createRevision, version, lease } = record;
  if (valueBytes < 0) return blobBytes(keyBytes);
  return (
    blobBytes(keyBytes) +
    fieldBytes(createRevision) +
    fieldBytes(revision) +
    fieldBytes(version) +
    blobBytes(valueBytes) +
    fieldBytes(lease)
  );
}

/** A tombstone is the key alone. Zeros and what is empty are left out, as proto3 has it. */
export function encodeKeyValue(record: Omit<LogRecord, 'position'>): Buffer {
  const writer = newWriter();
  const number = (tag: number, value: number | bigint): void => {
    if (value !== 0 && value !== 0n) writeInt64(writer.uint32(tag), value);
  };
  if (record.key.byteLength > 0) writer.uint32(0x0a).bytes(record.key);
  if (record.value === undefined) return finish(writer);
  number(0x10, record.createRevision);
  number(0x18, record.revision);
  number(0x20, record.version);
  if (record.value.byteLength > 0) writer.uint32(0x2a).bytes(record.value);
  number(0x30, record.lease);
  return finish(writer);
}

export interface StoredKeyValue {
  key: Uint8Array;
  createRevision: number;
  modRevision: number;
  version: number;
  value: Uint8Array;
  lease: bigint;
}

/** @throws RangeError when the bytes end too early; TypeError for what is no KeyValue */
export function decodeKeyValue(bytes: Uint8Array): StoredKeyValue {
  const empty = new Uint8Array(0);
  const found: StoredKeyValue = {
    key: empty,
    createRevision: 0,
    modRevision: 0,
    version: 0,
    value: empty,
    lease: 0n,
  };
  eachField(bytes, (reader, tag) => {
    if (tag === 0x0a) found.key = reader.bytes();
    else if (tag === 0x10) found.createRevision = readRevision(reader);
    else if (tag === 0x18) found.modRevision = readRevision(reader);
    else if (tag === 0x20) found.version = readRevision(reader);
    else if (tag === 0x2a) found.value = reader.bytes();
    else if (tag === 0x30) found.lease = readInt64(reader);
    else return false;
    return true;
  });
  return found;
}

function readRevision(reader: Reader): number {
  const value = Number(readInt64(reader));
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is no revision`);
  return value;
}

export interface StoredLease {
  readonly id: bigint;
  readonly ttlSeconds: number;
}

export function leaseKey(id: bigint): Buffer {
  const key = Buffer.allocUnsafe(8);
  key.writeBigInt64BE(id, 0);
  return key;
}

export function encodeLease({ id, ttlSeconds }: StoredLease): Buffer {
  const writer = newWriter();
  writeInt64(writer.uint32(0x08), id);
  writeInt64(writer.uint32(0x10), ttlSeconds);
  return finish(writer);
}

/** The remaining time of a checkpoint is not kept: after a move every lease has its full time again. */
export function decodeLease(bytes: Uint8Array): StoredLease {
  let [id, ttlSeconds] = [0n, 0];
  eachField(bytes, (reader, tag) => {
    if (tag === 0x08) id = readInt64(reader);
    else if (tag === 0x10) ttlSeconds = Number(readInt64(reader));
    else return false;
    return true;
  });
  return { id, ttlSeconds };
}

/** Calls `take` for every field; what it does not know is passed over. */
function eachField(bytes: Uint8Array, take: (reader: Reader, tag: number) => boolean): void {
  const reader = readerOf(bytes);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (!take(reader, tag)) reader.skipType(tag & 7);
  }
}
