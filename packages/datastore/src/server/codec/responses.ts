/**
 * The responses of etcd's KV and Watch services as gRPC frames. Field numbers:
 * `packages/kube/data/etcd-v3-proto.json`. Everything is written backwards, see {@link BackwardWriter}.
 */
import type {
  DeleteRangeResponse,
  KeyValue,
  PutResponse,
  RangeResponse,
  ResponseOp,
  TxnResponse,
  WatchEvent,
} from '@cloudless/kube/etcd/store';
import { BackwardWriter, varintBytes } from './writer.ts';

/** What every answer says about who gave it; made by {@link headerOf}. */
export interface Header {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly raftTerm: number;
  /** Its first two fields on the wire: they never change. */
  readonly identityBytes: Uint8Array;
}

export function headerOf(clusterId: bigint, memberId: bigint, raftTerm: number): Header {
  const writer = new BackwardWriter(32);
  writer.integer(2, memberId);
  writer.integer(1, clusterId);
  return { clusterId, memberId, raftTerm, identityBytes: writer.message() };
}

/** Of gRPC, before each message. */
const prefixBytes = 5;
/** Bytes that a key-value's numbers, tags and lengths take at most. */
const kvOverheadBytes = 64;

const kvBytes = ({ key, value }: KeyValue): number => key.byteLength + value.byteLength + kvOverheadBytes;

const kvsBytes = (kvs: readonly KeyValue[]): number => kvs.reduce((sum, kv) => sum + kvBytes(kv), 0);

export function writeHeader(writer: BackwardWriter, header: Header | undefined, revision: number): void {
  const before = writer.written;
  if (header !== undefined) writer.integer(4, header.raftTerm);
  writer.integer(3, revision);
  if (header !== undefined) writer.raw(header.identityBytes);
  writer.nested(1, before);
}

function writeKv(writer: BackwardWriter, field: number, kv: KeyValue): void {
  const before = writer.written;
  writer.integer(6, kv.lease);
  writer.bytes(5, kv.value);
  writer.integer(4, kv.version);
  writer.integer(3, kv.modRevision);
  writer.integer(2, kv.createRevision);
  writer.bytes(1, kv.key);
  writer.nested(field, before);
}

function writeKvs(writer: BackwardWriter, field: number, kvs: readonly KeyValue[]): void {
  for (let i = kvs.length - 1; i >= 0; i--) writeKv(writer, field, kvs[i] as KeyValue);
}

function writeRange(writer: BackwardWriter, header: Header | undefined, response: RangeResponse): void {
  writer.integer(4, response.count);
  writer.bool(3, response.more);
  writeKvs(writer, 2, response.kvs);
  writeHeader(writer, header, response.revision);
}

/** The frame of a long answer: so many bytes in pieces, each made when it is asked for, in the place of the last one. */
export interface LongFrame {
  readonly bytes: number;
  readonly pieces: Iterator<Buffer, undefined>;
}

/** Bytes of a piece: little enough to stay in the processor's cache until it is sent. */
const pieceBytes = 256 * 1024;

export function encodeRange(header: Header, response: RangeResponse): Buffer | LongFrame {
  const estimate = kvsBytes(response.kvs) + kvOverheadBytes;
  if (estimate > 2 * pieceBytes) return longRange(header, response);
  const writer = new BackwardWriter(estimate);
  writeRange(writer, header, response);
  return writer.frame();
}

function longRange(header: Header, { kvs, revision, more, count }: RangeResponse): LongFrame {
  const head = new BackwardWriter(kvOverheadBytes);
  writeHeader(head, header, revision);
  const tail = new BackwardWriter(kvOverheadBytes);
  tail.integer(4, count);
  tail.bool(3, more);
  const bytes = kvs.reduce((sum, kv) => sum + nestedBytes(exactKvBytes(kv)), head.written + tail.written);
  return { bytes: bytes + prefixBytes, pieces: piecesOf(kvs, head, tail, bytes) };
}

function* piecesOf(
  kvs: readonly KeyValue[],
  head: BackwardWriter,
  tail: BackwardWriter,
  messageBytes: number,
): Generator<Buffer, undefined> {
  yield head.frame(messageBytes);
  const space = Buffer.allocUnsafeSlow(pieceBytes);
  for (let from = 0; from < kvs.length;) {
    let to = from + 1;
    let estimate = kvBytes(kvs[from] as KeyValue);
    for (let next = kvs[to]; next !== undefined && estimate + kvBytes(next) <= pieceBytes; next = kvs[++to])
      estimate += kvBytes(next);
    const writer = new BackwardWriter(estimate <= pieceBytes ? space : estimate);
    for (let i = to - 1; i >= from; i--) writeKv(writer, 2, kvs[i] as KeyValue);
    yield writer.message();
    from = to;
  }
  if (tail.written > 0) yield tail.message();
  return undefined;
}

const nestedBytes = (bytes: number): number => 1 + varintBytes(bytes) + bytes;
const integerBytes = (value: number): number => (value === 0 ? 0 : 1 + varintBytes(value));
const fieldBytes = ({ byteLength }: Uint8Array): number => (byteLength === 0 ? 0 : nestedBytes(byteLength));

/** What {@link writeKv} writes, without tag and length. */
function exactKvBytes({ key, value, createRevision, modRevision, version, lease }: KeyValue): number {
  let bytes = fieldBytes(key) + fieldBytes(value);
  bytes += integerBytes(createRevision) + integerBytes(modRevision) + integerBytes(version);
  if (lease === 0n) return bytes;
  const writer = new BackwardWriter(0);
  writer.integer(6, lease);
  return bytes + writer.written;
}

/** One piece of a streamed range. `last`: what only the whole answer can say. */
export function encodeRangeChunk(
  header: Header,
  revision: number,
  kvs: readonly KeyValue[],
  last?: { count: number; more: boolean },
): Buffer {
  const writer = new BackwardWriter(kvsBytes(kvs) + kvOverheadBytes);
  const before = writer.written;
  if (last !== undefined) {
    writer.integer(4, last.count);
    writer.bool(3, last.more);
  }
  writeKvs(writer, 2, kvs);
  writeHeader(writer, header, revision);
  writer.nested(1, before);
  return writer.frame();
}

function writePut(writer: BackwardWriter, header: Header | undefined, response: PutResponse): void {
  if (response.prevKv !== undefined) writeKv(writer, 2, response.prevKv);
  writeHeader(writer, header, response.revision);
}

export function encodePut(header: Header, response: PutResponse): Buffer {
  const { prevKv } = response;
  const writer = new BackwardWriter((prevKv === undefined ? 0 : kvBytes(prevKv)) + kvOverheadBytes);
  writePut(writer, header, response);
  return writer.frame();
}

function writeDelete(
  writer: BackwardWriter,
  header: Header | undefined,
  response: DeleteRangeResponse,
): void {
  writeKvs(writer, 3, response.prevKvs);
  writer.integer(2, response.deleted);
  writeHeader(writer, header, response.revision);
}

export function encodeDelete(header: Header, response: DeleteRangeResponse): Buffer {
  const writer = new BackwardWriter(kvsBytes(response.prevKvs) + kvOverheadBytes);
  writeDelete(writer, header, response);
  return writer.frame();
}

function writeOp(writer: BackwardWriter, op: ResponseOp): void {
  const op0 = writer.written;
  if ('range' in op) {
    writeRange(writer, undefined, op.range);
    writer.nested(1, op0);
  } else if ('put' in op) {
    writePut(writer, undefined, op.put);
    writer.nested(2, op0);
  } else if ('deleteRange' in op) {
    writeDelete(writer, undefined, op.deleteRange);
    writer.nested(3, op0);
  } else {
    // etcd leaves the header of a nested transaction empty.
    writeTxn(writer, undefined, { ...op.txn, revision: 0 });
    writer.nested(4, op0);
  }
}

function writeTxn(writer: BackwardWriter, header: Header | undefined, response: TxnResponse): void {
  const { responses } = response;
  for (let i = responses.length - 1; i >= 0; i--) {
    const before = writer.written;
    writeOp(writer, responses[i] as ResponseOp);
    writer.nested(3, before);
  }
  writer.bool(2, response.succeeded);
  writeHeader(writer, header, response.revision);
}

function opBytes(op: ResponseOp): number {
  if ('range' in op) return kvsBytes(op.range.kvs) + kvOverheadBytes;
  if ('deleteRange' in op) return kvsBytes(op.deleteRange.prevKvs) + kvOverheadBytes;
  if ('put' in op) return kvOverheadBytes + (op.put.prevKv === undefined ? 0 : kvBytes(op.put.prevKv));
  return op.txn.responses.reduce((sum, nested) => sum + opBytes(nested), kvOverheadBytes);
}

export function encodeTxn(header: Header, response: TxnResponse): Buffer {
  const estimate = response.responses.reduce((sum, op) => sum + opBytes(op), kvOverheadBytes);
  const writer = new BackwardWriter(estimate);
  writeTxn(writer, header, response);
  return writer.frame();
}

/** An answer that is its header and nothing else. */
export function encodeHeader(header: Header, revision: number): Buffer {
  const writer = new BackwardWriter(kvOverheadBytes);
  writeHeader(writer, header, revision);
  return writer.frame();
}

export interface WatchAnswer {
  revision: number;
  watchId: bigint;
  created?: boolean;
  canceled?: boolean;
  compactRevision?: number;
  cancelReason?: string;
  fragment?: boolean;
  events?: readonly WatchEvent[];
}

/** At least what the event takes on the wire. */
export const eventBytes = ({ kv, prevKv }: WatchEvent): number =>
  kvBytes(kv) + (prevKv === undefined ? 0 : kvBytes(prevKv)) + 16;

function writeEvent(writer: BackwardWriter, { type, kv, prevKv }: WatchEvent): void {
  const before = writer.written;
  if (prevKv !== undefined) writeKv(writer, 3, prevKv);
  writeKv(writer, 2, kv);
  writer.integer(1, type === 'delete' ? 1 : 0);
  writer.nested(11, before);
}

export function encodeWatch(header: Header, answer: WatchAnswer): Buffer {
  const { events = [] } = answer;
  const writer = new BackwardWriter(events.reduce((sum, event) => sum + eventBytes(event), 128));
  for (let i = events.length - 1; i >= 0; i--) writeEvent(writer, events[i] as WatchEvent);
  writer.bool(7, answer.fragment ?? false);
  writer.string(6, answer.cancelReason ?? '');
  writer.integer(5, answer.compactRevision ?? 0);
  writer.bool(4, answer.canceled ?? false);
  writer.bool(3, answer.created ?? false);
  writer.integer(2, answer.watchId);
  writeHeader(writer, header, answer.revision);
  return writer.frame();
}
