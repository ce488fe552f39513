import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import { logger } from '@cloudless/kube/logger';
import { type Datastore, openDatastore, startEngine } from '../index.ts';
import { openMemoryDatastore } from '../memory.ts';
import { random } from '@cloudless/kube/testing/random';
import { SharedLog } from '../testing/shared-log.ts';
import { openSnapshot } from './etcd-reader.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'engine-snapshot-'));
});
after(() => rm(folder, { recursive: true }));

const log = logger('test').child({}, { level: 'silent' });
const stores: Array<[string, () => Promise<Datastore>]> = [
  ['memory', () => openMemoryDatastore({ log })],
  ['SQLite', () => openDatastore({ path: join(folder, 'sqlite', 'state.db'), log, cacheBytes: 1 })],
  [
    'a log of several writers',
    () => startEngine({ name: 'shared', log: new SharedLog().connect(), logger: log, cacheBytes: 1 }),
  ],
];

const everything = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) };

/** Puts, deletions, leases and compactions, at random. */
async function write(store: Datastore, count: number, seed: number): Promise<void> {
  const next = random(seed);
  const lease = await store.leaseGrant(3600);
  for (let i = 0; i < count; i++) {
    const key = Buffer.from(`/k/${Math.floor(next() * 40)}`);
    if (next() < 0.2) await store.deleteRange({ key });
    else
      await store.put({
        key,
        value: Buffer.alloc(Math.floor(next() * 3000), i),
        lease: next() < 0.2 ? lease.id : 0n,
      });
    if (next() < 0.02) {
      const { revision, compactRevision } = await store.status();
      const at = compactRevision + Math.floor((revision - compactRevision) * next());
      if (at > compactRevision) await store.compact(at);
    }
  }
}

describe('the snapshot of a store', () => {
  for (const [what, open] of stores) {
    test(`in ${what} is the store of one instant, while writes and compactions go on`, async () => {
      await using store = await open();
      const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
      console.log(`SEED=${seed}`);
      await write(store, 300, seed);
      const { revision, compactRevision } = await store.status();
      const wanted = await store.range(everything);
      const leases = await store.leaseLeases();
      const path = join(folder, 'engine.db');
      const stream = store.snapshot();
      const first = await stream.next();
      const writing = write(store, 200, seed + 1).then(async () => {
        await store.compact((await store.status()).revision);
      });
      async function* rest(): AsyncGenerator<Uint8Array> {
        yield first.value as Uint8Array;
        await writing;
        yield* stream;
      }
      await writeFile(path, rest());
      const read = await openSnapshot(path);
      assert.equal(read.revision, revision);
      assert.equal(read.compactRevision, compactRevision);
      assert.deepEqual(new Set(read.leases.map(({ id }) => id)), new Set(leases));
      const state = new Map<string, unknown>();
      for await (const piece of read.records()) {
        for (const { key, value, createRevision, version, revision: modRevision, lease } of piece) {
          const name = Buffer.from(key).toString();
          if (value === undefined) state.delete(name);
          else
            state.set(name, {
              value: Buffer.from(value).toString('hex'),
              createRevision,
              modRevision,
              version,
              lease,
            });
        }
      }
      await read.close();
      const expected = wanted.kvs.map(({ key, value, ...kv }) => [
        Buffer.from(key).toString(),
        { value: Buffer.from(value).toString('hex'), ...kv },
      ]);
      assert.deepEqual(state, new Map(expected as Array<[string, unknown]>));
    });
  }

  test('gives space back once it ends, not before', async () => {
    await using store = await openDatastore({ path: join(folder, 'hold', 'state.db'), log });
    for (let i = 0; i < 50; i++) await store.put({ key: Buffer.from('k'), value: Buffer.alloc(100, i) });
    const stream = store.snapshot();
    await stream.next();
    await store.compact(51);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(store.figures().log.rowsRemoved, 0);
    for await (const _ of stream);
    await store.compacted();
    assert.equal(store.figures().log.rowsRemoved, 49);
  });

  test('that nobody takes is given up, and says so', async () => {
    const clock = new FakeClock();
    await using store = await startEngine({
      name: 'slow',
      log: new SharedLog().connect(),
      logger: log,
      clock,
    });
    await store.put({ key: Buffer.from('k'), value: Buffer.from('v') });
    const stream = store.snapshot();
    await stream.next();
    clock.advance(61_000);
    assert.equal(clock.pendingTimers, 0, 'no timer waits for whoever never asks again');
    await assert.rejects(stream.next(), /given up, because its receiver took nothing for 60 s/);
  });

  test('holds the event loop for a few milliseconds at a time', async () => {
    await using store = await openDatastore({ path: join(folder, 'many', 'state.db'), log });
    const value = Buffer.alloc(200);
    await Promise.all(
      Array.from({ length: 15_000 }, (_, i) => store.put({ key: Buffer.from(`/k/${i % 10_000}`), value })),
    );
    await store.compact(12_500);
    await store.compacted();
    // Of processor time: on a machine under load a turn takes as long as the others let it.
    let longestMs = 0;
    let last = process.threadCpuUsage();
    const turn = (): void => {
      const { user, system } = process.threadCpuUsage(last);
      longestMs = Math.max(longestMs, (user + system) / 1000);
      last = process.threadCpuUsage();
      next = setImmediate(turn);
    };
    let next = setImmediate(turn);
    let bytes = 0;
    for await (const piece of store.snapshot()) bytes += piece.length;
    clearImmediate(next);
    console.log(`${(bytes / 1e6).toFixed(1)} MB, longest turn ${longestMs.toFixed(1)} ms of processor time`);
    assert.ok(bytes > 12_500 * 200);
    assert.ok(longestMs < 60, `${longestMs} ms`);
  });
});
