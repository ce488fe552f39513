import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { WatchMessage } from '@cloudless/kube/etcd/store';
import { openDatastore } from '../index.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const prefix = { key: Buffer.from('k'), rangeEnd: Buffer.from('l') };
const valueBytes = 4000;

function residentBytes(): number {
  collectGarbage();
  const { arrayBuffers, heapUsed } = process.memoryUsage();
  return arrayBuffers + heapUsed;
}

describe('a watch whose receiver is slow', () => {
  it('holds up no writer, queues nothing, and gets each of thousands of events once and in order', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'datastore-slow-'));
    try {
      const cacheBytes = 256 * 1024;
      await using store = await openDatastore({ path: join(folder, 'state.db'), cacheBytes });
      const { promise, resolve } = Promise.withResolvers<void>();
      const revisions: number[] = [];
      let largest = 0;
      let inside = 0;
      const watch = store.watch({ ...prefix, startRevision: 2 }, (message: WatchMessage) => {
        if (message.type !== 'events') return undefined;
        assert.equal(inside++, 0, 'no message while the last one is worked on');
        let bytes = 0;
        for (const { kv } of message.events) {
          revisions.push(kv.modRevision);
          bytes += kv.value.byteLength;
        }
        largest = Math.max(largest, bytes);
        return promise.then(() => void inside--);
      });
      await watch.created;
      await store.put({ key: Buffer.from('k'), value: new Uint8Array(valueBytes) });
      const before = residentBytes();
      const writes = 5000;
      await Promise.all(
        Array.from({ length: 50 }, async (_, client) => {
          for (let i = 0; i < writes / 50; i++) {
            await store.put({ key: Buffer.from(`k${client}`), value: new Uint8Array(valueBytes).fill(i) });
          }
        }),
      );
      assert.equal(revisions.length, 1, 'it still works on its first event');
      assert.equal(store.figures().behind, 1);
      const grown = residentBytes() - before;
      // 20 MB of values were written; what stays is the cache and the index of 5,000 versions.
      assert.ok(grown < cacheBytes + 6_000_000, `${grown} bytes are kept for it`);
      resolve();
      const deadline = Date.now() + 20_000;
      while (revisions.length <= writes && Date.now() < deadline) {
        await new Promise((next) => setTimeout(next, 5));
      }
      assert.deepEqual(
        revisions,
        Array.from({ length: writes + 1 }, (_, i) => i + 2),
      );
      assert.ok(largest <= 1024 * 1024 + valueBytes, `a message of ${largest} bytes`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('is told when a compaction overtakes it, at the revision where it would have gone on', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'datastore-slow-'));
    try {
      await using store = await openDatastore({ path: join(folder, 'state.db') });
      const { promise, resolve } = Promise.withResolvers<void>();
      const messages: WatchMessage[] = [];
      store.watch(prefix, (message) => {
        messages.push(message);
        return messages.length === 1 ? promise : undefined;
      });
      for (let i = 0; i < 100; i++) await store.put({ key: prefix.key, value: Buffer.from(String(i)) });
      await store.compact(90);
      resolve();
      const deadline = Date.now() + 10_000;
      while (messages.length < 2 && Date.now() < deadline) await new Promise((next) => setTimeout(next, 2));
      assert.equal(messages[0]?.type, 'events');
      assert.deepEqual(
        messages.slice(1).map((message) => ({ ...message })),
        [{ type: 'canceled', compactRevision: 90 }],
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
