/**
 * Stores and logs that break their promises now and then: the checker has to notice each. They wrap the seams from
 * outside; nothing in the product knows of them.
 */
import {
  EtcdError,
  type EtcdStore,
  grpcCode,
  type PutRequest,
  type PutResponse,
  type RangeRequest,
  type TxnRequest,
  type TxnResponse,
  type WatchMessage,
} from '@cloudless/kube/etcd/store';
import type { Log, LogBatch, LogHead } from '../../log/log.ts';

/** How often a faulty store does wrong. */
const often = 0.08;

type Receive = (message: WatchMessage) => void | Promise<void>;
type Broken = Partial<Pick<EtcdStore, 'range' | 'put' | 'txn'>> & {
  /** Stands between the store's watch and its receiver. */
  watch?: (receive: Receive) => Receive;
};

/** Each fault of a store that answers, by what it does. `chance` says whether to do it now. */
export const storeFaults = {
  'answers a read with what was there before': (store, chance) => {
    let before = 0;
    return {
      async range(request) {
        const response = await store.range(request);
        const earlier = before;
        before = response.revision;
        if (request.revision || earlier === 0 || earlier === before || !chance(4)) return response;
        // Not where a compaction has taken it.
        const old = await store.range({ ...request, revision: earlier }).catch(() => undefined);
        return old === undefined ? response : { ...old, revision: earlier };
      },
    };
  },
  'acknowledges a put that it does not make': (store, chance) => ({
    async put(request) {
      if (!chance()) return store.put(request);
      const { kvs, revision } = await store.range({ key: request.key });
      return { revision: revision + 1, ...(request.prevKv && kvs[0] ? { prevKv: kvs[0] } : {}) };
    },
  }),
  'makes a put twice': (store, chance) => ({
    async put(request) {
      const response = await store.put(request);
      if (chance()) await store.put(request);
      return response;
    },
  }),
  'refuses a put that it has made': (store, chance) => ({
    async put(request) {
      const response = await store.put(request);
      if (chance()) throw new EtcdError(grpcCode.resourceExhausted, 'etcdserver: too many requests');
      return response;
    },
  }),
  'makes the writes of a transaction one by one': (store, chance) => ({
    async txn(request) {
      const isLong = request.success.filter((op) => !('range' in op)).length > 1;
      if (!isLong || !chance(4)) return store.txn(request);
      const { succeeded } = await store.txn({ ...request, success: [], failure: [] });
      return oneByOne(store, succeeded, succeeded ? request.success : request.failure);
    },
  }),
  'compares first and writes later': (store, chance) => ({
    async txn(request) {
      if (!chance(4)) return store.txn(request);
      const { succeeded } = await store.txn({ ...request, success: [], failure: [] });
      await new Promise((resolve) => setImmediate(resolve));
      const response = await store.txn({
        compare: [],
        success: succeeded ? request.success : request.failure,
        failure: [],
      });
      return { ...response, succeeded };
    },
  }),
  'loses an event': (_, chance) => ({
    watch: (receive) => (message) => {
      if (message.type !== 'events' || !chance()) return receive(message);
      const events = message.events.slice(1);
      return events.length === 0 ? undefined : receive({ ...message, events });
    },
  }),
  'tells an event twice': (_, chance) => ({
    watch: (receive) => (message) => {
      if (message.type === 'events' && chance()) void receive(message);
      return receive(message);
    },
  }),
  'tells a later event first': (_, chance) => ({
    watch: (receive) => withHeld(receive, chance, 'events'),
  }),
  'tells of progress before the events': (_, chance) => ({
    watch: (receive) => withHeld(receive, () => chance(3), 'progress'),
  }),
} satisfies Record<string, (store: EtcdStore, chance: (times?: number) => boolean) => Broken>;

export type StoreFault = keyof typeof storeFaults;

/** Holds an events message back until one of `type` went by. */
function withHeld(receive: Receive, chance: () => boolean, type: 'events' | 'progress'): Receive {
  let held: WatchMessage | undefined;
  return (message) => {
    if (held === undefined && message.type === 'events' && chance()) {
      held = message;
      return undefined;
    }
    void receive(message);
    if (held === undefined || message.type !== type) return undefined;
    const late = held;
    held = undefined;
    return receive(late);
  };
}

async function oneByOne(
  store: EtcdStore,
  succeeded: boolean,
  ops: TxnRequest['success'],
): Promise<TxnResponse> {
  const responses: TxnResponse['responses'] = [];
  let revision = 0;
  for (const op of ops) {
    const response = await store.txn({ compare: [], success: [op], failure: [] });
    responses.push(...response.responses);
    revision = response.revision;
  }
  return { revision, succeeded, responses };
}

/** @param next numbers in [0, 1) that decide when it does wrong */
export function faultyStore(store: EtcdStore, fault: StoreFault, next: () => number): EtcdStore {
  const broken: Broken = storeFaults[fault](store, (times = 1) => next() < often * times);
  return {
    range: (request: RangeRequest, options) => broken.range?.(request) ?? store.range(request, options),
    put: (request: PutRequest, options): Promise<PutResponse> =>
      broken.put?.(request) ?? store.put(request, options),
    deleteRange: (request, options) => store.deleteRange(request, options),
    txn: (request, options) => broken.txn?.(request) ?? store.txn(request, options),
    compact: (revision, options) => store.compact(revision, options),
    watch: (request, receive) => store.watch(request, broken.watch?.(receive) ?? receive),
    leaseGrant: (ttlSeconds, id, options) => store.leaseGrant(ttlSeconds, id, options),
    leaseRevoke: (id, options) => store.leaseRevoke(id, options),
    leaseKeepAlive: (id, options) => store.leaseKeepAlive(id, options),
    leaseTimeToLive: (id, withKeys, options) => store.leaseTimeToLive(id, withKeys, options),
    leaseLeases: (options) => store.leaseLeases(options),
    status: (options) => store.status(options),
    close: () => store.close(),
  };
}

/**
 * A log that says "appended" at once and appends later: what it acknowledged is visible, and gone after a kill.
 * `settled` resolves when all of it is durable.
 */
export class HastyLog {
  readonly log: Log;
  #appending: Promise<unknown> = Promise.resolve();

  constructor(log: Log, delayMs: number) {
    const append = async (expected: LogHead, batch: LogBatch): Promise<'appended'> => {
      this.#appending = this.#appending.then(async () => {
        await new Promise((resolve) => setTimeout(resolve, delayMs));
        await log.append(expected, batch);
      });
      return 'appended';
    };
    this.log = new Proxy(log, {
      get(target, name) {
        if (name === 'append') return append;
        const member: unknown = Reflect.get(target, name, target);
        return typeof member === 'function' ? (member.bind(target) as unknown) : member;
      },
    });
  }

  async settled(): Promise<void> {
    await this.#appending;
  }
}

/** Faults of a server that show when it is killed. */
export const crashFaults = [
  'acknowledges before it is durable',
  'shows a write before it is durable',
] as const;
export type CrashFault = (typeof crashFaults)[number];
