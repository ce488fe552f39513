import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { KubeClient } from '@cloudless/kube/client/client';
import { core } from '@cloudless/kube/resources';
import type { Pod } from '@cloudless/kube/types/core-v1';
import { MemoryStore } from '../testing/memory-store.ts';
import { startTestServer, type TestServer } from '../testing/test-server.ts';

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const numRuns = Number(process.env['ITERATIONS'] ?? 20);
const user = { name: 'admin', groups: ['system:masters'] };

const step = fc.record({
  name: fc.constantFrom('a', 'b'),
  namespace: fc.constantFrom('one', 'two'),
  action: fc.constantFrom(
    'create on n1',
    'create on n2',
    'create',
    'bind to n1',
    'run',
    'fail',
    'delete',
    'break',
  ),
});

/** Selectors that lead to a name, a field with an index, one without, a namespace, several at once, and none. */
const selections = [
  {},
  { namespace: 'one' },
  { fieldSelector: 'metadata.name=a' },
  { fieldSelector: 'spec.nodeName=n1' },
  { fieldSelector: 'spec.nodeName=' },
  { fieldSelector: 'spec.nodeName!=n1' },
  { fieldSelector: 'status.phase=Running' },
  { fieldSelector: 'status.phase=Running,spec.nodeName=n1', namespace: 'two' },
  { fieldSelector: 'spec.nodeName=n1,metadata.name=b', namespace: 'two' },
  { fieldSelector: 'spec.nodeName=n1', labelSelector: 'app=a' },
];

describe(`watches that narrow down (seed ${seed})`, () => {
  let test: TestServer;
  let store: MemoryStore;
  let client: KubeClient;
  before(async () => {
    store = new MemoryStore();
    test = await startTestServer({ store });
    client = test.server.clientFor(user);
  });
  after(() => test[Symbol.asyncDispose]());

  async function act(name: string, namespace: string, action: string): Promise<void> {
    if (action === 'break') return store.breakWatches();
    const at = { namespace };
    if (action === 'delete')
      return void (await client.delete(core.pods, name, { ...at, gracePeriodSeconds: 0 }));
    if (action === 'bind to n1') {
      const target = { apiVersion: 'v1', kind: 'Node', name: 'n1' };
      await client.createSubresource(core.pods, name, 'binding', { metadata: { name }, target }, at);
      return;
    }
    if (action === 'run' || action === 'fail') {
      const phase = action === 'run' ? 'Running' : 'Failed';
      await client.patch(core.pods, name, 'merge', { status: { phase } }, { ...at, subresource: 'status' });
      return;
    }
    const nodeName = /n\d/.exec(action)?.[0];
    const spec = { containers: [{ name: 'main', image: 'x' }], ...(nodeName ? { nodeName } : {}) };
    await client.create(core.pods, { metadata: { name, namespace, labels: { app: name } }, spec });
  }

  const place = ({ metadata }: Pod): string => `${metadata.namespace}/${metadata.name}`;
  const versions = (pods: readonly Pod[]): Map<string, string | undefined> =>
    new Map(pods.map((pod) => [place(pod), pod.metadata.resourceVersion]));

  it('hear exactly of what their list shows, whatever it is that they select by', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 6 }),
        fc.array(step, { minLength: 20, maxLength: 40 }),
        async (early, late) => {
          const attempt = ({ name, namespace, action }: (typeof early)[number]): Promise<void> =>
            act(name, namespace, action).catch(() => undefined);
          for (const each of early) await attempt(each);
          const stopping = new AbortController();
          const followers = selections.map((selection) => follow(selection, stopping.signal));
          await Promise.all(followers.map(({ begun }) => begun));
          for (const each of late) await attempt(each);
          for (const [i, { reached, known }] of followers.entries()) {
            const list = await client.list(core.pods, selections[i]);
            await reached(versions(list.items));
            assert.deepEqual(sorted(known), sorted(versions(list.items)), JSON.stringify(selections[i]));
          }
          stopping.abort();
          await Promise.all(followers.map(({ ended }) => ended));
          for (const { metadata } of (await client.list(core.pods)).items) {
            await act(metadata.name as string, metadata.namespace as string, 'delete');
          }
        },
      ),
      { seed, numRuns },
    );
  });

  /** A watch from now on, whose events must make sense one after the other. */
  function follow(selection: object, signal: AbortSignal) {
    const known = new Map<string, string | undefined>();
    let wake = (): void => {};
    const begun = Promise.withResolvers<void>();
    const run = async (): Promise<void> => {
      const options = {
        ...selection,
        sendInitialEvents: true,
        resourceVersionMatch: 'NotOlderThan',
        signal,
      } as const;
      for await (const { type, object } of client.watch(core.pods, {
        ...options,
        allowWatchBookmarks: true,
      })) {
        if (type === 'BOOKMARK') begun.resolve();
        else if (type === 'DELETED')
          assert.ok(known.delete(place(object)), `${place(object)} is deleted once`);
        else {
          assert.equal(known.has(place(object)), type === 'MODIFIED', `${type} of ${place(object)}`);
          known.set(place(object), object.metadata.resourceVersion);
        }
        wake();
      }
    };
    const ended = run();
    ended.catch(begun.reject);
    const reached = async (wanted: Map<string, string | undefined>): Promise<void> => {
      const deadlineMs = performance.now() + 2_000;
      const isThere = (): boolean => JSON.stringify(sorted(known)) === JSON.stringify(sorted(wanted));
      while (performance.now() < deadlineMs) {
        if (isThere()) {
          // It may have been passing through: what has been delivered already is still to be heard.
          await new Promise((resolve) => setImmediate(resolve));
          if (isThere()) return;
        } else {
          await Promise.race([
            ended,
            new Promise<void>((resolve) => (wake = resolve)),
            new Promise((resolve) => setTimeout(resolve, 50).unref()),
          ]);
        }
      }
    };
    return { known, begun: begun.promise, ended, reached };
  }
});

const sorted = (map: Map<string, string | undefined>): Array<[string, string | undefined]> =>
  [...map].sort(([a], [b]) => (a < b ? -1 : 1));
