import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { clientFromKubeconfig } from '@cloudless/kube/client/kubeconfig';
import { apps } from '@cloudless/kube/resources';
import type { Deployment } from '@cloudless/kube/types/apps-v1';
import { type Cluster, startCluster } from 'cloudless/testing';

const iterations = Number(process.env['ITERATIONS'] ?? 20);
/** Code is compiled and caches fill in the first rounds; a leak goes on. */
const warmUp = 20;
/** What all of them together may leave on the heap: code that is compiled late, and noise of a collection. */
const maxLeftBytes = 3_000_000 + 20_000 * iterations;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const deployment = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web', namespace: 'default' },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: { containers: [{ name: 'main', image: 'example.org/web:1' }] },
    },
  },
};

/** What a test does with its cluster: objects, pods on a node, a watch over TLS that is still open at the stop. */
async function use(cluster: Cluster): Promise<void> {
  await cluster.client.create<Deployment>(apps.deployments, structuredClone(deployment));
  await cluster.waitFor<Deployment>(
    { resource: apps.deployments, name: 'web', namespace: 'default' },
    'Available',
  );
  const client = clientFromKubeconfig(await cluster.kubeconfigFile());
  const watch = client.watch(apps.deployments, { resourceVersion: '0' })[Symbol.asyncIterator]();
  assert.equal((await watch.next()).value?.object.metadata.name, 'web');
  const ended = watch.next().catch(() => undefined);
  await cluster.stop();
  await ended;
  client.close();
}

/** What lives in this process, by kind; `before` and `after` must agree. */
async function census(): Promise<{ handles: Record<string, number>; files: number }> {
  // Sockets close in a later turn of the event loop.
  for (let i = 0; i < 20; i++) await turn();
  const handles: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) handles[kind] = (handles[kind] ?? 0) + 1;
  return { handles, files: readdirSync('/proc/self/fd').length };
}

async function heapBytes(): Promise<number> {
  // What a collection finds is finalized in later turns, and frees more.
  for (let i = 0; i < 5; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return process.memoryUsage().heapUsed;
}

const quantile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] as number;

describe(`${iterations} clusters, one after another`, () => {
  const outer = process.env['TMPDIR'];
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'cloudless-leaks-'));
    process.env['TMPDIR'] = folder;
  });
  after(() => {
    if (outer === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = outer;
    rmSync(folder, { recursive: true, force: true });
  });

  it('leave no handle, file descriptor, temporary file or memory behind', async (t) => {
    for (let i = 0; i < warmUp; i++) await use(await startCluster());
    const heapBefore = await heapBytes();
    const before = await census();
    const startMs: number[] = [];
    const startCpuMs: number[] = [];
    const stopMs: number[] = [];
    for (let i = 0; i < iterations; i++) {
      const atMs = performance.now();
      const cpu = process.cpuUsage();
      const cluster = await startCluster();
      const startedMs = performance.now();
      startMs.push(startedMs - atMs);
      const { user, system } = process.cpuUsage(cpu);
      startCpuMs.push((user + system) / 1000);
      await use(cluster);
      stopMs.push(performance.now() - startedMs);
      if ((i + 1) % 100 === 0)
        t.diagnostic(`after ${i + 1}: heap ${((await heapBytes()) / 1e6).toFixed(2)} MB`);
    }
    const heapAfter = await heapBytes();
    assert.deepEqual(await census(), before);
    assert.deepEqual(readdirSync(folder), []);
    const leftBytes = heapAfter - heapBefore;
    t.diagnostic(
      `start p50 ${quantile(startMs, 0.5).toFixed(0)} ms, p99 ${quantile(startMs, 0.99).toFixed(0)} ms, ` +
        `processor p50 ${quantile(startCpuMs, 0.5).toFixed(0)} ms; ` +
        `use and stop p50 ${quantile(stopMs, 0.5).toFixed(0)} ms, p99 ${quantile(stopMs, 0.99).toFixed(0)} ms; ` +
        `heap ${(heapBefore / 1e6).toFixed(1)} to ${(heapAfter / 1e6).toFixed(1)} MB, ` +
        `${Math.round(leftBytes / iterations)} bytes a cluster; resident ${(process.memoryUsage().rss / 1e6).toFixed(0)} MB`,
    );
    assert.ok(leftBytes < maxLeftBytes, `${leftBytes} bytes of heap stay behind`);
    // By the processor's time: how long others keep it from a busy machine is no property of a start.
    assert.ok(quantile(startCpuMs, 0.5) < 500, `a start takes ${quantile(startCpuMs, 0.5).toFixed(0)} ms`);
  });
});
