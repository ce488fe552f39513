import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import { plain, Receiver } from '@cloudless/kube/etcd/compliance';
import { EtcdError } from '@cloudless/kube/etcd/store';
import { type Datastore, openDatastore } from './index.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const everything = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) };

describe('a datastore that is opened again', () => {
  let folder = '';
  let path = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'datastore-restart-'));
    path = join(folder, 'state.db');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const reopened = async (store: Datastore): Promise<Datastore> => {
    await store.close();
    return openDatastore({ path });
  };

  it('has the same keys, versions and history', async () => {
    let store = await openDatastore({ path });
    for (let i = 0; i < 30; i++) await store.put({ key: bytes(`k${i % 4}`), value: bytes(String(i)) });
    await store.deleteRange({ key: bytes('k2') });
    await store.txn({
      compare: [],
      success: ['x', 'y'].map((name) => ({ put: { key: bytes(name), value: bytes('1') } })),
      failure: [],
    });
    const before = plain(await store.range(everything));
    const past = plain(await store.range({ ...everything, revision: 12 }));
    store = await reopened(store);
    assert.deepEqual(plain(await store.range(everything)), before);
    assert.deepEqual(plain(await store.range({ ...everything, revision: 12 })), past);
    const receiver = new Receiver();
    store.watch({ ...everything, startRevision: 2, prevKv: true }, receiver.receive);
    await receiver.until('all of history', () => receiver.events.length === 33);
    assert.equal(receiver.events.filter(({ prevKv }) => prevKv !== undefined).length, 27);
    const { revision } = await store.put({ key: bytes('z'), value: bytes('1') });
    assert.equal(revision, 34);
    await store.close();
  });

  it('has forgotten what was compacted and gives its space back, even when killed in between', async () => {
    let store = await openDatastore({ path, reservePages: 8 });
    const value = new Uint8Array(4000);
    for (let i = 0; i < 600; i++) await store.put({ key: bytes(`k${i % 10}`), value });
    await store.deleteRange({ key: bytes('k3') });
    await store.put({ key: bytes('last'), value });
    const { revision } = await store.status();
    await store.compact(revision);
    // Closing stops the removal wherever it is; the next start goes on.
    await store.close();
    store = await openDatastore({ path, reservePages: 8 });
    await store.compacted();
    assert.equal((await store.range({ ...everything, countOnly: true })).count, 10);
    await assert.rejects(store.range({ ...everything, revision: revision - 1 }), EtcdError);
    assert.equal((await store.status()).compactRevision, revision);
    store = await reopened(store);
    const { dbSizeBytes } = await store.status();
    assert.ok(dbSizeBytes < 200_000, `${dbSizeBytes} bytes left of about 2,500,000`);
    assert.equal((await store.range({ ...everything, countOnly: true })).count, 10);
    await store.close();
  });

  it('gives leases their full time again, with their keys', async () => {
    const clock = new FakeClock();
    let store = await openDatastore({ path, clock });
    const { id } = await store.leaseGrant(100, 0x7fff_ffff_ffff_fff1n);
    await store.put({ key: bytes('a'), value: bytes('1'), lease: id });
    const gone = await store.leaseGrant(100);
    await store.leaseRevoke(gone.id);
    clock.advance(60_000);
    assert.equal((await store.leaseTimeToLive(id)).ttlSeconds, 40);
    await store.close();
    assert.equal(clock.pendingTimers, 0);
    store = await openDatastore({ path, clock });
    assert.deepEqual(await store.leaseLeases(), [id]);
    const status = await store.leaseTimeToLive(id, true);
    assert.deepEqual([status.ttlSeconds, status.keys.map(String)], [100, [bytes('a')].map(String)]);
    const receiver = new Receiver();
    store.watch(everything, receiver.receive);
    clock.advance(99_000);
    assert.equal((await store.range(everything)).count, 1);
    clock.advance(1_000);
    await receiver.until('the expiry', () => receiver.events.length === 1);
    assert.equal(receiver.events[0]?.type, 'delete');
    assert.deepEqual(await store.leaseLeases(), []);
    await store.close();
    assert.equal(clock.pendingTimers, 0);
  });

  it('answers nothing after it is closed, and ends its watches', async () => {
    const store = await openDatastore({ path });
    const receiver = new Receiver();
    store.watch(everything, receiver.receive);
    const last = store.put({ key: bytes('a'), value: bytes('1') });
    await Promise.all([store.close(), store.close()]);
    assert.equal((await last).revision, 2, 'what was asked before is done');
    await assert.rejects(store.put({ key: bytes('a'), value: bytes('1') }), /server stopped/);
    await assert.rejects(store.range({ key: bytes('a') }), /server stopped/);
    assert.equal(receiver.messages.at(-1)?.type, 'canceled');
  });

  it('acknowledges nothing once a flush failed, and says so to its owner', async () => {
    let broken = false;
    const store = await openDatastore({
      path,
      flush: () => (broken ? Promise.reject(new Error('EIO: i/o error, fdatasync')) : Promise.resolve()),
    });
    await store.put({ key: bytes('a'), value: bytes('1') });
    const receiver = new Receiver();
    store.watch(everything, receiver.receive);
    broken = true;
    const write = store.put({ key: bytes('a'), value: bytes('2') });
    await assert.rejects(write, /failed and stopped: EIO/);
    assert.match(String(await store.failed), /state\.db failed and stopped: EIO.*check the disk/);
    await assert.rejects(store.range({ key: bytes('a') }), /failed and stopped/);
    assert.deepEqual(receiver.events, [], 'what is not durable is not seen');
    await store.close();
  });

  it('shows nothing before it is durable', async () => {
    let release: () => void = () => undefined;
    let held: Promise<void> = Promise.resolve();
    const store = await openDatastore({ path, flush: () => held });
    await store.put({ key: bytes('a'), value: bytes('1') });
    const receiver = new Receiver();
    store.watch(everything, receiver.receive);
    held = new Promise((resolve) => {
      release = resolve;
    });
    const write = store.put({ key: bytes('a'), value: bytes('2') });
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
    const { kvs, revision } = await store.range({ key: bytes('a') });
    assert.deepEqual([Buffer.from(kvs[0]?.value ?? []).toString(), revision], ['1', 2]);
    assert.deepEqual(receiver.messages, []);
    release();
    await write;
    assert.equal((await store.range({ key: bytes('a') })).revision, 3);
    await receiver.until('the event', () => receiver.events.length === 1);
    await store.close();
  });
});
