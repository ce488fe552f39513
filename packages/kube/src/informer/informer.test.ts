import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { core } from '../generated/resources.ts';
import type { ConfigMap, Pod } from '../generated/types/core-v1.ts';
import type { KubeObject } from '../object.ts';
import type { Logger } from '../logger.ts';
import { errors } from '../status.ts';
import { FakeCluster } from '../testing/fake-client.ts';
import { type Informer, startInformer } from './informer.ts';

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const iterations = Number(process.env['ITERATIONS'] ?? 10);

function random(from: number): () => number {
  let state = from >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const map = (name: string, namespace = 'n'): ConfigMap => ({ metadata: { name, namespace } });

async function using<T extends KubeObject>(
  informer: Informer<T>,
  run: (informer: Informer<T>) => Promise<void>,
): Promise<void> {
  try {
    await run(informer);
  } finally {
    await informer.stop();
  }
}

describe('informer', () => {
  for (const watchList of [true, false]) {
    it(`lists, then follows changes, ${watchList ? 'streaming the list' : 'where lists cannot be streamed'}`, async () => {
      const cluster = new FakeCluster();
      cluster.watchList = watchList;
      cluster.seed(core.configmaps, map('a'), map('b'));
      const seen: string[] = [];
      await using(startInformer({ client: cluster.client, resource: core.configmaps }), async (informer) => {
        informer.addHandler({
          add: (object, initial) => seen.push(`add ${object.metadata.name}${initial ? ' (initial)' : ''}`),
          update: (object, old) => seen.push(`update ${old.data?.['k']} to ${object.data?.['k']}`),
          delete: (object) => seen.push(`delete ${object.metadata.name}`),
        });
        assert.equal(informer.hasSynced, false);
        await informer.synced;
        await cluster.client.create(core.configmaps, map('c'));
        await cluster.client.patch(core.configmaps, 'c', 'merge', { data: { k: 'v' } }, { namespace: 'n' });
        await cluster.client.delete(core.configmaps, 'a', { namespace: 'n' });
        await cluster.until(() => seen.length === 5, 'five calls');
        assert.deepEqual(seen, [
          'add a (initial)',
          'add b (initial)',
          'add c',
          'update undefined to v',
          'delete a',
        ]);
        const late: string[] = [];
        informer.addHandler({ add: (object) => late.push(object.metadata.name ?? '') });
        assert.deepEqual(late, ['b', 'c']);
        assert.equal(cluster.calls.filter((call) => call.verb === 'list').length, watchList ? 0 : 1);
      });
    });
  }

  it('goes on from the last version when a watch breaks, without listing again', async () => {
    const cluster = new FakeCluster();
    cluster.seed(core.configmaps, map('a'));
    await using(startInformer({ client: cluster.client, resource: core.configmaps }), async (informer) => {
      await informer.synced;
      const seen: string[] = [];
      informer.addHandler({ add: (object) => seen.push(object.metadata.name ?? '') });
      cluster.breakWatches();
      cluster.seed(core.configmaps, map('b'));
      await cluster.until(() => seen.includes('b'));
      assert.deepEqual(seen, ['a', 'b']);
      const watches = cluster.calls.filter((call) => call.verb === 'watch');
      assert.equal(
        watches.filter((call) => (call.body as { sendInitialEvents?: boolean }).sendInitialEvents).length,
        1,
      );
    });
  });

  it('after 410 it tells of what came, changed and went meanwhile, once each', async () => {
    const cluster = new FakeCluster();
    const [same] = cluster.seed(core.configmaps, map('same'), map('changed'), map('gone'), map('anew'));
    await using(startInformer({ client: cluster.client, resource: core.configmaps }), async (informer) => {
      await informer.synced;
      const seen: string[] = [];
      const name = (object: ConfigMap): string => object.metadata.name ?? '';
      let blocked = true;
      cluster.intercept((call) =>
        call.verb === 'watch' && blocked ? errors.unavailable('restarting') : undefined,
      );
      cluster.breakWatches();
      cluster.remove(core.configmaps, 'gone', 'n');
      cluster.remove(core.configmaps, 'anew', 'n');
      cluster.seed(core.configmaps, map('anew'), map('new'));
      cluster.change(core.configmaps, 'changed', 'n', (object) => (object.data = { k: 'v' }));
      cluster.compact();
      informer.addHandler({
        add: (object, initial) => initial || seen.push(`add ${name(object)}`),
        update: (object) => seen.push(`update ${name(object)}`),
        delete: (object) => seen.push(`delete ${name(object)}`),
      });
      blocked = false;
      await cluster.until(() => seen.length >= 5);
      assert.deepEqual(seen.sort(), ['add anew', 'add new', 'delete anew', 'delete gone', 'update changed']);
      assert.equal(informer.store.get('n/same'), same);
    });
  });

  it('finds objects by index as they move between values', async () => {
    const cluster = new FakeCluster();
    const pod = (name: string, nodeName?: string): Pod => ({
      metadata: { name, namespace: 'n' },
      spec: { containers: [], ...(nodeName ? { nodeName } : {}) },
    });
    cluster.seed(core.pods, pod('a'), pod('b', 'one'));
    const indexers = { node: (object: Pod) => (object.spec?.nodeName ? [object.spec.nodeName] : []) };
    await using(
      startInformer({ client: cluster.client, resource: core.pods, indexers }),
      async (informer) => {
        await informer.synced;
        const names = (node: string): Array<string | undefined> =>
          informer.store.byIndex('node', node).map((object) => object.metadata.name);
        assert.deepEqual(names('one'), ['b']);
        await cluster.client.createSubresource(
          core.pods,
          'a',
          'binding',
          { target: { name: 'one' } },
          { namespace: 'n' },
        );
        await cluster.until(() => names('one').length === 2);
        cluster.remove(core.pods, 'b', 'n');
        await cluster.until(() => names('one').length === 1);
        assert.deepEqual(names('two'), []);
        assert.throws(() => informer.store.byIndex('other', 'x'), /there is no index "other"/);
      },
    );
  });

  it('objects that cease to match its selector are deleted for it', async () => {
    const cluster = new FakeCluster();
    cluster.seed(core.configmaps, { metadata: { name: 'a', namespace: 'n', labels: { app: 'web' } } });
    await using(
      startInformer({ client: cluster.client, resource: core.configmaps, labelSelector: 'app=web' }),
      async (informer) => {
        await informer.synced;
        cluster.change(core.configmaps, 'a', 'n', (object) => (object.metadata.labels = { app: 'db' }));
        await cluster.until(() => informer.store.size === 0);
      },
    );
  });

  it('a handler that throws harms no other', async () => {
    const cluster = new FakeCluster();
    cluster.seed(core.configmaps, map('a'));
    await using(startInformer({ client: cluster.client, resource: core.configmaps }), async (informer) => {
      const seen: string[] = [];
      informer.addHandler({
        add: () => {
          throw new Error('broken');
        },
      });
      informer.addHandler({ add: (object) => seen.push(object.metadata.name ?? '') });
      await informer.synced;
      assert.deepEqual(seen, ['a']);
    });
  });

  it('stopping before the first list rejects synced', async () => {
    const cluster = new FakeCluster();
    cluster.intercept(() => errors.unavailable('down'));
    const informer = startInformer({ client: cluster.client, resource: core.configmaps });
    await informer.stop();
    await assert.rejects(informer.synced, /stopped before the first list of configmaps/);
  });

  it(`never misses nor doubles a change under breaks, faults and compaction (SEED=${seed})`, async () => {
    for (let i = 0; i < iterations; i++) {
      // oxlint-disable-next-line no-await-in-loop -- one run after another
      await chaos(random(seed + i), i);
    }
  });
});

/** Random changes while watches break, calls fail and history is compacted; then the copy must be the truth. */
async function chaos(next: () => number, run: number): Promise<void> {
  const cluster = new FakeCluster();
  cluster.watchList = next() < 0.5;
  cluster.intercept((call) =>
    call.verb !== 'create' && next() < 0.1 ? errors.unavailable('fault') : undefined,
  );
  const failures: unknown[] = [];
  const log = {
    error: (fields: object) => failures.push((fields as { err: unknown }).err),
    warn: () => undefined,
    debug: () => undefined,
  } as unknown as Logger;
  const indexers = { k: (object: ConfigMap) => [object.data?.['k'] ?? ''] };
  await using(
    startInformer({ client: cluster.client, resource: core.configmaps, indexers, log }),
    async (informer) => {
      // What handlers were told, replayed: must at each step be consistent, and in the end be the truth.
      const told = new Map<string, string>();
      const id = (object: ConfigMap): string => `${object.metadata.uid}`;
      informer.addHandler({
        add: (object) => {
          assert.ok(!told.has(id(object)), 'added twice');
          told.set(id(object), object.metadata.resourceVersion ?? '');
        },
        update: (object, old) => {
          assert.equal(told.get(id(object)), old.metadata.resourceVersion, 'an update from another state');
          assert.ok(
            Number(object.metadata.resourceVersion) > Number(old.metadata.resourceVersion),
            'went back',
          );
          told.set(id(object), object.metadata.resourceVersion ?? '');
        },
        delete: (object) => assert.ok(told.delete(id(object)), 'deleted what was not there'),
      });
      for (let step = 0; step < 200; step++) {
        const name = `m${Math.floor(next() * 10)}`;
        const dice = next();
        const there = cluster.object(core.configmaps, name, 'n');
        if (!there) cluster.seed(core.configmaps, map(name));
        else if (dice < 0.3) cluster.remove(core.configmaps, name, 'n');
        else cluster.change(core.configmaps, name, 'n', (object) => (object.data = { k: String(step % 5) }));
        if (next() < 0.05) cluster.breakWatches();
        if (next() < 0.05) cluster.compact();
        // oxlint-disable-next-line no-await-in-loop -- lets the informer in between
        if (next() < 0.3) await new Promise((resolve) => setImmediate(resolve));
      }
      const truth = (): string => JSON.stringify(cluster.objects(core.configmaps));
      const copy = (): string =>
        JSON.stringify(
          informer.store.list().sort((a, b) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1)),
        );
      await cluster.until(() => truth() === copy(), `run ${run}: the copy to be the truth`, 20_000);
      assert.deepEqual(failures, []);
      assert.equal(told.size, informer.store.size);
      const indexed = ['', '0', '1', '2', '3', '4'].flatMap((value) => informer.store.byIndex('k', value));
      assert.equal(indexed.length, informer.store.size);
    },
  );
}
