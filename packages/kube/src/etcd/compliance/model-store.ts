import {
  type Compare,
  etcdErrors,
  type KeyValue,
  type PutRequest,
  type RangeRequest,
  type RangeResponse,
  type RequestOp,
  type ResponseOp,
  type TxnRequest,
  type TxnResponse,
  type WatchEvent,
} from '../store.ts';

/** Keys as text (latin1). */
type Keys = ReadonlyMap<string, KeyValue>;

/** Everything a store holds at one moment. */
export interface ModelState {
  readonly revision: number;
  /** 0: never compacted. */
  readonly compactRevision: number;
  readonly keys: Keys;
  /** Time to live in seconds, by ID. */
  readonly leases: ReadonlyMap<bigint, number>;
}

export interface Outcome<T> {
  readonly state: ModelState;
  readonly response: T;
  /** Of the revision that was taken, in their order; empty when none was. */
  readonly events: readonly WatchEvent[];
}

export const emptyState = (revision: number): ModelState => ({
  revision,
  compactRevision: 0,
  keys: new Map(),
  leases: new Map(),
});

/**
 * What etcd does with a transaction, in the plainest form: the whole map copied, no sharing, no concurrency. The
 * compliance suite compares implementations with it, and it with etcd itself.
 *
 * @param past the keys as of a revision that ranges may ask for
 * @throws EtcdError when the transaction is refused whole
 */
export function evaluate(
  before: ModelState,
  request: TxnRequest,
  past: (revision: number) => Keys = () => before.keys,
): Outcome<TxnResponse> {
  check(before, request);
  const run: Run = { before, keys: new Map(before.keys), events: [], past };
  const response = branch(request, run);
  const hasChanged = run.events.length > 0;
  const state = hasChanged ? { ...before, revision: before.revision + 1, keys: run.keys } : before;
  return { state, response, events: withEarlierValues(run) };
}

/** A revocation: every key of the lease goes, in one revision and in their order. */
export function revoke(before: ModelState, id: bigint): Outcome<void> {
  if (!before.leases.has(id)) throw etcdErrors.leaseNotFound();
  const leases = new Map(before.leases);
  leases.delete(id);
  const doomed = [...before.keys.values()].filter(({ lease }) => lease === id).sort(byKey);
  if (doomed.length === 0) return { state: { ...before, leases }, response: undefined, events: [] };
  const revision = before.revision + 1;
  const keys = new Map(before.keys);
  for (const { key } of doomed) keys.delete(text(key));
  const events = doomed.map((kv): WatchEvent => ({
    type: 'delete',
    kv: tombstone(kv.key, revision),
    prevKv: kv,
  }));
  return { state: { ...before, revision, keys, leases }, response: undefined, events };
}

/** @param past the keys as of `request.revision` */
export function rangeIn(state: ModelState, request: RangeRequest, past?: Keys): RangeResponse {
  checkRange(state, request);
  return rangeOf(past ?? state.keys, request, state.revision);
}

/** A model of a store from its first revision on, with all of its history. */
export class ModelStore {
  readonly #past = new Map<number, Keys>();
  /** Every event, by revision. */
  readonly events = new Map<number, readonly WatchEvent[]>();
  state: ModelState;

  /** @param revision of the real store when it holds none of the model's keys */
  constructor(revision: number) {
    this.state = emptyState(revision);
    this.#past.set(revision, this.state.keys);
  }

  get revision(): number {
    return this.state.revision;
  }

  range(request: RangeRequest): RangeResponse {
    const past = request.revision && request.revision > 0 ? this.#at(request.revision) : undefined;
    return rangeIn(this.state, request, past);
  }

  txn(request: TxnRequest): TxnResponse {
    return this.#take(evaluate(this.state, request, (revision) => this.#at(revision)));
  }

  grant(id: bigint, ttlSeconds: number): void {
    if (this.state.leases.has(id)) throw etcdErrors.leaseExists();
    this.state = { ...this.state, leases: new Map(this.state.leases).set(id, ttlSeconds) };
  }

  revoke(id: bigint): void {
    this.#take(revoke(this.state, id));
  }

  compact(compactRevision: number): void {
    if (compactRevision <= this.state.compactRevision) throw etcdErrors.compacted();
    if (compactRevision > this.state.revision) throw etcdErrors.futureRevision();
    this.state = { ...this.state, compactRevision };
  }

  #at(revision: number): Keys {
    return this.#past.get(revision) as Keys;
  }

  #take<T>({ state, response, events }: Outcome<T>): T {
    this.state = state;
    if (events.length > 0) {
      this.#past.set(state.revision, state.keys);
      this.events.set(state.revision, events);
    }
    return response;
  }
}

/** One transaction under way. */
interface Run {
  readonly before: ModelState;
  readonly keys: Map<string, KeyValue>;
  readonly events: WatchEvent[];
  readonly past: (revision: number) => Keys;
}

const succeeds = (before: ModelState, { compare }: TxnRequest): boolean =>
  compare.every((one) => holds(before.keys, one));

function check(before: ModelState, request: TxnRequest): void {
  for (const op of succeeds(before, request) ? request.success : request.failure) {
    if ('txn' in op) check(before, op.txn);
    else if ('range' in op) checkRange(before, op.range);
    else if ('put' in op) checkPut(before, op.put);
  }
}

function checkRange({ revision, compactRevision }: ModelState, request: RangeRequest): void {
  const wanted = request.revision || revision;
  if (wanted > revision) throw etcdErrors.futureRevision();
  if (wanted > 0 && wanted < compactRevision) throw etcdErrors.compacted();
}

function checkPut({ keys, leases }: ModelState, { key, lease, ...request }: PutRequest): void {
  if (lease && !leases.has(lease)) throw etcdErrors.leaseNotFound();
  if ((request.ignoreValue || request.ignoreLease) && !keys.has(text(key))) throw etcdErrors.keyNotFound();
}

function branch(request: TxnRequest, run: Run): TxnResponse {
  // All comparisons are decided on what was there before, nested ones too.
  const succeeded = succeeds(run.before, request);
  const responses = (succeeded ? request.success : request.failure).map((op) => apply(op, run));
  return { revision: revisionOf(run), succeeded, responses };
}

const revisionOf = ({ before, events }: Run): number => before.revision + (events.length > 0 ? 1 : 0);

function apply(op: RequestOp, run: Run): ResponseOp {
  const { keys, events } = run;
  const next = run.before.revision + 1;
  if ('txn' in op) return { txn: branch(op.txn, run) };
  if ('range' in op) {
    const { revision } = op.range;
    const at = revision && revision > 0 ? run.past(revision) : keys;
    return { range: rangeOf(at, op.range, revisionOf(run)) };
  }
  if ('put' in op) {
    const { prev, kv } = put(keys, op.put, next);
    events.push({ type: 'put', kv });
    return { put: { revision: next, ...(op.put.prevKv && prev !== undefined ? { prevKv: prev } : {}) } };
  }
  const doomed = [...inRange(keys, op.deleteRange)];
  for (const { key } of doomed) {
    keys.delete(text(key));
    events.push({ type: 'delete', kv: tombstone(key, next) });
  }
  const prevKvs = op.deleteRange.prevKv ? doomed : [];
  return { deleteRange: { revision: revisionOf(run), deleted: doomed.length, prevKvs } };
}

/** Previous values in events are those of the revision before, whatever the transaction itself wrote. */
function withEarlierValues({ before, events }: Run): WatchEvent[] {
  return events.map((event) => {
    const isCreation = event.type === 'put' && event.kv.version === 1;
    const prevKv = isCreation ? undefined : before.keys.get(text(event.kv.key));
    return prevKv === undefined ? event : { ...event, prevKv };
  });
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

const byKey = (a: KeyValue, b: KeyValue): number => Buffer.compare(a.key, b.key);

function put(
  state: Map<string, KeyValue>,
  request: PutRequest,
  revision: number,
): { prev: KeyValue | undefined; kv: KeyValue } {
  const prev = state.get(text(request.key));
  const kv: KeyValue = {
    key: request.key,
    value: request.ignoreValue && prev !== undefined ? prev.value : request.value,
    createRevision: prev?.createRevision ?? revision,
    modRevision: revision,
    version: (prev?.version ?? 0) + 1,
    lease: request.ignoreLease && prev !== undefined ? prev.lease : (request.lease ?? 0n),
  };
  state.set(text(request.key), kv);
  return { prev, kv };
}

const tombstone = (key: Uint8Array, revision: number): KeyValue => ({
  key,
  value: new Uint8Array(0),
  createRevision: 0,
  modRevision: revision,
  version: 0,
  lease: 0n,
});

function* inRange(state: Keys, { key, rangeEnd }: { key: Uint8Array; rangeEnd?: Uint8Array | undefined }) {
  const start = text(key);
  const end = rangeEnd === undefined || rangeEnd.length === 0 ? `${start}\0` : text(rangeEnd);
  for (const name of [...state.keys()].sort()) {
    if (name >= start && (end === '\0' || name < end)) yield state.get(name) as KeyValue;
  }
}

function rangeOf(state: Keys, request: RangeRequest, revision: number): RangeResponse {
  const all = [...inRange(state, request)];
  if (request.countOnly) return { revision, kvs: [], more: false, count: all.length };
  const { minModRevision = 0, minCreateRevision = 0, limit = 0 } = request;
  const maxModRevision = request.maxModRevision || Infinity;
  const maxCreateRevision = request.maxCreateRevision || Infinity;
  const kvs = all.filter(
    (kv) =>
      kv.modRevision >= minModRevision &&
      kv.modRevision <= maxModRevision &&
      kv.createRevision >= minCreateRevision &&
      kv.createRevision <= maxCreateRevision,
  );
  if (limit > 0 && isFetchedShort(request)) kvs.splice(limit + 1);
  kvs.sort(orderOf(request));
  const cut = limit > 0 ? kvs.slice(0, limit) : kvs;
  const shown = request.keysOnly ? cut.map((kv) => ({ ...kv, value: new Uint8Array(0) })) : cut;
  return { revision, kvs: shown, more: cut.length < kvs.length, count: all.length };
}

/** Without an order and a filter etcd fetches one key more than the limit, whatever it sorts by afterwards. */
function isFetchedShort(request: RangeRequest): boolean {
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request;
  if (minModRevision || maxModRevision || minCreateRevision || maxCreateRevision) return false;
  return request.sortOrder === undefined || request.sortOrder === 'none';
}

function orderOf({ sortTarget = 'key', sortOrder }: RangeRequest): (a: KeyValue, b: KeyValue) => number {
  const sign = sortOrder === 'descend' ? -1 : 1;
  const compare: Record<typeof sortTarget, (a: KeyValue, b: KeyValue) => number> = {
    key: byKey,
    value: (a, b) => Buffer.compare(a.value, b.value),
    version: (a, b) => a.version - b.version,
    create: (a, b) => a.createRevision - b.createRevision,
    mod: (a, b) => a.modRevision - b.modRevision,
  };
  return (a, b) => sign * compare[sortTarget](a, b);
}

function holds(state: Keys, compare: Compare): boolean {
  const found = [...inRange(state, compare)];
  if (found.length === 0) return compare.target !== 'value' && holdsFor(compare, undefined);
  return found.every((kv) => holdsFor(compare, kv));
}

function holdsFor({ target, result, operand }: Compare, kv: KeyValue | undefined): boolean {
  const actual = {
    version: kv?.version ?? 0,
    create: kv?.createRevision ?? 0,
    mod: kv?.modRevision ?? 0,
    lease: kv?.lease ?? 0n,
    value: kv?.value ?? new Uint8Array(0),
  }[target];
  const order =
    actual instanceof Uint8Array ? Buffer.compare(actual, operand as Uint8Array) : sign(actual, operand);
  return { equal: order === 0, 'not-equal': order !== 0, greater: order > 0, less: order < 0 }[result];
}

function sign(actual: number | bigint, operand: Compare['operand']): number {
  const wanted = operand as number | bigint;
  return actual < wanted ? -1 : actual > wanted ? 1 : 0;
}
