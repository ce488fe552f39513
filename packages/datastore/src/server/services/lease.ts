import type { Datastore } from '../../datastore.ts';
import type { Header } from '../codec/responses.ts';
import type { Method } from '../grpc/method.ts';
import { decoder, encoder, wireHeader } from './messages.ts';

/** etcdserverpb.Lease. */
export function leaseService(store: Datastore, header: Header): Record<string, Method> {
  const headerNow = (): object => wireHeader(header, store.revision);
  const id = decoder<{ ID: bigint }>('LeaseRevokeRequest');
  const grant = decoder<{ TTL: bigint; ID: bigint }>('LeaseGrantRequest');
  const granted = encoder('LeaseGrantResponse');
  const revoked = encoder('LeaseRevokeResponse');
  const timeToLive = decoder<{ ID: bigint; keys: boolean }>('LeaseTimeToLiveRequest');
  const remaining = encoder('LeaseTimeToLiveResponse');
  const listed = encoder('LeaseLeasesResponse');
  const kept = encoder('LeaseKeepAliveResponse');
  return {
    LeaseGrant: {
      type: 'unary',
      async call(request) {
        const { TTL, ID } = grant(request);
        const lease = await store.leaseGrant(Number(TTL), ID);
        return granted({ header: headerNow(), ID: lease.id, TTL: lease.ttlSeconds });
      },
    },
    LeaseRevoke: {
      type: 'unary',
      async call(request) {
        await store.leaseRevoke(id(request).ID);
        return revoked({ header: headerNow() });
      },
    },
    LeaseTimeToLive: {
      type: 'unary',
      async call(request) {
        const { ID, keys } = timeToLive(request);
        const status = await store.leaseTimeToLive(ID, keys);
        return remaining({
          header: headerNow(),
          ID,
          TTL: status.ttlSeconds,
          grantedTTL: status.grantedTtlSeconds,
          keys: status.keys,
        });
      },
    },
    LeaseLeases: {
      type: 'unary',
      async call() {
        const leases = await store.leaseLeases();
        return listed({ header: headerNow(), leases: leases.map((ID) => ({ ID })) });
      },
    },
    LeaseKeepAlive: {
      type: 'duplex',
      open: (stream) => ({
        async receive(message) {
          const { ID } = id(message);
          // Before the renewal: whoever sees it must not see a revision from after the lease's end.
          const before = headerNow();
          const { ttlSeconds } = await store.leaseKeepAlive(ID);
          await stream.send(kept({ header: before, ID, TTL: ttlSeconds }));
        },
        half: () => stream.end(),
        closed: () => undefined,
      }),
    },
  };
}
