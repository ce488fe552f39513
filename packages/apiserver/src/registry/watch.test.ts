import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { core } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import type { KubeClient } from '@cloudless/kube/client/client';
import type { KubeObject } from '@cloudless/kube/object';
import { MemoryStore } from '../testing/memory-store.ts';
import { startTestServer, type TestServer } from '../testing/test-server.ts';

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const numRuns = Number(process.env['ITERATIONS'] ?? 30);
const user = { name: 'admin', groups: ['system:masters'] };
const labels = 'pick=yes';

/** One change of one of a few objects. */
const step = fc.record({
  name: fc.constantFrom('a', 'b', 'c'),
  action: fc.constantFrom('pick', 'drop', 'delete', 'pause', 'break', 'note'),
});

describe(`watches (seed ${seed})`, () => {
  let test: TestServer;
  let store: MemoryStore;
  let client: KubeClient;
  let namespaces = 0;
  before(async () => {
    store = new MemoryStore();
    test = await startTestServer({ store });
    client = test.server.clientFor(user);
  });
  after(() => test[Symbol.asyncDispose]());

  async function change(namespace: string, name: string, action: string): Promise<void> {
    if (action === 'pause') return await new Promise((resolve) => setImmediate(resolve));
    if (action === 'break') return store.breakWatches();
    if (action === 'note') {
      // Another resource's write: revisions have gaps for this one.
      await client.create(core.secrets, { metadata: { generateName: 's-', namespace } });
      return;
    }
    const at = { namespace };
    if (action === 'delete') return void (await client.delete(core.configmaps, name, at).catch(() => {}));
    const pick = action === 'pick' ? 'yes' : 'no';
    const data = { at: String(store.revision) };
    const object = { metadata: { name, namespace, labels: { pick } }, data } as never;
    await client.update(core.configmaps, object).catch(() => client.create(core.configmaps, object));
  }

  it('from any version rebuild exactly what a list shows, through selectors and broken storage watches', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 25 }),
        fc.array(step, { maxLength: 15 }),
        async (early, late) => {
          const namespace = `run-${namespaces++}`;
          for (const { name, action } of early) await change(namespace, name, action);
          const begin = await client.list(core.configmaps, { namespace, labelSelector: labels });
          const known = new Map(
            begin.items.map(({ metadata }) => [metadata.name ?? '', metadata.resourceVersion ?? '']),
          );
          const from = begin.metadata.resourceVersion as string;
          for (const { name, action } of late) await change(namespace, name, action);
          await change(namespace, 'end', 'pick');
          // A watcher that starts at `from` knows what the list said.
          const fresh = await followFrom(namespace, from, known);
          const now = await client.list(core.configmaps, { namespace, labelSelector: labels });
          const expected = new Map(
            now.items.map(({ metadata }) => [metadata.name ?? '', metadata.resourceVersion ?? '']),
          );
          assert.deepEqual(fresh, expected);
        },
      ),
      { seed, numRuns },
    );
  });

  async function followFrom(
    namespace: string,
    from: string,
    known: Map<string, string>,
  ): Promise<Map<string, string>> {
    const objects = new Map(known);
    for await (const { type, object } of client.watch(core.configmaps, {
      namespace,
      labelSelector: labels,
      resourceVersion: from,
    })) {
      const { name = '', resourceVersion = '' } = object.metadata;
      if (type === 'DELETED') assert.ok(objects.delete(name), `${name} is deleted while it is there`);
      else {
        assert.equal(objects.has(name), type === 'MODIFIED', `${type} of ${name}`);
        objects.set(name, resourceVersion);
      }
      if (name === 'end') break;
    }
    return objects;
  }

  it('resume on another server from the history of the store, and are refused only once it is compacted', async () => {
    const namespace = 'elsewhere';
    const made: KubeObject = await client.create(core.configmaps, {
      metadata: { name: 'a', namespace },
    });
    const from = made.metadata.resourceVersion as string;
    await change(namespace, 'a', 'pick');
    await change(namespace, 'b', 'pick');
    await change(namespace, 'a', 'drop');
    await change(namespace, 'end', 'pick');
    // Its cache begins after all of these.
    await using other = await startTestServer({ store });
    const there = other.server.clientFor(user);
    const seen: string[] = [];
    for await (const { type, object } of there.watch(core.configmaps, {
      namespace,
      labelSelector: labels,
      resourceVersion: from,
    })) {
      seen.push(`${type} ${object.metadata.name ?? ''}`);
      if (object.metadata.name === 'end') break;
    }
    assert.deepEqual(seen, ['ADDED a', 'ADDED b', 'DELETED a', 'ADDED end']);
    await store.compact(store.revision);
    const expired = there.watch(core.configmaps, { namespace, resourceVersion: from });
    await assert.rejects(
      async () => {
        for await (const event of expired) assert.fail(`${event.type} after compaction`);
      },
      (error) =>
        error instanceof StatusError &&
        error.code === 410 &&
        /^too old resource version: \d+ \(\d+\)$/.test(error.message),
    );
  });

  it('refuse a version that does not exist yet, and parameters that do not fit', async () => {
    const take = async (options: object): Promise<void> => {
      for await (const event of client.watch(core.configmaps, options)) assert.fail(event.type);
    };
    const fails = (code: number, text: RegExp) => (error: unknown) =>
      error instanceof StatusError && error.code === code && text.test(error.message);
    await assert.rejects(
      take({ resourceVersionMatch: 'NotOlderThan' }),
      fails(422, /forbidden for watch unless sendInitialEvents/),
    );
    await assert.rejects(
      take({ sendInitialEvents: true }),
      fails(422, /requires setting resourceVersionMatch to NotOlderThan/),
    );
    await assert.rejects(take({ resourceVersion: 'x' }), fails(500, /Invalid value: "x"/));
  });
});
