import {
  type Compare,
  type EtcdStore,
  etcdErrors,
  type KeyValue,
  type RangeRequest,
  type RangeResponse,
  type RequestOp,
  type ResponseOp,
  type TxnRequest,
  type TxnResponse,
  type WatchEvent,
  type WatchMessage,
  type WatchRequest,
} from '@cloudless/kube/etcd/store';

interface Version {
  revision: number;
  /** undefined: a deletion. */
  kv: KeyValue | undefined;
}
interface Watcher {
  request: WatchRequest;
  receive: (message: WatchMessage) => void;
  canceled: boolean;
}
type Bytes = Uint8Array;

const text = (key: Bytes): string => Buffer.from(key).toString('latin1');

/**
 * A small etcd in memory for tests of the API server: every call of {@link EtcdStore}, nothing durable, no lease
 * expiry by itself (`expireLease` does it). Messages arrive asynchronously, as from a real store.
 */
export class MemoryStore implements EtcdStore {
  #revision = 1;
  #compacted = 0;
  readonly #versions = new Map<string, Version[]>();
  /** Keys in byte order; sorted again when a key is new. */
  #keys: string[] = [];
  #sorted = true;
  readonly #history: Array<{ revision: number; events: WatchEvent[] }> = [];
  readonly #watchers = new Set<Watcher>();
  readonly #leases = new Map<bigint, { ttl: number; keys: Set<string> }>();
  #nextLease = 1n;
  /** Set by a test to make the next calls fail. */
  failure: Error | undefined;

  get revision(): number {
    return this.#revision;
  }

  #check(): void {
    if (this.failure) throw this.failure;
  }

  #at(key: string, revision: number): KeyValue | undefined {
    const versions = this.#versions.get(key);
    if (!versions) return undefined;
    for (let i = versions.length - 1; i >= 0; i--) {
      const version = versions[i] as Version;
      if (version.revision <= revision) return version.kv;
    }
    return undefined;
  }

  #inRange(key: string, start: string, end: Bytes | undefined): boolean {
    if (!end) return key === start;
    const endText = text(end);
    return key >= start && (endText === '\0' || key < endText);
  }

  #rangeNow(request: RangeRequest): RangeResponse {
    const revision = request.revision || this.#revision;
    if (revision > this.#revision) throw etcdErrors.futureRevision();
    if (revision < this.#compacted) throw etcdErrors.compacted();
    const start = text(request.key);
    if (!this.#sorted) this.#keys.sort((a, b) => (a < b ? -1 : 1));
    this.#sorted = true;
    let kvs: KeyValue[] = [];
    if (!request.rangeEnd) {
      const kv = this.#at(start, revision);
      if (kv) kvs.push(kv);
    } else {
      for (const key of this.#keys) {
        if (!this.#inRange(key, start, request.rangeEnd)) continue;
        const kv = this.#at(key, revision);
        if (kv) kvs.push(kv);
      }
    }
    if (request.minModRevision)
      kvs = kvs.filter((kv) => kv.modRevision >= (request.minModRevision as number));
    if (request.maxModRevision)
      kvs = kvs.filter((kv) => kv.modRevision <= (request.maxModRevision as number));
    if (request.sortTarget === 'mod') kvs.sort((a, b) => a.modRevision - b.modRevision);
    if (request.sortOrder === 'descend') kvs.reverse();
    const count = kvs.length;
    const more = request.limit !== undefined && request.limit > 0 && count > request.limit;
    if (more) kvs = kvs.slice(0, request.limit);
    if (request.countOnly) kvs = [];
    if (request.keysOnly) kvs = kvs.map((kv) => ({ ...kv, value: new Uint8Array() }));
    return { revision: this.#revision, kvs, more, count };
  }

  #holds(compare: Compare): boolean {
    const kvs = this.#rangeNow({ key: compare.key, rangeEnd: compare.rangeEnd }).kvs;
    const one = (kv: KeyValue | undefined): boolean => {
      const actual = {
        version: kv?.version ?? 0,
        create: kv?.createRevision ?? 0,
        mod: kv?.modRevision ?? 0,
        lease: kv?.lease ?? 0n,
        value: kv ? text(kv.value) : undefined,
      }[compare.target];
      const operand = compare.operand instanceof Uint8Array ? text(compare.operand) : compare.operand;
      if (actual === undefined) return false;
      if (compare.result === 'equal') return actual === operand;
      if (compare.result === 'not-equal') return actual !== operand;
      return compare.result === 'greater' ? actual > operand : actual < operand;
    };
    return kvs.length === 0 ? one(undefined) : kvs.every(one);
  }

  #write(
    revision: number,
    events: WatchEvent[],
    key: Bytes,
    value: Bytes | undefined,
    lease: bigint,
  ): KeyValue[] {
    const name = text(key);
    const previous = this.#at(name, revision);
    if (value === undefined && !previous) return [];
    const kv: KeyValue | undefined =
      value === undefined
        ? undefined
        : {
            key: Uint8Array.from(key),
            value: Uint8Array.from(value),
            createRevision: previous?.createRevision ?? revision,
            modRevision: revision,
            version: (previous?.version ?? 0) + 1,
            lease,
          };
    const versions = this.#versions.get(name);
    if (versions) versions.push({ revision, kv });
    else {
      this.#versions.set(name, [{ revision, kv }]);
      const last = this.#keys.at(-1);
      if (last !== undefined && last > name) this.#sorted = false;
      this.#keys.push(name);
    }
    if (lease !== 0n) this.#leases.get(lease)?.keys.add(name);
    const deleted: KeyValue = {
      key,
      value: new Uint8Array(),
      createRevision: 0,
      modRevision: revision,
      version: 0,
      lease: 0n,
    };
    events.push({ type: kv ? 'put' : 'delete', kv: kv ?? deleted, prevKv: previous });
    return previous ? [previous] : [];
  }

  #apply(revision: number, events: WatchEvent[], op: RequestOp): ResponseOp {
    if ('range' in op) return { range: this.#rangeNow(op.range) };
    if ('put' in op) {
      const lease = op.put.lease ?? 0n;
      if (lease !== 0n && !this.#leases.has(lease)) throw etcdErrors.leaseNotFound();
      const [prevKv] = this.#write(revision, events, op.put.key, op.put.value, lease);
      return { put: { revision, ...(op.put.prevKv && prevKv ? { prevKv } : {}) } };
    }
    if ('deleteRange' in op) {
      const doomed = this.#rangeNow({ key: op.deleteRange.key, rangeEnd: op.deleteRange.rangeEnd }).kvs;
      const prevKvs = doomed.flatMap((kv) => this.#write(revision, events, kv.key, undefined, 0n));
      return {
        deleteRange: { revision, deleted: doomed.length, prevKvs: op.deleteRange.prevKv ? prevKvs : [] },
      };
    }
    const succeeded = op.txn.compare.every((compare) => this.#holds(compare));
    const branch = succeeded ? op.txn.success : op.txn.failure;
    return {
      txn: { revision, succeeded, responses: branch.map((inner) => this.#apply(revision, events, inner)) },
    };
  }

  #commit<T>(change: (revision: number, events: WatchEvent[]) => T): T {
    this.#check();
    const events: WatchEvent[] = [];
    const next = this.#revision + 1;
    const result = change(next, events);
    if (events.length > 0) {
      this.#revision = next;
      this.#history.push({ revision: next, events });
      for (const watcher of this.#watchers) this.#offer(watcher, { revision: next, events });
    }
    return result;
  }

  #send(watcher: Watcher, message: WatchMessage): void {
    queueMicrotask(() => {
      if (watcher.canceled) return;
      // After it nothing follows, whatever was asked for meanwhile.
      watcher.canceled = message.type === 'canceled';
      watcher.receive(message);
    });
  }

  #offer(watcher: Watcher, batch: { revision: number; events: WatchEvent[] }): void {
    const { request } = watcher;
    const start = text(request.key);
    const events = batch.events
      .filter((event) => this.#inRange(text(event.kv.key), start, request.rangeEnd))
      .map((event) => (request.prevKv ? event : { type: event.type, kv: event.kv }));
    if (events.length > 0) this.#send(watcher, { type: 'events', revision: batch.revision, events });
  }

  async range(request: RangeRequest): Promise<RangeResponse> {
    this.#check();
    return this.#rangeNow(request);
  }

  async put(request: { key: Bytes; value: Bytes; lease?: bigint; prevKv?: boolean }) {
    const { responses, revision } = await this.txn({ compare: [], success: [{ put: request }], failure: [] });
    return { ...(responses[0] as { put: { prevKv?: KeyValue } }).put, revision };
  }

  async deleteRange(request: { key: Bytes; rangeEnd?: Bytes; prevKv?: boolean }) {
    const { responses } = await this.txn({ compare: [], success: [{ deleteRange: request }], failure: [] });
    return (responses[0] as { deleteRange: { revision: number; deleted: number; prevKvs: KeyValue[] } })
      .deleteRange;
  }

  async txn(request: TxnRequest): Promise<TxnResponse> {
    const result = this.#commit((revision, events) => this.#apply(revision, events, { txn: request }));
    return { ...(result as { txn: TxnResponse }).txn, revision: this.#revision };
  }

  async compact(revision: number): Promise<void> {
    if (revision <= this.#compacted) throw etcdErrors.compacted();
    if (revision > this.#revision) throw etcdErrors.futureRevision();
    this.#compacted = revision;
    while (this.#history.length > 0 && (this.#history[0] as { revision: number }).revision <= revision) {
      this.#history.shift();
    }
  }

  watch(request: WatchRequest, receive: (message: WatchMessage) => void) {
    const watcher: Watcher = { request, receive, canceled: false };
    const from = request.startRevision || this.#revision + 1;
    if (from <= this.#compacted) {
      this.#send(watcher, { type: 'canceled', compactRevision: this.#compacted + 1 });
    } else {
      for (const batch of this.#history) if (batch.revision >= from) this.#offer(watcher, batch);
      this.#watchers.add(watcher);
    }
    return {
      created: Promise.resolve(),
      requestProgress: () => this.#send(watcher, { type: 'progress', revision: this.#revision }),
      cancel: () => {
        watcher.canceled = true;
        this.#watchers.delete(watcher);
      },
    };
  }

  /** Ends every watch with an error, as a broken connection does. */
  breakWatches(): void {
    for (const watcher of this.#watchers) {
      this.#send(watcher, { type: 'canceled', compactRevision: 0, error: new Error('connection lost') });
    }
    this.#watchers.clear();
  }

  async leaseGrant(ttlSeconds: number, id = 0n) {
    const given = id === 0n ? this.#nextLease++ : id;
    this.#leases.set(given, { ttl: ttlSeconds, keys: new Set() });
    return { id: given, ttlSeconds };
  }

  async leaseRevoke(id: bigint): Promise<void> {
    const lease = this.#leases.get(id);
    if (!lease) throw etcdErrors.leaseNotFound();
    this.#leases.delete(id);
    this.#commit((revision, events) => {
      for (const key of lease.keys) this.#write(revision, events, Buffer.from(key, 'latin1'), undefined, 0n);
    });
  }

  async leaseKeepAlive(id: bigint) {
    return { ttlSeconds: this.#leases.get(id)?.ttl ?? 0 };
  }

  async leaseTimeToLive(id: bigint) {
    const lease = this.#leases.get(id);
    const keys = [...(lease?.keys ?? [])].map((key) => new Uint8Array(Buffer.from(key, 'latin1')));
    return { id, ttlSeconds: lease?.ttl ?? -1, grantedTtlSeconds: lease?.ttl ?? 0, keys };
  }

  async leaseLeases(): Promise<bigint[]> {
    return [...this.#leases.keys()];
  }

  async status() {
    return {
      version: '3.5.24',
      revision: this.#revision,
      compactRevision: this.#compacted,
      dbSizeBytes: 0,
      dbSizeInUseBytes: 0,
    };
  }

  async close(): Promise<void> {
    this.#watchers.clear();
  }
}
