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

/** Keys as text; compliance tests use ASCII only. */
type State = ReadonlyMap<string, KeyValue>;

/**
 * etcd's store in the plainest form: a whole map per revision, no sharing, no concurrency. The compliance
 * suite compares implementations with it, and it with etcd itself.
 */
export class ModelStore {
  readonly #states = new Map<number, State>();
  /** Every event, by revision. */
  readonly events = new Map<number, WatchEvent[]>();
  revision: number;

  /** @param revision of the real store when it holds none of the model's keys */
  constructor(revision: number) {
    this.revision = revision;
    this.#states.set(revision, new Map());
  }

  range(request: RangeRequest): RangeResponse {
    return rangeOf(this.#at(request.revision), request, this.revision);
  }

  #at(revision: number | undefined): State {
    return this.#states.get(revision || this.revision) as State;
  }

  txn(request: TxnRequest): TxnResponse {
    const state = new Map(this.#at(undefined));
    const events: WatchEvent[] = [];
    const response = this.#branch(request, this.#at(undefined), state, events);
    if (events.length > 0) {
      this.revision++;
      this.#states.set(this.revision, state);
      this.events.set(this.revision, events);
    }
    return response;
  }

  #branch(
    request: TxnRequest,
    before: State,
    state: Map<string, KeyValue>,
    events: WatchEvent[],
  ): TxnResponse {
    const succeeded = request.compare.every((compare) => holds(before, compare));
    const ops = succeeded ? request.success : request.failure;
    const responses = ops.map((op) => this.#apply(op, before, state, events));
    const revision = this.revision + (events.length > 0 ? 1 : 0);
    return { revision, succeeded, responses };
  }

  #apply(op: RequestOp, before: State, state: Map<string, KeyValue>, events: WatchEvent[]): ResponseOp {
    const next = this.revision + 1;
    if ('txn' in op) return { txn: this.#branch(op.txn, before, state, events) };
    if ('range' in op) {
      const current = events.length > 0 ? next : this.revision;
      return { range: rangeOf(op.range.revision ? this.#at(op.range.revision) : state, op.range, current) };
    }
    if ('put' in op) {
      const { prev, kv } = put(state, op.put, next);
      events.push({ type: 'put', kv, ...(prev === undefined ? {} : { prevKv: prev }) });
      return { put: { revision: next, ...(op.put.prevKv && prev !== undefined ? { prevKv: prev } : {}) } };
    }
    const { prevKv = false } = op.deleteRange;
    const doomed = [...inRange(state, op.deleteRange)];
    for (const kv of doomed) {
      state.delete(text(kv.key));
      events.push({ type: 'delete', kv: tombstone(kv.key, next), prevKv: kv });
    }
    const revision = events.length > 0 ? next : this.revision;
    return { deleteRange: { revision, deleted: doomed.length, prevKvs: prevKv ? doomed : [] } };
  }
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

function put(
  state: Map<string, KeyValue>,
  request: PutRequest,
  revision: number,
): { prev: KeyValue | undefined; kv: KeyValue } {
  const prev = state.get(text(request.key));
  if ((request.ignoreValue || request.ignoreLease) && prev === undefined) throw etcdErrors.keyNotFound();
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

function* inRange(state: State, { key, rangeEnd }: { key: Uint8Array; rangeEnd?: Uint8Array | undefined }) {
  const start = text(key);
  const end = rangeEnd === undefined || rangeEnd.length === 0 ? `${start}\0` : text(rangeEnd);
  for (const name of [...state.keys()].sort()) {
    if (name >= start && (end === '\0' || name < end)) yield state.get(name) as KeyValue;
  }
}

function rangeOf(state: State, request: RangeRequest, revision: number): RangeResponse {
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
    key: (a, b) => Buffer.compare(a.key, b.key),
    value: (a, b) => Buffer.compare(a.value, b.value),
    version: (a, b) => a.version - b.version,
    create: (a, b) => a.createRevision - b.createRevision,
    mod: (a, b) => a.modRevision - b.modRevision,
  };
  return (a, b) => sign * compare[sortTarget](a, b);
}

function holds(state: State, compare: Compare): boolean {
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
