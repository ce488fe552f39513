import type { EtcdStore } from '@cloudless/kube/etcd/store';

/**
 * One client of several servers of one store, who asks each time another one: what one server acknowledged must hold
 * at all of them. Only a serializable read, which promises nothing across servers, goes where the call before it went.
 */
export function spreadOver(stores: readonly EtcdStore[]): EtcdStore {
  let [calls, watches] = [0, 0];
  const current = (): EtcdStore => stores[calls % stores.length] as EtcdStore;
  const next = (): EtcdStore => {
    calls++;
    return current();
  };
  return {
    range: (request, options) => (request.serializable ? current() : next()).range(request, options),
    put: (request, options) => next().put(request, options),
    deleteRange: (request, options) => next().deleteRange(request, options),
    txn: (request, options) => next().txn(request, options),
    compact: (revision, options) => next().compact(revision, options),
    watch(request, receive) {
      // "From now on" means what this server has seen, as with a member of an etcd cluster: that is certain only of
      // the one that answered last. The same goes for progress, before which the server is made to look.
      const on = request.startRevision ? (stores[watches++ % stores.length] as EtcdStore) : current();
      const handle = on.watch(request, receive);
      const requestProgress = async (): Promise<void> => {
        await on.range({ key: request.key.length === 0 ? Uint8Array.of(0) : request.key, countOnly: true });
        handle.requestProgress();
      };
      return {
        created: handle.created,
        cancel: () => handle.cancel(),
        requestProgress: () => void requestProgress(),
      };
    },
    leaseGrant: (ttlSeconds, id, options) => next().leaseGrant(ttlSeconds, id, options),
    leaseRevoke: (id, options) => next().leaseRevoke(id, options),
    leaseKeepAlive: (id, options) => next().leaseKeepAlive(id, options),
    leaseTimeToLive: (id, withKeys, options) => next().leaseTimeToLive(id, withKeys, options),
    leaseLeases: (options) => next().leaseLeases(options),
    status: (options) => next().status(options),
    async close() {
      await Promise.all(stores.map((store) => store.close()));
    },
  };
}
