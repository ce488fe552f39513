import type { Datastore } from '../../datastore.ts';
import { decodeCompaction, decodeDelete, decodePut, decodeRange, decodeTxn } from '../codec/requests.ts';
import {
  encodeDelete,
  encodeHeader,
  encodePut,
  encodeRange,
  encodeTxn,
  type Header,
} from '../codec/responses.ts';
import type { Method } from '../grpc/method.ts';
import { rangeStream } from './range-stream.ts';

/** etcdserverpb.KV. */
export function kvService(store: Datastore, header: Header): Record<string, Method> {
  return {
    Range: {
      type: 'unary',
      call: async (request) => encodeRange(header, await store.range(decodeRange(request))),
    },
    RangeStream: {
      type: 'server-stream',
      call: (request, stream) => rangeStream(store, header, decodeRange(request), stream),
    },
    Put: {
      type: 'unary',
      call: async (request) => encodePut(header, await store.put(decodePut(request))),
    },
    DeleteRange: {
      type: 'unary',
      call: async (request) => encodeDelete(header, await store.deleteRange(decodeDelete(request))),
    },
    Txn: {
      type: 'unary',
      call: async (request) => encodeTxn(header, await store.txn(decodeTxn(request))),
    },
    Compact: {
      type: 'unary',
      async call(request) {
        const { revision, physical } = decodeCompaction(request);
        await store.compact(revision);
        if (physical) await store.compacted();
        return encodeHeader(header, store.revision);
      },
    },
  };
}
