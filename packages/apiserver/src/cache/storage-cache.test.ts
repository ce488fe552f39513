import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { type Clock, systemClock } from '@cloudless/kube/clock';
import { logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import { ObjectCodec } from '../storage/codec.ts';
import { keyBytes, resourceKeys } from '../storage/keys.ts';
import { MemoryStore } from '../testing/memory-store.ts';
import { StorageCache } from './storage-cache.ts';

const keys = resourceKeys('/registry', core.configmaps);
const codec = new ObjectCodec(
  core.configmaps,
  () => {},
  () => assert.fail('no protobuf here'),
);
const key = (name: string): Uint8Array => keyBytes(keys.of('ns', name));
const value = (name: string, data = ''): Uint8Array =>
  codec.encode({ metadata: { name, namespace: 'ns' }, data: { data } } as never);

/** Timers that pass a hundred times as fast. */
const fastClock: Clock = {
  ...systemClock,
  setTimeout: (callback, ms) => systemClock.setTimeout(callback, ms / 100),
};

describe('the cache of one resource', () => {
  let stop = new AbortController();
  afterEach(() => stop.abort());
  const start = (store: MemoryStore): StorageCache => {
    stop = new AbortController();
    return new StorageCache({
      store,
      keys,
      codec,
      clock: fastClock,
      log: logger('apiserver'),
      signal: stop.signal,
    });
  };
  const names = (cache: StorageCache): string[] => cache.entries.snapshot().map((entry) => entry.name);

  it('loads what is there, follows what changes, and is fresh when asked', async () => {
    const store = new MemoryStore();
    await store.put({ key: key('a'), value: value('a') });
    await store.put({ key: keyBytes('/registry/configmapsother/ns/x'), value: value('x') });
    const cache = start(store);
    await cache.ready;
    assert.deepEqual(names(cache), ['a']);
    await store.put({ key: key('b'), value: value('b') });
    await store.deleteRange({ key: key('a') });
    // A write elsewhere moves the store's revision, not this resource.
    await store.put({ key: keyBytes('/registry/pods/ns/x'), value: value('x') });
    await cache.fresh();
    assert.deepEqual(names(cache), ['b']);
    assert.equal(cache.revision, store.revision);
    assert.ok(cache.lastChange < cache.revision);
  });

  it('reports every change once, with the state before, across a broken watch', async () => {
    const store = new MemoryStore();
    await store.put({ key: key('a'), value: value('a', '0') });
    const cache = start(store);
    await cache.ready;
    const seen: string[] = [];
    cache.subscribe((changes) => {
      for (const { type, entry, old } of changes) {
        const data = (entry.object as unknown as { data: { data: string } }).data.data;
        seen.push(`${type} ${entry.name} ${data} after ${old?.revision ?? '-'}`);
      }
    });
    const { revision: first } = cache;
    await store.put({ key: key('a'), value: value('a', '1') });
    await cache.fresh();
    store.breakWatches();
    await store.put({ key: key('a'), value: value('a', '2') });
    await store.deleteRange({ key: key('a') });
    await cache.fresh();
    assert.deepEqual(seen, [
      `modified a 1 after ${first}`,
      `modified a 2 after ${first + 1}`,
      `deleted a 2 after ${first + 2}`,
    ]);
  });

  it('loads anew when the history it needs is compacted, and tells the difference', async () => {
    const store = new MemoryStore();
    for (const name of ['kept', 'changed', 'gone']) await store.put({ key: key(name), value: value(name) });
    const cache = start(store);
    await cache.ready;
    const seen: string[] = [];
    cache.subscribe((changes) => changes.forEach(({ type, entry }) => seen.push(`${type} ${entry.name}`)));
    store.breakWatches();
    await store.put({ key: key('changed'), value: value('changed', 'x') });
    await store.put({ key: key('new'), value: value('new') });
    await store.deleteRange({ key: key('gone') });
    await store.put({ key: key('new'), value: value('new', 'y') });
    await store.compact(store.revision);
    await cache.fresh();
    assert.deepEqual(seen.sort(), ['added new', 'deleted gone', 'modified changed']);
    assert.deepEqual(names(cache), ['changed', 'kept', 'new']);
    assert.equal(cache.history.completeFrom, cache.revision);
  });

  it('shares the object of a write of its own process', async () => {
    const store = new MemoryStore();
    const cache = start(store);
    await cache.ready;
    const object = Object.freeze({
      kind: 'ConfigMap',
      metadata: Object.freeze({ name: 'mine', namespace: 'ns' }),
      data: Object.freeze({ x: 'y' }),
    });
    const bytes = codec.encode(object);
    cache.expect(keys.of('ns', 'mine'), bytes, object);
    await store.put({ key: key('mine'), value: bytes });
    await cache.fresh();
    const shown = cache.get('ns', 'mine')?.object as unknown as typeof object;
    assert.equal(shown.data, object.data);
    assert.equal((shown.metadata as { resourceVersion?: string }).resourceVersion, String(store.revision));
    // Somebody else's value under the same key is not mistaken for it.
    cache.expect(keys.of('ns', 'mine'), bytes, object);
    await store.put({ key: key('mine'), value: value('mine', 'theirs') });
    await cache.fresh();
    const theirs = cache.get('ns', 'mine')?.object as { data?: object } | undefined;
    assert.deepEqual(theirs?.data, { data: 'theirs' });
  });

  it('refuses to wait for a revision that does not come', async () => {
    const store = new MemoryStore();
    const cache = start(store);
    await assert.rejects(cache.reach(1_000), (error) => {
      assert.ok(error instanceof StatusError);
      assert.equal(error.code, 504);
      assert.equal(error.details?.causes?.[0]?.reason, 'ResourceVersionTooLarge');
      return true;
    });
  });

  it('waits for a store that is away at the start', async () => {
    const store = new MemoryStore();
    store.failure = new Error('away');
    const cache = start(store);
    store.failure = undefined;
    await cache.ready;
    assert.equal(cache.revision, store.revision);
  });
});
