// 30 pods at once on real containers: from their creation to all of them Ready, beside the same pods by raw calls to the
// same containerd, one after another (their sum) and at once (what the machine can do).
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { clientFromKubeconfig } from '../packages/kube/src/client/kubeconfig.ts';
import { core } from '../packages/kube/src/generated/resources.ts';
import type { Pod } from '../packages/kube/src/generated/types/core-v1.ts';
import { logger } from '../packages/kube/src/logger.ts';
import { nodeContext } from '../packages/kube/src/node/context.ts';
import { connectCri, type CriRuntime } from '../packages/kubelet/src/cri/runtime.ts';
import { removeCgroups } from '../packages/kubelet/src/testing/node.ts';
import { isolate } from '../packages/network/src/testing/namespaces.ts';
import { addUplink, builtImage, eventually, TestCluster } from '../tests/e2e/cluster.ts';
import { timed } from './cluster.ts';
import { median, ms, printTable, quantile } from './table.ts';

const archive = builtImage('examples/web/images/back/image.yaml');
isolate();
addUplink();
const image = 'cloudless.local/web-back:1';
const pods = Number(process.env['PODS'] ?? 30);
const rounds = Number(process.env['ROUNDS'] ?? 3);
const namespace = 'default';
const cgroup = `cloudless-bench-${process.pid}`;
const cluster = new TestCluster();
const logs = join(cluster.root, 'bench-logs');

/** One pod by calls to the runtime alone; its sandbox. */
async function rawPod(cri: CriRuntime, name: string): Promise<string> {
  const logDirectory = join(logs, name);
  mkdirSync(logDirectory, { recursive: true });
  const sandboxConfig = {
    // No labels: the kubelet takes it for somebody else's.
    metadata: { name, namespace: 'raw', uid: name, attempt: 0 },
    hostname: name,
    logDirectory,
    linux: { cgroupParent: `/${cgroup}/${name}` },
  };
  const { podSandboxId } = await cri.runPodSandbox({ config: sandboxConfig });
  const { containerId } = await cri.createContainer({
    podSandboxId,
    sandboxConfig,
    config: { metadata: { name: 'main', attempt: 0 }, image: { image }, logPath: 'main.log' },
  });
  await cri.startContainer({ containerId });
  return podSandboxId;
}

/** `pods` raw pods, `atOnce` at a time; milliseconds. Removes them again. */
async function rawPods(cri: CriRuntime, round: string, atOnce: number): Promise<number> {
  const made: string[] = [];
  const elapsedMs = await timed(pods, atOnce, async (i) => made.push(await rawPod(cri, `raw-${round}-${i}`)));
  await timed(made.length, 4, async (i) => {
    const podSandboxId = made[i] as string;
    await cri.stopPodSandbox({ podSandboxId });
    await cri.removePodSandbox({ podSandboxId });
  });
  return elapsedMs;
}

const podOf = (name: string): Pod => ({
  metadata: { name, namespace, labels: { app: 'bench' } },
  spec: {
    terminationGracePeriodSeconds: 1,
    containers: [{ name: 'main', image, imagePullPolicy: 'Never' }],
  },
});

const isReady = ({ status }: Pod): boolean =>
  status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true;

/** `pods` pods through the API at once: milliseconds until all are Ready, and of each. */
async function apiPods(round: number): Promise<{ allMs: number; eachMs: number[] }> {
  await using client = clientFromKubeconfig(cluster.kubeconfig);
  const { metadata } = await client.list(core.pods, { namespace, limit: 1 });
  const createdMs = new Map<string, number>();
  const eachMs: number[] = [];
  const ready = new Set<string>();
  const stopping = new AbortController();
  const watching = (async () => {
    const events = client.watch(core.pods, {
      namespace,
      resourceVersion: metadata.resourceVersion,
      signal: stopping.signal,
    });
    for await (const { object } of events) {
      const name = object.metadata.name ?? '';
      const startedMs = createdMs.get(name);
      if (startedMs === undefined || ready.has(name) || !isReady(object)) continue;
      ready.add(name);
      eachMs.push(performance.now() - startedMs);
      if (ready.size === pods) return;
    }
  })();
  const begunMs = performance.now();
  await timed(pods, pods, (i) => {
    const name = `bench-${round}-${i}`;
    createdMs.set(name, performance.now());
    return client.create(core.pods, podOf(name));
  });
  const late = setTimeout(() => stopping.abort(new Error(`only ${ready.size} pods became Ready`)), 120_000);
  await watching;
  clearTimeout(late);
  const allMs = performance.now() - begunMs;
  await client.deleteCollection(core.pods, { namespace, labelSelector: 'app=bench' });
  await eventually(
    'the pods are gone',
    async () => (await client.list(core.pods, { namespace, labelSelector: 'app=bench' })).items.length === 0,
    60_000,
  );
  return { allMs, eachMs };
}

const sums: number[] = [];
const parallel: number[] = [];
const all: number[] = [];
const each: number[] = [];
try {
  await cluster.up();
  await cluster.cloudless('image', 'load', archive);
  const { paths } = nodeContext({ root: cluster.root, nodeName: 'node-1' });
  const cri = connectCri({ socketPath: paths.containerdSocket, log: logger('bench') });
  // One of each before it counts: caches of the machine, compiled code.
  await rawPods(cri, 'warm', 4);
  await apiPods(0);
  for (let round = 1; round <= rounds; round++) {
    parallel.push(await rawPods(cri, `p${round}`, pods));
    const { allMs, eachMs } = await apiPods(round);
    all.push(allMs);
    each.push(...eachMs);
    sums.push(await rawPods(cri, `s${round}`, 1));
  }
  cri.close();
} finally {
  await cluster.remove();
  removeCgroups(cgroup);
}
const ratio = (ofMs: readonly number[]): string => `${(median(all) / median(ofMs)).toFixed(2)} ×`;
printTable(`${pods} pods at once, median of ${rounds}`, [
  { what: `${pods} pods by raw CRI calls, one after another (the sum)`, value: ms(median(sums)) },
  { what: `${pods} pods by raw CRI calls, all at once`, value: ms(median(parallel)) },
  { what: `${pods} pods through the API, created to all Ready`, value: ms(median(all)) },
  { what: 'against the sum of the calls', value: ratio(sums), goal: '< 1 ×' },
  { what: 'against the calls at once', value: ratio(parallel) },
  { what: 'a pod of these, created to Ready, p50', value: ms(quantile(each, 0.5)) },
  { what: 'a pod of these, created to Ready, p99', value: ms(quantile(each, 0.99)) },
]);
