import { type Build, rangeRequest, txnRequest } from '@cloudless/kube/etcd/compliance/requests';
import type { PutRequest, RangeRequest, TxnRequest, WatchRequest } from '@cloudless/kube/etcd/store';
import { type Arbitrary, array, boolean, constantFrom, integer, nat, oneof, record } from 'fast-check';

/** Every key of a script. */
export const prefix = 'm/';
const names = ['a', 'a/b', 'b', 'c', 'd'];
/** Few, so that scripts meet each lease again; the last is hardly ever granted. */
export const leaseIds = [11n, 12n, 13n, 14n] as const;

/** One thing that happens to a store. Revisions are told from the present one, as scripts do not know it. */
export type Step =
  | { readonly type: 'txn'; readonly build: Build<TxnRequest> }
  | { readonly type: 'range'; readonly build: Build<RangeRequest> }
  | { readonly type: 'put'; readonly request: PutRequest }
  | { readonly type: 'grant'; readonly id: bigint; readonly ttlSeconds: number }
  | { readonly type: 'revoke' | 'renew' | 'look'; readonly id: bigint }
  /** Time goes by. */
  | { readonly type: 'wait'; readonly seconds: number }
  | { readonly type: 'compact'; readonly back: number }
  | { readonly type: 'watch'; readonly back: number; readonly request: WatchRequest }
  /** The store is closed and opened again. */
  | { readonly type: 'restart' };

const span = (from: string, to: string): { key: Uint8Array; rangeEnd: Uint8Array } => ({
  key: Buffer.from(prefix + from),
  rangeEnd: Buffer.from(prefix + to),
});

const put: Arbitrary<PutRequest> = record({
  name: constantFrom(...names),
  value: constantFrom('', '1', 'abc'),
  lease: constantFrom(0n, 0n, ...leaseIds),
  kept: constantFrom('none', 'none', 'none', 'value', 'lease'),
  prevKv: boolean(),
}).map(({ name, value, lease, kept, prevKv }) => ({
  key: Buffer.from(prefix + name),
  value: Buffer.from(kept === 'value' ? '' : value),
  lease: kept === 'lease' ? 0n : lease,
  prevKv,
  ignoreValue: kept === 'value',
  ignoreLease: kept === 'lease',
}));

const watchFrom = (minBack: number): Arbitrary<Step> =>
  record({
    back: integer({ min: minBack, max: 12 }),
    range: constantFrom(span('', '~'), span('a', 'c'), { key: Buffer.from(`${prefix}a`) }),
    prevKv: boolean(),
    filters: constantFrom<WatchRequest['filters']>(undefined, undefined, ['noput'], ['nodelete']),
  }).map(({ back, range, ...rest }) => ({ type: 'watch', back, request: { ...range, ...rest } }));

const id = constantFrom(...leaseIds);

/**
 * Random scripts. `withTime`: leases run out, which needs a clock that the script moves, and watches may begin in the
 * future, which keeps the other watches of a gRPC stream from hearing of progress.
 */
export function script(withTime: boolean, maxLength: number): Arbitrary<Step[]> {
  const step = oneof(
    { weight: 8, arbitrary: txnRequest.map((build): Step => ({ type: 'txn', build })) },
    { weight: 4, arbitrary: rangeRequest.map((build): Step => ({ type: 'range', build })) },
    { weight: 8, arbitrary: put.map((request): Step => ({ type: 'put', request })) },
    {
      weight: 3,
      arbitrary: record({ id, ttlSeconds: integer({ min: 1, max: 9 }) }).map((grant): Step => ({
        type: 'grant',
        ...grant,
        ttlSeconds: grant.ttlSeconds + (withTime ? 0 : 600),
      })),
    },
    {
      weight: 3,
      arbitrary: record({ type: constantFrom('revoke' as const, 'renew' as const, 'look' as const), id }),
    },
    { weight: 2, arbitrary: integer({ min: -1, max: 6 }).map((back): Step => ({ type: 'compact', back })) },
    { weight: 2, arbitrary: watchFrom(withTime ? -2 : 1) },
    { weight: 1, arbitrary: constantFrom<Step>({ type: 'restart' }) },
    {
      weight: withTime ? 3 : 0,
      arbitrary: nat(4).map((seconds): Step => ({ type: 'wait', seconds: seconds + 1 })),
    },
  );
  return array(step, { minLength: 10, maxLength });
}
