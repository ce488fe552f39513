import { EtcdError, grpcCode, type KeyValue, type RangeRequest } from '@cloudless/kube/etcd/store';
import type { Datastore } from '../../datastore.ts';
import { encodeRangeChunk, type Header } from '../codec/responses.ts';
import type { SendingStream } from '../grpc/method.ts';

/** etcd aims at messages of its request limit. */
const targetBytes = 1.5 * 1024 * 1024;
const firstKeys = 10;
const maxKeys = 10_000;

/**
 * etcd 3.7's RangeStream (KEP-5966): a range in pieces of one revision, which merged are the answer of Range. Values
 * are read and held a piece at a time, at the pace of the reader. A compaction of that revision under way ends it with
 * `compacted`.
 *
 * @throws EtcdError `unimplemented` for an order other than by key ascending, and for filters by revision, as etcd does:
 *   clients fall back to Range
 */
export async function rangeStream(
  store: Datastore,
  header: Header,
  asked: RangeRequest,
  stream: SendingStream,
): Promise<void> {
  refuseWhatNeedsAll(asked);
  // Without an order the target means nothing here, unlike in Range.
  const request: RangeRequest = { ...asked, sortTarget: 'key' };
  // What is no interval, or has no values to speak of, is one piece.
  if (request.countOnly || request.rangeEnd === undefined || request.rangeEnd.byteLength === 0) {
    const { revision, kvs, count, more } = await store.range(request);
    await stream.send(encodeRangeChunk(header, revision, kvs, { count, more }));
    return;
  }
  const wanted = request.limit !== undefined && request.limit > 0 ? request.limit : Infinity;
  let at = request;
  let sent = 0;
  let keys = firstKeys;
  /** Of the store when the stream began, and how many keys the whole range has. */
  let first: { revision: number; count: number } | undefined;
  for (;;) {
    const limit = Math.min(keys, wanted - sent);
    const { revision, kvs, count, more } = await store.range({ ...at, limit });
    first ??= { revision, count };
    sent += kvs.length;
    if (!more || sent >= wanted) {
      await stream.send(encodeRangeChunk(header, first.revision, kvs, { count: first.count, more }));
      return;
    }
    await stream.send(encodeRangeChunk(header, first.revision, kvs));
    if (stream.signal.aborted) return;
    keys = nextKeys(kvs);
    at = {
      ...request,
      key: Buffer.concat([(kvs.at(-1) as KeyValue).key, Uint8Array.of(0)]),
      revision: request.revision !== undefined && request.revision > 0 ? request.revision : first.revision,
      // The first piece was read behind everything written before the call.
      serializable: true,
    };
  }
}

function refuseWhatNeedsAll(request: RangeRequest): void {
  const { sortOrder = 'none', sortTarget = 'key' } = request;
  const isByKey = sortOrder === 'none' || (sortOrder === 'ascend' && sortTarget === 'key');
  if (!isByKey)
    throw new EtcdError(grpcCode.unimplemented, 'RangeStream does not support custom sort orders');
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request;
  if (minModRevision || maxModRevision || minCreateRevision || maxCreateRevision)
    throw new EtcdError(grpcCode.unimplemented, 'RangeStream does not support revision filters');
}

/** How many keys like these make a message of the size aimed at. */
function nextKeys(kvs: readonly KeyValue[]): number {
  const bytes = kvs.reduce((sum, { key, value }) => sum + key.byteLength + value.byteLength + 32, 0);
  return Math.max(1, Math.min(maxKeys, Math.floor((targetBytes * kvs.length) / bytes)));
}
