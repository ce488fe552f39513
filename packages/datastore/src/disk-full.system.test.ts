import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { EtcdError, etcdErrors } from '@cloudless/kube/etcd/store';
import { type Datastore, NoSpaceError, openDatastore } from './index.ts';
import { makeFileSystem, mount } from './testing/loop-device.ts';

const keyOf = (i: number): Uint8Array => Buffer.from(`/k/${String(i).padStart(6, '0')}`);
const value = new Uint8Array(20_000).fill(97);

/** Writes until the disk is full; returns how many writes were acknowledged and the refusal. */
async function fill(store: Datastore, first: number): Promise<{ written: number; refusal: EtcdError }> {
  for (let i = first; ; i++) {
    try {
      await store.put({ key: keyOf(i), value });
    } catch (error) {
      assert.ok(error instanceof EtcdError);
      return { written: i, refusal: error };
    }
  }
}

async function verify(store: Datastore, count: number): Promise<void> {
  const { kvs } = await store.range({ key: Buffer.from('/k/'), rangeEnd: Buffer.from('/k0') });
  assert.equal(kvs.length, count);
  assert.ok(kvs.every((kv) => kv.value.length === value.length));
}

describe('the datastore on a full disk', () => {
  it("refuses writes in etcd's words, goes on reading, and recovers when there is space", async () => {
    const folder = mkdtempSync(join(tmpdir(), 'datastore-full-'));
    try {
      makeFileSystem(join(folder, 'device'), 24);
      using _mounted = mount(join(folder, 'device'), join(folder, 'd'));
      const path = join(folder, 'd', 'state.db');
      const ballast = join(folder, 'd', 'ballast');
      writeFileSync(ballast, new Uint8Array(8 * 1024 * 1024));
      let written: number;
      {
        await using store = await openDatastore({ path, cacheBytes: 0, checkpointBytes: 1024 * 1024 });
        const full = await fill(store, 0);
        assert.equal(full.refusal.code, etcdErrors.noSpace().code);
        assert.equal(full.refusal.message, etcdErrors.noSpace().message);
        assert.ok(full.refusal.cause instanceof NoSpaceError);
        assert.match(full.refusal.cause.message, /no space left on the device for the datastore .*state\.db/);
        assert.ok(statfsSync(join(folder, 'd')).bavail < 200, 'the disk really is full');
        written = full.written;
        await verify(store, written);
        await assert.rejects(store.put({ key: keyOf(written), value }), EtcdError);
        const { succeeded } = await store.txn({
          compare: [{ key: keyOf(0), target: 'version', result: 'equal', operand: 0 }],
          success: [{ put: { key: keyOf(0), value } }],
          failure: [{ range: { key: keyOf(0) } }],
        });
        assert.equal(succeeded, false, 'a transaction that writes nothing is answered');
        rmSync(ballast);
        const more = await fill(store, written);
        assert.ok(more.written > written + 50, `${more.written - written} writes after space came back`);
        written = more.written;
        await verify(store, written);
      }
      await using store = await openDatastore({ path });
      await verify(store, written);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
