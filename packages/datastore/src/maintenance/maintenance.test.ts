import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connectEtcd, type EtcdConnection } from '@cloudless/kube/etcd/client/client';
import { EtcdError, etcdErrors } from '@cloudless/kube/etcd/store';
import { logger } from '@cloudless/kube/logger';
import type { Datastore } from '../datastore.ts';
import { openDatastore } from '../index.ts';
import { type DatastoreServer, serveDatastore } from '../server/serve.ts';
import { crc32c } from './crc32c.ts';

const log = logger('maintenance-test').child({}, { level: 'silent' });
const bytes = (text: string): Uint8Array => Buffer.from(text);
const key = (i: number): Uint8Array => bytes(`/k/${String(i).padStart(5, '0')}`);
const all = { key: bytes('/k/'), rangeEnd: bytes('/k0') };

describe('the checksum', () => {
  it("is Castagnoli's (RFC 3720, B.4)", () => {
    assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
    assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
    assert.equal(crc32c(bytes('123456789')), 0xe3069283);
  });

  it('goes on where it ended', () => {
    const whole = Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 7919) & 0xff));
    for (const at of [0, 1, 7, 8, 9, 150, 299]) {
      assert.equal(crc32c(whole.subarray(at), crc32c(whole.subarray(0, at))), crc32c(whole));
    }
  });
});

describe('looking after a store, over gRPC', () => {
  const quotaBytes = 2 * 1024 * 1024;
  let folder: string;
  let engine: Datastore;
  let server: DatastoreServer;
  let client: EtcdConnection;
  const open = async (): Promise<void> => {
    engine = await openDatastore({ path: join(folder, 'state.db'), log, quotaBytes });
    server = await serveDatastore({ store: engine, listen: { host: '127.0.0.1', port: 0 }, log });
    client = await connectEtcd({ endpoints: [server.url], log });
  };
  const shut = async (): Promise<void> => {
    await client.close();
    await server.stop();
    await engine.close();
  };
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'datastore-maintenance-'));
    await open();
  });
  after(async () => {
    await shut();
    rmSync(folder, { recursive: true });
  });

  it('refuses what grows the store at its quota, until the alarm is taken back, a restart between', async () => {
    const value = new Uint8Array(64 * 1024).fill(0x61);
    let written = 0;
    await assert.rejects(async () => {
      for (; written < 1000; written++) await client.put({ key: key(written % 8), value });
    }, etcdErrors.noSpace());
    assert.ok(written * value.length > quotaBytes / 2, `${written} values were written`);
    assert.equal((await engine.status()).dbSizeInUseBytes < quotaBytes, true);
    const alarms = await client.alarms();
    assert.deepEqual(
      alarms.map(({ alarm }) => alarm),
      ['nospace'],
    );
    await shut();
    await open();
    assert.deepEqual(await client.alarms(), alarms);
    const small = { key: key(1), value: bytes('1') };
    await assert.rejects(client.put(small), etcdErrors.noSpace());
    await assert.rejects(client.leaseGrant(10), etcdErrors.noSpace());
    await assert.rejects(
      client.txn({ compare: [], success: [], failure: [{ put: small }] }),
      etcdErrors.noSpace(),
    );
    // Reads, deletions and compactions go on.
    assert.equal((await client.range({ ...all, countOnly: true })).count, 8);
    assert.equal((await client.deleteRange({ ...all, key: key(1) })).deleted, 7);
    await client.compact((await client.status()).revision);
    await client.defragment();
    assert.ok((await client.status()).dbSizeBytes < quotaBytes / 2);
    assert.deepEqual(await client.deactivateAlarm('nospace'), []);
    await client.put(small);
  });

  it('changes nothing while it is said to be corrupt', async () => {
    assert.deepEqual(
      (await client.activateAlarm('corrupt')).map(({ alarm }) => alarm),
      ['corrupt'],
    );
    const refusal = new EtcdError(15, 'etcdserver: corrupt cluster');
    await assert.rejects(client.put({ key: key(1), value: bytes('2') }), refusal);
    await assert.rejects(client.deleteRange({ key: key(1) }), refusal);
    await assert.rejects(client.compact((await client.status()).revision), refusal);
    assert.equal((await client.range({ key: key(1) })).count, 1);
    await client.deactivateAlarm('corrupt');
    await client.put({ key: key(1), value: bytes('2') });
  });

  it('gives two stores of one history one hash, and others another', async () => {
    const before = await client.hashKv(0);
    assert.deepEqual(await engine.hashKv(before.revision), before);
    await client.put({ key: key(2), value: bytes('x') });
    assert.notEqual((await client.hashKv(0)).hash, before.hash);
    assert.equal((await client.hashKv(before.revision)).hash, before.hash);
    const { hash } = await client.hash();
    const { id } = await client.leaseGrant(60);
    assert.notEqual((await client.hash()).hash, hash);
    await client.leaseRevoke(id);
    assert.equal((await client.hash()).hash, hash);
    await assert.rejects(client.hashKv(before.revision + 100), etcdErrors.futureRevision());
    await assert.rejects(client.hashKv(1), etcdErrors.compacted());
  });

  it('streams a snapshot that ends with its checksum', async () => {
    const pieces: Uint8Array[] = [];
    for await (const piece of client.snapshot()) pieces.push(piece);
    const whole = Buffer.concat(pieces);
    assert.equal(whole.length % 512, 32);
    const digest = createHash('sha256').update(whole.subarray(0, -32)).digest();
    assert.deepEqual(whole.subarray(-32), digest);
  });
});
