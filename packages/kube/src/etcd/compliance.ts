/**
 * What every {@link EtcdStore} must do, as a test suite: run against the embedded engine and, through the gRPC
 * client, against etcd itself, which thereby also checks the suite.
 *
 * Every test uses keys of its own and relative revisions, so one store serves all of them.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { ModelStore } from './model.ts';
import { requestScript } from './compliance-requests.ts';
import {
  type Compare,
  EtcdError,
  etcdErrors,
  type EtcdStore,
  type KeyValue,
  prefixEnd,
  type RangeRequest,
  type TxnRequest,
  type WatchEvent,
  type WatchMessage,
  type WatchRequest,
} from './store.ts';

export interface StoreUnderTest {
  readonly store: EtcdStore;
  stop(): Promise<void>;
}

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const text = (data: Uint8Array): string => Buffer.from(data).toString('latin1');
const noValue = new Uint8Array(0);
const waitMs = 15_000;

/** The same in plain form, so that deepEqual compares Buffer and Uint8Array alike. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `bytes:${text(value)}`;
  if (typeof value === 'bigint') return `${value}n`;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(entries.map(([name, field]) => [name, plain(field)]));
}

async function rejectsLike(promise: Promise<unknown>, expected: EtcdError): Promise<void> {
  await assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof EtcdError, `an EtcdError, not ${String(error)}`);
    assert.equal(error.message, expected.message);
    assert.equal(error.code, expected.code);
    return true;
  });
}

/** Collects what a watch receives and waits for conditions on it. */
export class Receiver {
  readonly messages: WatchMessage[] = [];
  #waiting: Array<() => void> = [];

  readonly receive = (message: WatchMessage): void => {
    this.messages.push(message);
    for (const check of this.#waiting) check();
  };

  get events(): WatchEvent[] {
    return this.messages.flatMap((message) => (message.type === 'events' ? message.events : []));
  }

  until(what: string, condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const seen = JSON.stringify(plain(this.messages)).slice(0, 1000);
        reject(new Error(`waited ${waitMs} ms for ${what}; received: ${seen}`));
      }, waitMs);
      const check = (): void => {
        if (!condition()) return;
        clearTimeout(timer);
        this.#waiting = this.#waiting.filter((other) => other !== check);
        resolve();
      };
      this.#waiting.push(check);
      check();
    });
  }
}

let suites = 0;

/**
 * Declares the suite.
 *
 * @param start opens the store once for the whole suite
 */
export function etcdCompliance(name: string, start: () => Promise<StoreUnderTest>): void {
  describe(`${name} keeps etcd's contract`, () => {
    let under: StoreUnderTest;
    const folder = `/compliance-${process.pid}-${suites++}`;
    let tests = 0;
    before(async () => {
      under = await start();
    });
    after(async () => {
      await under.stop();
    });
    const context = (): Context => new Context(under.store, `${folder}/${tests++}/`);
    declareKeys(context);
    declareRanges(context);
    declareTransactions(context);
    declareWatches(context);
    declareLeases(context);
    declareModel(context);
    declareCompaction(context);
  });
}

/** One test's part of the store. */
class Context {
  readonly store: EtcdStore;
  readonly prefix: string;

  constructor(store: EtcdStore, prefix: string) {
    this.store = store;
    this.prefix = prefix;
  }

  key(name: string): Uint8Array {
    return bytes(this.prefix + name);
  }

  /** Every key of this test. */
  all(): { key: Uint8Array; rangeEnd: Uint8Array } {
    const key = bytes(this.prefix);
    return { key, rangeEnd: prefixEnd(key) };
  }

  async put(name: string, value: string, more: object = {}): Promise<number> {
    return (await this.store.put({ key: this.key(name), value: bytes(value), ...more })).revision;
  }

  async get(name: string, revision?: number): Promise<KeyValue | undefined> {
    return (await this.store.range({ key: this.key(name), revision })).kvs[0];
  }

  async names(request: Partial<RangeRequest>): Promise<string[]> {
    const { kvs } = await this.store.range({ ...this.all(), ...request });
    return kvs.map(({ key }) => text(key).slice(this.prefix.length));
  }

  watch(receiver: Receiver, request: Partial<WatchRequest> = {}) {
    return this.store.watch({ ...this.all(), ...request }, receiver.receive);
  }
}

type NewContext = () => Context;

function declareKeys(context: NewContext): void {
  it('counts versions and revisions of a key through its lives', async () => {
    const c = context();
    const first = await c.put('a', '1');
    const second = await c.put('a', '2');
    assert.equal(second, first + 1);
    const kv = await c.get('a');
    assert.deepEqual(plain(kv), {
      key: `bytes:${c.prefix}a`,
      value: 'bytes:2',
      createRevision: first,
      modRevision: second,
      version: 2,
      lease: '0n',
    });
    const deleted = await c.store.deleteRange({ key: c.key('a'), prevKv: true });
    assert.equal(deleted.revision, second + 1);
    assert.equal(deleted.deleted, 1);
    assert.deepEqual(plain(deleted.prevKvs), [plain(kv)]);
    assert.equal(await c.get('a'), undefined);
    const third = await c.put('a', '3');
    const reborn = await c.get('a');
    assert.deepEqual([reborn?.createRevision, reborn?.version], [third, 1]);
  });

  it('takes no revision for a deletion of nothing', async () => {
    const c = context();
    const revision = await c.put('a', '1');
    const { deleted, revision: after } = await c.store.deleteRange({ key: c.key('none') });
    assert.deepEqual([deleted, after], [0, revision]);
    assert.equal(await c.put('a', '2'), revision + 1);
  });

  it('returns the previous value, and keeps value or lease when asked to', async () => {
    const c = context();
    const { id } = await c.store.leaseGrant(60);
    await c.put('a', '1', { lease: id });
    const replaced = await c.store.put({
      key: c.key('a'),
      value: bytes('2'),
      ignoreLease: true,
      prevKv: true,
    });
    assert.equal(text(replaced.prevKv?.value ?? noValue), '1');
    assert.equal((await c.get('a'))?.lease, id);
    await c.store.put({ key: c.key('a'), value: noValue, ignoreValue: true });
    const kept = await c.get('a');
    assert.deepEqual([text(kept?.value ?? noValue), kept?.lease], ['2', 0n]);
    const fresh = await c.store.put({ key: c.key('b'), value: bytes('1'), prevKv: true });
    assert.equal(fresh.prevKv, undefined);
    await c.store.leaseRevoke(id);
  });

  it("refuses bad requests in etcd's words", async () => {
    const c = context();
    const { store } = c;
    const key = c.key('a');
    await rejectsLike(store.put({ key: noValue, value: noValue }), etcdErrors.emptyKey());
    await rejectsLike(store.range({ key: noValue }), etcdErrors.emptyKey());
    await rejectsLike(store.deleteRange({ key: noValue }), etcdErrors.emptyKey());
    await rejectsLike(store.put({ key, value: noValue, ignoreValue: true }), etcdErrors.keyNotFound());
    await rejectsLike(store.put({ key, value: noValue, ignoreLease: true }), etcdErrors.keyNotFound());
    await rejectsLike(store.put({ key, value: bytes('x'), ignoreValue: true }), etcdErrors.valueProvided());
    await rejectsLike(
      store.put({ key, value: bytes('x'), ignoreLease: true, lease: 5n }),
      etcdErrors.leaseProvided(),
    );
    await rejectsLike(store.put({ key, value: bytes('x'), lease: 0x7777n }), etcdErrors.leaseNotFound());
    await rejectsLike(store.put({ key, value: new Uint8Array(1_600_000) }), etcdErrors.requestTooLarge());
    assert.equal(await c.get('a'), undefined);
  });

  it('keeps keys and values of any bytes', async () => {
    const c = context();
    const odd = Buffer.concat([c.key(''), Uint8Array.from({ length: 256 }, (_, i) => i)]);
    const value = Uint8Array.from({ length: 5000 }, (_, i) => i % 251);
    await c.store.put({ key: odd, value });
    await c.store.put({ key: c.key('empty'), value: noValue });
    const { kvs } = await c.store.range(c.all());
    assert.equal(kvs.length, 2);
    assert.deepEqual(Buffer.from(kvs[0]?.key ?? noValue), odd);
    assert.deepEqual(Buffer.from(kvs[0]?.value ?? noValue), Buffer.from(value));
    assert.equal(kvs[1]?.value.length, 0);
  });
}

function declareRanges(context: NewContext): void {
  it('pages by limit with a count of all and more', async () => {
    const c = context();
    for (const name of ['d', 'b', 'a', 'c']) await c.put(name, name);
    const first = await c.store.range({ ...c.all(), limit: 2 });
    assert.deepEqual([first.kvs.length, first.more, first.count], [2, true, 4]);
    const last = first.kvs[1]?.key ?? noValue;
    const rest = await c.store.range({ ...c.all(), key: Buffer.concat([last, Uint8Array.of(0)]), limit: 2 });
    assert.deepEqual(
      rest.kvs.map(({ key }) => text(key)),
      [`${c.prefix}c`, `${c.prefix}d`],
    );
    assert.deepEqual([rest.more, rest.count], [false, 2]);
  });

  it('reads the past, as of any retained revision', async () => {
    const c = context();
    const first = await c.put('a', '1');
    const second = await c.put('b', '1');
    await c.put('a', '2');
    await c.store.deleteRange({ key: c.key('b') });
    assert.deepEqual(await c.names({ revision: first }), ['a']);
    assert.deepEqual(await c.names({ revision: second }), ['a', 'b']);
    assert.deepEqual(await c.names({}), ['a']);
    assert.equal(text((await c.get('a', second))?.value ?? noValue), '1');
    const { revision } = await c.store.range({ key: c.key('a') });
    await rejectsLike(
      c.store.range({ key: c.key('a'), revision: revision + 1000 }),
      etcdErrors.futureRevision(),
    );
  });

  it('sorts, filters, and leaves out values', async () => {
    const c = context();
    const r1 = await c.put('a', '3');
    await c.put('b', '1');
    const r3 = await c.put('c', '2');
    const r4 = await c.put('a', '3');
    assert.deepEqual(await c.names({ sortOrder: 'descend' }), ['c', 'b', 'a']);
    assert.deepEqual(await c.names({ sortTarget: 'value', sortOrder: 'ascend' }), ['b', 'c', 'a']);
    assert.deepEqual(await c.names({ sortTarget: 'value', sortOrder: 'descend', limit: 2 }), ['a', 'c']);
    assert.deepEqual(await c.names({ sortTarget: 'mod', sortOrder: 'ascend' }), ['b', 'c', 'a']);
    assert.deepEqual(await c.names({ sortTarget: 'mod' }), ['b', 'c', 'a']);
    assert.deepEqual(await c.names({ sortTarget: 'create', sortOrder: 'descend' }), ['c', 'b', 'a']);
    assert.deepEqual(await c.names({ sortTarget: 'version', sortOrder: 'descend', limit: 1 }), ['a']);
    assert.deepEqual(await c.names({ minModRevision: r3 }), ['a', 'c']);
    assert.deepEqual(await c.names({ maxModRevision: r3 }), ['b', 'c']);
    assert.deepEqual(await c.names({ minCreateRevision: r1 + 1 }), ['b', 'c']);
    assert.deepEqual(await c.names({ maxCreateRevision: r1, minModRevision: r4 }), ['a']);
    const keys = await c.store.range({ ...c.all(), keysOnly: true });
    assert.deepEqual(
      keys.kvs.map(({ value, modRevision }) => [value.length, modRevision > 0]),
      [
        [0, true],
        [0, true],
        [0, true],
      ],
    );
    const count = await c.store.range({ ...c.all(), countOnly: true });
    assert.deepEqual([count.kvs.length, count.count, count.more], [0, 3, false]);
    const filtered = await c.store.range({ ...c.all(), minModRevision: r3, limit: 1 });
    assert.deepEqual([filtered.kvs.length, filtered.more, filtered.count], [1, true, 3]);
  });

  it('reads from a key to the end of all keys', async () => {
    const c = context();
    await c.put('a', '1');
    const { kvs, count } = await c.store.range({ key: c.key(''), rangeEnd: Uint8Array.of(0), limit: 1 });
    assert.equal(text(kvs[0]?.key ?? noValue), `${c.prefix}a`);
    assert.ok(count >= 1);
    const nothing = await c.store.range({ key: c.key('b'), rangeEnd: c.key('a') });
    assert.deepEqual([nothing.kvs.length, nothing.count], [0, 0]);
  });
}

function declareTransactions(context: NewContext): void {
  it('compares every field in every way', async () => {
    const c = context();
    const { id } = await c.store.leaseGrant(60);
    const revision = await c.put('a', 'v');
    await c.put('a', 'w', { lease: id });
    const key = c.key('a');
    const holds = async (compare: Compare): Promise<boolean> =>
      (await c.store.txn({ compare: [compare], success: [], failure: [] })).succeeded;
    const cases: Array<
      [
        Compare['target'],
        number | bigint | Uint8Array,
        number | bigint | Uint8Array,
        number | bigint | Uint8Array,
      ]
    > = [
      ['version', 1, 2, 3],
      ['create', revision - 1, revision, revision + 1],
      ['mod', revision, revision + 1, revision + 2],
      ['lease', id - 1n, id, id + 1n],
      ['value', bytes('v'), bytes('w'), bytes('x')],
    ];
    for (const [target, below, same, above] of cases) {
      const verdicts = async (operand: number | bigint | Uint8Array): Promise<boolean[]> => [
        await holds({ key, target, result: 'equal', operand }),
        await holds({ key, target, result: 'not-equal', operand }),
        await holds({ key, target, result: 'greater', operand }),
        await holds({ key, target, result: 'less', operand }),
      ];
      assert.deepEqual(await verdicts(below), [false, true, true, false], `${target} against less`);
      assert.deepEqual(await verdicts(same), [true, false, false, false], `${target} against equal`);
      assert.deepEqual(await verdicts(above), [false, true, false, true], `${target} against more`);
    }
    const missing = c.key('missing');
    assert.equal(await holds({ key: missing, target: 'version', result: 'equal', operand: 0 }), true);
    assert.equal(await holds({ key: missing, target: 'create', result: 'equal', operand: 0 }), true);
    assert.equal(await holds({ key: missing, target: 'value', result: 'equal', operand: noValue }), false);
    assert.equal(
      await holds({ key: missing, target: 'value', result: 'not-equal', operand: bytes('x') }),
      false,
    );
    await c.store.leaseRevoke(id);
  });

  it('compares every key of a range', async () => {
    const c = context();
    await c.put('a', 'x');
    await c.put('b', 'x');
    const holds = async (target: 'version' | 'value', operand: number | Uint8Array): Promise<boolean> => {
      const compare: Compare[] = [{ ...c.all(), target, result: 'equal', operand }];
      return (await c.store.txn({ compare, success: [], failure: [] })).succeeded;
    };
    assert.equal(await holds('version', 1), true);
    assert.equal(await holds('value', bytes('x')), true);
    await c.put('b', 'y');
    assert.equal(await holds('version', 1), false);
    assert.equal(await holds('value', bytes('x')), false);
  });

  it('writes with one revision, sees its own writes, and answers each operation', async () => {
    const c = context();
    const before = await c.put('old', '1');
    const response = await c.store.txn({
      compare: [],
      success: [
        { put: { key: c.key('a'), value: bytes('1') } },
        { put: { key: c.key('b'), value: bytes('2') } },
        { range: c.all() },
        { deleteRange: { key: c.key('old'), prevKv: true } },
        { range: { ...c.all(), countOnly: true } },
      ],
      failure: [],
    });
    assert.equal(response.revision, before + 1);
    const [, , range, deletion, count] = response.responses;
    assert.ok(
      range && 'range' in range && deletion && 'deleteRange' in deletion && count && 'range' in count,
    );
    assert.deepEqual(
      range.range.kvs.map(({ key, modRevision }) => [text(key).slice(c.prefix.length), modRevision]),
      [
        ['a', before + 1],
        ['b', before + 1],
        ['old', before],
      ],
    );
    assert.equal(text(deletion.deleteRange.prevKvs[0]?.value ?? noValue), '1');
    assert.equal(count.range.count, 2);
    assert.equal(await c.put('a', '2'), before + 2);
  });

  it('takes the failure branch, and nests', async () => {
    const c = context();
    await c.put('a', '1');
    const exists: Compare = { key: c.key('a'), target: 'version', result: 'greater', operand: 0 };
    const response = await c.store.txn({
      compare: [{ key: c.key('a'), target: 'version', result: 'equal', operand: 0 }],
      success: [{ put: { key: c.key('wrong'), value: bytes('1') } }],
      failure: [
        { put: { key: c.key('b'), value: bytes('1') } },
        {
          txn: {
            // Decided before anything is written: `b` does not exist yet.
            compare: [exists, { key: c.key('b'), target: 'version', result: 'equal', operand: 0 }],
            success: [{ put: { key: c.key('c'), value: bytes('1') } }],
            failure: [],
          },
        },
        { range: { key: c.key('a') } },
      ],
    });
    assert.equal(response.succeeded, false);
    assert.deepEqual(await c.names({}), ['a', 'b', 'c']);
    const nested = response.responses[1];
    assert.ok(nested && 'txn' in nested);
    assert.equal(nested.txn.succeeded, true);
    const [b, cc] = [await c.get('b'), await c.get('c')];
    assert.equal(b?.modRevision, cc?.modRevision);
  });

  it('refuses a transaction whole', async () => {
    const c = context();
    const put = (name: string, more: object = {}) => ({
      put: { key: c.key(name), value: bytes('1'), ...more },
    });
    const txn = (success: TxnRequest['success'], compare: Compare[] = []) =>
      c.store.txn({ compare, success, failure: [] });
    await rejectsLike(txn([put('a'), put('a')]), etcdErrors.duplicateKey());
    await rejectsLike(txn([put('a'), { deleteRange: c.all() }]), etcdErrors.duplicateKey());
    await rejectsLike(
      txn([put('a'), { txn: { compare: [], success: [put('a')], failure: [] } }]),
      etcdErrors.duplicateKey(),
    );
    await rejectsLike(txn([put('a'), put('b', { lease: 0x5555n })]), etcdErrors.leaseNotFound());
    await rejectsLike(txn(Array.from({ length: 129 }, (_, i) => put(`k${i}`))), etcdErrors.tooManyOps());
    await rejectsLike(
      txn([put('a'), { range: { key: c.key('a'), revision: 1_000_000_000 } }]),
      etcdErrors.futureRevision(),
    );
    await rejectsLike(txn([{ range: { key: noValue } }]), etcdErrors.emptyKey());
    assert.deepEqual(await c.names({}), []);
    const both = await c.store.txn({
      compare: [],
      success: [{ txn: { compare: [], success: [put('a')], failure: [put('a')] } }],
      failure: [],
    });
    assert.equal(both.succeeded, true);
  });

  it('applies concurrent compare-and-swaps one after the other', async () => {
    const c = context();
    await c.put('n', '0');
    let lost = 0;
    const increment = async (): Promise<void> => {
      for (;;) {
        const kv = await c.get('n');
        const next = bytes(String(Number(text(kv?.value ?? noValue)) + 1));
        const { succeeded } = await c.store.txn({
          compare: [{ key: c.key('n'), target: 'mod', result: 'equal', operand: kv?.modRevision ?? 0 }],
          success: [{ put: { key: c.key('n'), value: next } }],
          failure: [],
        });
        if (succeeded) return;
        lost++;
      }
    };
    await Promise.all(Array.from({ length: 20 }, increment));
    assert.equal(text((await c.get('n'))?.value ?? noValue), '20');
    assert.ok(lost > 0, 'the swaps really competed');
  });
}

function declareWatches(context: NewContext): void {
  it('delivers changes from now on, with previous values', async () => {
    const c = context();
    await c.put('a', '0');
    const receiver = new Receiver();
    const watch = c.watch(receiver, { prevKv: true });
    await watch.created;
    const first = await c.put('a', '1');
    await c.store.deleteRange({ key: c.key('a') });
    await receiver.until('both events', () => receiver.events.length === 2);
    const [put, deletion] = receiver.events;
    assert.deepEqual(
      [put?.type, put?.kv.modRevision, text(put?.kv.value ?? noValue), text(put?.prevKv?.value ?? noValue)],
      ['put', first, '1', '0'],
    );
    assert.deepEqual(plain(deletion?.kv), {
      key: `bytes:${c.prefix}a`,
      value: 'bytes:',
      createRevision: 0,
      modRevision: first + 1,
      version: 0,
      lease: '0n',
    });
    assert.equal(text(deletion?.prevKv?.value ?? noValue), '1');
    watch.cancel();
  });

  it('replays from a past revision and goes on with the present', async () => {
    const c = context();
    const revisions: number[] = [];
    for (let i = 0; i < 50; i++) revisions.push(await c.put(`k${i % 7}`, String(i)));
    const receiver = new Receiver();
    const watch = c.watch(receiver, { startRevision: revisions[10] });
    for (let i = 50; i < 100; i++) revisions.push(await c.put(`k${i % 7}`, String(i)));
    await receiver.until('90 events', () => receiver.events.length >= 90);
    assert.deepEqual(
      receiver.events.map(({ kv }) => kv.modRevision),
      revisions.slice(10),
    );
    watch.cancel();
  });

  it('keeps a transaction together and filters by kind', async () => {
    const c = context();
    const all = new Receiver();
    const puts = new Receiver();
    const deletes = new Receiver();
    const watches = [
      c.watch(all),
      c.watch(puts, { filters: ['nodelete'] }),
      c.watch(deletes, { filters: ['noput'] }),
    ];
    await Promise.all(watches.map(({ created }) => created));
    await c.put('x', '1');
    await c.store.txn({
      compare: [],
      success: [
        { put: { key: c.key('a'), value: bytes('1') } },
        { deleteRange: { key: c.key('x') } },
        { put: { key: c.key('b'), value: bytes('1') } },
      ],
      failure: [],
    });
    await all.until('all', () => all.events.length === 4);
    await puts.until('puts', () => puts.events.length === 3);
    await deletes.until('deletes', () => deletes.events.length === 1);
    for (const message of all.messages) {
      if (message.type !== 'events') continue;
      const revisions = new Set(message.events.map(({ kv }) => kv.modRevision));
      for (const revision of revisions) {
        const together = all.events.filter(({ kv }) => kv.modRevision === revision).length;
        assert.equal(message.events.filter(({ kv }) => kv.modRevision === revision).length, together);
      }
    }
    for (const watch of watches) watch.cancel();
  });

  it('watches single keys, and waits for a future revision', async () => {
    const c = context();
    const revision = await c.put('a', '1');
    const one = new Receiver();
    const later = new Receiver();
    const watches = [
      c.store.watch({ key: c.key('a') }, one.receive),
      c.watch(later, { startRevision: revision + 3 }),
    ];
    await Promise.all(watches.map(({ created }) => created));
    await c.put('b', '1');
    await c.put('a', '2');
    await c.put('a', '3');
    await one.until('two', () => one.events.length === 2);
    await later.until('one', () => later.events.length === 1);
    assert.deepEqual(
      one.events.map(({ kv }) => text(kv.value)),
      ['2', '3'],
    );
    assert.equal(later.events[0]?.kv.modRevision, revision + 3);
    for (const watch of watches) watch.cancel();
  });

  it('reports progress only after everything before it', async () => {
    const c = context();
    const receiver = new Receiver();
    const watch = c.watch(receiver);
    await watch.created;
    let last = 0;
    for (let round = 0; round < 5; round++) {
      last = await c.put('a', String(round));
      watch.requestProgress();
      const wanted = last;
      await receiver.until(`progress at ${wanted}`, () =>
        receiver.messages.some(
          ({ type, ...rest }) => type === 'progress' && 'revision' in rest && rest.revision >= wanted,
        ),
      );
      const at = receiver.messages.findIndex((m) => m.type === 'progress' && m.revision >= wanted);
      const before = receiver.messages.slice(0, at).flatMap((m) => (m.type === 'events' ? m.events : []));
      assert.ok(
        before.some(({ kv }) => kv.modRevision === wanted),
        'the event came first',
      );
    }
    watch.cancel();
  });

  it('delivers nothing after a cancel', async () => {
    const c = context();
    const kept = new Receiver();
    const dropped = new Receiver();
    const [keep, drop] = [c.watch(kept), c.watch(dropped)];
    await Promise.all([keep.created, drop.created]);
    await c.put('a', '1');
    await dropped.until('one', () => dropped.events.length === 1);
    drop.cancel();
    await c.put('a', '2');
    await kept.until('two', () => kept.events.length === 2);
    assert.equal(dropped.events.length, 1);
    keep.cancel();
  });

  it('refuses an empty range', async () => {
    const c = context();
    const receiver = new Receiver();
    c.watch(receiver, { key: c.key('b'), rangeEnd: c.key('a') });
    await receiver.until('cancel', () => receiver.messages.some(({ type }) => type === 'canceled'));
    const message = receiver.messages.find(({ type }) => type === 'canceled');
    assert.ok(message?.type === 'canceled' && message.compactRevision === 0 && message.error !== undefined);
  });

  it('serves a slow receiver from history, complete and in order', async () => {
    const c = context();
    const seen: number[] = [];
    let inside = 0;
    let finish: () => void = () => undefined;
    const done = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const total = 200;
    const watch = c.store.watch(c.all(), async (message) => {
      assert.equal(inside++, 0, 'one call at a time');
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (message.type === 'events') seen.push(...message.events.map(({ kv }) => kv.modRevision));
      inside--;
      if (seen.length >= total) finish();
    });
    await watch.created;
    const revisions: number[] = [];
    for (let i = 0; i < total; i++) revisions.push(await c.put(`k${i}`, 'x'));
    await done;
    assert.deepEqual(seen, revisions);
    watch.cancel();
  });
}

function declareLeases(context: NewContext): void {
  it('grants, lists, renews and tells the time left', async () => {
    const c = context();
    const { store } = c;
    const chosen = 0x6000_0000_0000_0001n + BigInt(process.pid);
    assert.deepEqual(await store.leaseGrant(100, chosen), { id: chosen, ttlSeconds: 100 });
    await rejectsLike(store.leaseGrant(100, chosen), etcdErrors.leaseExists());
    await rejectsLike(store.leaseGrant(9_000_000_001), etcdErrors.leaseTtlTooLarge());
    const { id, ttlSeconds } = await store.leaseGrant(1);
    assert.ok(id > 0n);
    assert.ok(ttlSeconds >= 1);
    assert.ok((await store.leaseLeases()).includes(chosen));
    await c.put('b', '1', { lease: chosen });
    await c.put('a', '1', { lease: chosen });
    const status = await store.leaseTimeToLive(chosen, true);
    assert.equal(status.grantedTtlSeconds, 100);
    assert.ok(status.ttlSeconds > 90 && status.ttlSeconds <= 100, `${status.ttlSeconds} s left`);
    assert.deepEqual(status.keys.map(text).sort(), [`${c.prefix}a`, `${c.prefix}b`]);
    assert.deepEqual((await store.leaseTimeToLive(chosen)).keys, []);
    assert.deepEqual(await store.leaseKeepAlive(chosen), { ttlSeconds: 100 });
    await store.leaseRevoke(chosen);
    await rejectsLike(store.leaseRevoke(chosen), etcdErrors.leaseNotFound());
    assert.deepEqual(await store.leaseKeepAlive(chosen), { ttlSeconds: 0 });
    assert.equal((await store.leaseTimeToLive(chosen)).ttlSeconds, -1);
  });

  it('deletes the keys of a revoked lease in one revision, and only those', async () => {
    const c = context();
    const { id } = await c.store.leaseGrant(60);
    const other = await c.store.leaseGrant(60);
    await c.put('a', '1', { lease: id });
    await c.put('b', '1', { lease: id });
    await c.put('moved', '1', { lease: id });
    await c.put('moved', '2', { lease: other.id });
    await c.put('freed', '1', { lease: id });
    const revision = await c.put('freed', '2');
    const receiver = new Receiver();
    const watch = c.watch(receiver);
    await watch.created;
    await c.store.leaseRevoke(id);
    assert.deepEqual(await c.names({}), ['freed', 'moved']);
    await receiver.until('two deletes', () => receiver.events.length === 2);
    assert.deepEqual(
      receiver.events.map(({ type, kv }) => [type, text(kv.key).slice(c.prefix.length), kv.modRevision]),
      [
        ['delete', 'a', revision + 1],
        ['delete', 'b', revision + 1],
      ],
    );
    watch.cancel();
    await c.store.leaseRevoke(other.id);
    assert.deepEqual(await c.names({}), ['freed']);
  });

  it('lets a lease die when nobody renews it', async () => {
    const c = context();
    const { id, ttlSeconds } = await c.store.leaseGrant(1);
    const renewed = await c.store.leaseGrant(1);
    await c.put('a', '1', { lease: id });
    await c.put('b', '1', { lease: renewed.id });
    const receiver = new Receiver();
    const watch = c.watch(receiver);
    await watch.created;
    const beat = setInterval(() => void c.store.leaseKeepAlive(renewed.id), 300);
    try {
      await receiver.until('the deletion', () => receiver.events.length > 0);
      assert.equal(text(receiver.events[0]?.kv.key ?? noValue), `${c.prefix}a`);
      assert.deepEqual(await c.names({}), ['b']);
      assert.equal((await c.store.leaseTimeToLive(id)).ttlSeconds, -1, `granted for ${ttlSeconds} s`);
    } finally {
      clearInterval(beat);
      watch.cancel();
    }
    await c.store.leaseRevoke(renewed.id);
  });
}

function declareModel(context: NewContext): void {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
  const numRuns = Number(process.env['ITERATIONS'] ?? 15);
  it(`answers random scripts as the model does (SEED=${seed})`, async () => {
    const property = fc.asyncProperty(requestScript, async (script) => {
      const c = context();
      const { revision: base } = await c.store.status();
      const model = new ModelStore(base);
      const receiver = new Receiver();
      const watch = c.watch(receiver, { prevKv: true, startRevision: base + 1 });
      const requests = script(c.prefix, base);
      for (const request of requests) {
        const expected = 'compare' in request ? model.txn(request) : model.range(request);
        const actual = 'compare' in request ? await c.store.txn(request) : await c.store.range(request);
        assert.deepEqual(withoutNestedRevisions(plain(actual)), withoutNestedRevisions(plain(expected)));
      }
      const events = [...model.events.values()].flat();
      await receiver.until('every event', () => receiver.events.length >= events.length);
      assert.deepEqual(plain(receiver.events), plain(events));
      watch.cancel();
      const middle = base + Math.floor((model.revision - base) / 2);
      const replay = new Receiver();
      const late = c.watch(replay, { startRevision: middle + 1, prevKv: true });
      const rest = [...model.events].filter(([at]) => at > middle).flatMap(([, these]) => these);
      await replay.until('the replay', () => replay.events.length >= rest.length);
      assert.deepEqual(plain(replay.events), plain(rest));
      late.cancel();
    });
    await fc.assert(property, { seed, numRuns, endOnFailure: true });
  });
}

/** etcd leaves the header of nested transactions empty. */
function withoutNestedRevisions(response: unknown, depth = 0): unknown {
  if (Array.isArray(response)) return response.map((item) => withoutNestedRevisions(item, depth));
  if (typeof response !== 'object' || response === null) return response;
  const entries = Object.entries(response).map(([name, field]) =>
    name === 'revision' && depth > 0 ? [name, 0] : [name, withoutNestedRevisions(field, depth + 1)],
  );
  return Object.fromEntries(entries);
}

function declareCompaction(context: NewContext): void {
  it('forgets the past and says so', async () => {
    const c = context();
    const first = await c.put('a', '1');
    await c.put('b', '1');
    await c.store.deleteRange({ key: c.key('b') });
    const middle = await c.put('a', '2');
    const last = await c.put('a', '3');
    await c.store.compact(middle);
    await rejectsLike(c.store.range({ key: c.key('a'), revision: first }), etcdErrors.compacted());
    await rejectsLike(c.store.compact(middle), etcdErrors.compacted());
    await rejectsLike(c.store.compact(last + 1000), etcdErrors.futureRevision());
    assert.equal(text((await c.get('a', middle))?.value ?? noValue), '2');
    assert.equal(text((await c.get('a'))?.value ?? noValue), '3');
    assert.deepEqual(await c.names({}), ['a']);
    const kv = await c.get('a');
    assert.deepEqual([kv?.createRevision, kv?.version], [first, 3]);
    const old = new Receiver();
    c.watch(old, { startRevision: first });
    await old.until('cancel', () => old.messages.some(({ type }) => type === 'canceled'));
    const canceled = old.messages.find(({ type }) => type === 'canceled');
    assert.ok(canceled?.type === 'canceled');
    assert.equal(canceled.compactRevision, middle);
    const kept = new Receiver();
    const watch = c.watch(kept, { startRevision: middle });
    await kept.until('the kept events', () => kept.events.length === 2);
    assert.deepEqual(
      kept.events.map(({ kv: { modRevision } }) => modRevision),
      [middle, last],
    );
    watch.cancel();
  });

  it('goes on under compaction without losing a watched change', async () => {
    const c = context();
    const receiver = new Receiver();
    const watch = c.watch(receiver);
    await watch.created;
    const revisions: number[] = [];
    for (let i = 0; i < 60; i++) {
      revisions.push(await c.put(`k${i % 5}`, String(i)));
      if (i % 10 === 9) await c.store.compact(revisions[i - 2] as number);
    }
    await receiver.until('all', () => receiver.events.length === 60);
    assert.deepEqual(
      receiver.events.map(({ kv }) => kv.modRevision),
      revisions,
    );
    assert.deepEqual(await c.names({}), ['k0', 'k1', 'k2', 'k3', 'k4']);
    watch.cancel();
  });
}
