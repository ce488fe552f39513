import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { plain, Receiver } from '@cloudless/kube/etcd/compliance';
import { TcpProxy } from '@cloudless/kube/testing/tcp-proxy';
import type { EtcdStore } from '@cloudless/kube/etcd/store';
import { logger } from '@cloudless/kube/logger';
import type { Datastore } from '../datastore.ts';
import { runHistory } from '../testing/linearizability/history.ts';
import { random } from '@cloudless/kube/testing/random';
import { RealPostgres } from '../testing/real-postgres.ts';
import { openPostgresDatastore } from './open.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (data: Uint8Array | undefined): string => Buffer.from(data ?? []).toString();
const everything = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) };
const quiet = logger('datastore-test').child({}, { level: 'silent' });
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const rounds = Number(process.env['ITERATIONS'] ?? 40);

let server: RealPostgres;
before(async () => {
  server = await RealPostgres.start();
});
after(() => server.stop());

async function openThree(url: string, cacheBytes?: number): Promise<[Datastore, Datastore, Datastore]> {
  const open = (): Promise<Datastore> => openPostgresDatastore({ url, log: quiet, cacheBytes });
  return Promise.all([open(), open(), open()]);
}

const closeAll = (stores: readonly EtcdStore[]): Promise<unknown> =>
  Promise.all(stores.map((store) => store.close()));

/** Counts `key` up once, by compare-and-swap. */
async function increment(store: EtcdStore, key: Uint8Array): Promise<number> {
  for (;;) {
    const kv = (await store.range({ key })).kvs[0];
    const { succeeded, revision } = await store.txn({
      compare: [{ key, target: 'mod', result: 'equal', operand: kv?.modRevision ?? 0 }],
      success: [{ put: { key, value: bytes(String(Number(text(kv?.value)) + 1)) } }],
      failure: [],
    });
    if (succeeded) return revision;
  }
}

describe('three servers on one PostgreSQL database', () => {
  it(`take every write once, without gaps, and tell all watches the same (SEED=${seed}, ${rounds} rounds)`, async () => {
    // They all begin at once, in an empty database: one of them makes the tables.
    const stores = await openThree(await server.database());
    const receivers = stores.map(() => new Receiver());
    for (const [i, store] of stores.entries()) {
      store.watch({ ...everything, startRevision: 2, prevKv: true }, (receivers[i] as Receiver).receive);
    }
    const next = random(seed);
    const revisions: number[] = [];
    const acknowledged = new Map<string, string>();
    const workers = stores.flatMap((store, i) =>
      Array.from({ length: 4 }, async (_, worker) => {
        for (let round = 0; round < rounds; round++) {
          if (next() < 0.3) {
            revisions.push(await increment(store, bytes('counter')));
            continue;
          }
          const key = `k${i}-${worker}-${Math.floor(next() * 5)}`;
          const { revision } = await store.put({ key: bytes(key), value: bytes(String(round)) });
          acknowledged.set(key, String(round));
          revisions.push(revision);
        }
      }),
    );
    await Promise.all(workers);
    const total = 3 * 4 * rounds;
    assert.deepEqual(
      revisions.sort((a, b) => a - b),
      Array.from({ length: total }, (_, i) => i + 2),
    );
    for (const receiver of receivers) {
      await receiver.until('every write', () => receiver.events.length === total);
      assert.deepEqual(plain(receiver.events), plain(receivers[0]?.events));
    }
    const all = await Promise.all(stores.map((store) => store.range(everything)));
    assert.deepEqual(plain(all[1]), plain(all[0]));
    assert.deepEqual(plain(all[2]), plain(all[0]));
    const found = new Map(all[0]?.kvs.map(({ key, value }) => [text(key), text(value)]));
    found.delete('counter');
    assert.deepEqual(Object.fromEntries(found), Object.fromEntries(acknowledged));
    await closeAll(stores);
  });

  it('see what another acknowledged in a linearizable read, and soon in their watches', async () => {
    const stores = await openThree(await server.database());
    const receivers = stores.map(() => new Receiver());
    for (const [i, store] of stores.entries()) {
      await store.watch(everything, (receivers[i] as Receiver).receive).created;
    }
    const delaysMs: number[] = [];
    for (let round = 0; round < 20; round++) {
      const [writer, ...readers] = [0, 1, 2].map((i) => stores[(round + i) % 3] as Datastore);
      const { revision } = await (writer as Datastore).put({ key: bytes('a'), value: bytes(String(round)) });
      const startMs = performance.now();
      const told = receivers.map((receiver) =>
        receiver.until('the event', () => receiver.events.length === round + 1),
      );
      for (const reader of readers) {
        const read = await reader.range({ key: bytes('a') });
        assert.deepEqual([text(read.kvs[0]?.value), read.revision], [String(round), revision]);
      }
      await Promise.all(told);
      delaysMs.push(performance.now() - startMs);
    }
    // By notification: polling alone would take half a second at the median.
    const median = delaysMs.sort((a, b) => a - b)[10] as number;
    assert.ok(median < 300, `told after ${median.toFixed()} ms`);
    await closeAll(stores);
  });

  it('compact, remove rows and go on, also where another server has not seen it yet', async () => {
    const stores = await openThree(await server.database(), 0);
    const [one, other, third] = stores;
    for (let i = 0; i < 30; i++) await one.put({ key: bytes(`k${i % 3}`), value: bytes(String(i)) });
    await one.deleteRange({ key: bytes('k2') });
    const { revision } = await other.put({ key: bytes('last'), value: bytes('1') });
    await third.compact(revision);
    await assert.rejects(one.range({ key: bytes('k0'), revision: revision - 1 }), /has been compacted/);
    await Promise.all(stores.map((store) => store.compacted()));
    const [row] = await server.query(
      'SELECT count(*)::int AS n FROM cloudless.log WHERE key IS NOT NULL',
      'test3',
    );
    assert.equal(row?.['n'], 3, 'k0, k1 and last are left');
    const late = new Receiver();
    other.watch({ key: bytes('k0'), startRevision: 3 }, late.receive);
    await late.until('the refusal', () => late.messages.length > 0);
    assert.deepEqual(plain(late.messages[0]), { type: 'canceled', compactRevision: revision });
    for (const store of stores) {
      const { kvs } = await store.range(everything);
      assert.deepEqual(
        kvs.map(({ key, value }) => [text(key), text(value)]),
        [
          ['k0', '27'],
          ['k1', '28'],
          ['last', '1'],
        ],
      );
    }
    const fourth = await openPostgresDatastore({ url: server.url('test3'), log: quiet });
    assert.deepEqual(plain(await fourth.range(everything)), plain(await one.range(everything)));
    await closeAll([...stores, fourth]);
  });
});

describe('what clients of three servers on PostgreSQL are told', () => {
  const histories = Number(process.env['ITERATIONS'] ?? 10);

  it(`is linearizable (SEED=${seed}, ${histories} histories)`, async (t) => {
    let operations = 0;
    for (let i = 0; i < histories; i++) {
      const stores = await openThree(await server.database(), i % 3 === 0 ? 0 : undefined);
      operations += await runHistory({ stores, next: random(seed + i) });
      await closeAll(stores);
    }
    t.diagnostic(`${operations} operations`);
  });
});

describe('leases with three servers', () => {
  it('are renewed through any of them, die when nobody renews them, and then everywhere', async () => {
    const stores = await openThree(await server.database());
    const [one, other, third] = stores;
    const kept = await one.leaseGrant(2);
    const left = await other.leaseGrant(2);
    await third.put({ key: bytes('kept'), value: bytes('1'), lease: kept.id });
    await third.put({ key: bytes('left'), value: bytes('1'), lease: left.id });
    const receiver = new Receiver();
    third.watch(everything, receiver.receive);
    const untilMs = performance.now() + 3000;
    for (let i = 0; performance.now() < untilMs; i++) {
      const { ttlSeconds } = await (stores[i % 3] as Datastore).leaseKeepAlive(kept.id);
      assert.equal(ttlSeconds, 2);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    await receiver.until('the expiry', () => receiver.events.length > 0);
    assert.deepEqual([receiver.events[0]?.type, text(receiver.events[0]?.kv.key)], ['delete', 'left']);
    for (const store of stores) {
      assert.deepEqual(await store.leaseLeases(), [kept.id]);
      const { ttlSeconds } = await store.leaseTimeToLive(kept.id);
      assert.ok(ttlSeconds >= 0 && ttlSeconds <= 2, `${ttlSeconds} s left`);
      assert.equal((await store.leaseKeepAlive(left.id)).ttlSeconds, 0);
      assert.equal((await store.leaseTimeToLive(left.id)).ttlSeconds, -1);
    }
    await closeAll(stores);
  });

  it('pass to another server when theirs answers nothing any more, which revokes nothing afterwards', async () => {
    const database = await server.database();
    await using proxy = await TcpProxy.start(() => server.port);
    const first = await openPostgresDatastore({
      url: database.replace(`:${server.port}/`, `:${proxy.port}/`),
      log: quiet,
    });
    const { id } = await first.leaseGrant(4);
    assert.equal((await first.leaseKeepAlive(id)).ttlSeconds, 4);
    const second = await openPostgresDatastore({ url: database, log: quiet });
    // To the database its connections still stand, and with them its lock.
    proxy.swallow();
    let renewed: number | undefined;
    for (const untilMs = performance.now() + 40_000; renewed === undefined && performance.now() < untilMs;) {
      renewed = await second.leaseKeepAlive(id).then(
        ({ ttlSeconds }) => ttlSeconds,
        () => undefined,
      );
    }
    assert.equal(renewed, 4, 'the second answers in the end, and the lease has not died meanwhile');
    proxy.heal();
    for (let i = 0; i < 12; i++) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      assert.equal((await second.leaseKeepAlive(id)).ttlSeconds, 4);
    }
    await closeAll([first, second]);
  });

  it('pass to another server when theirs ends, with their full time, and die there', async () => {
    const database = await server.database();
    const first = await openPostgresDatastore({ url: database, log: quiet });
    const { id } = await first.leaseGrant(2);
    await first.put({ key: bytes('a'), value: bytes('1'), lease: id });
    const second = await openPostgresDatastore({ url: database, log: quiet });
    assert.equal((await second.leaseKeepAlive(id)).ttlSeconds, 2);
    const receiver = new Receiver();
    second.watch(everything, receiver.receive);
    const renewedMs = performance.now();
    await first.close();
    assert.equal((await second.leaseKeepAlive(id)).ttlSeconds, 2, 'the next lessor answers');
    await receiver.until('the expiry', () => receiver.events.length > 0);
    const livedMs = performance.now() - renewedMs;
    assert.ok(livedMs >= 2000, `it lived ${livedMs} ms after a renewal`);
    await second.close();
  });
});
