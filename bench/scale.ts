// 1,000 nodes and 30,000 pods: memory of the control plane, time per verb and event-loop delay while leases renew,
// nodes report and pods come and go, under the watches that a cluster of this size has. NODES, PODS_PER_NODE, CHURN (pods
// a second), SECONDS and GO_WINDOWS (see h2.ts) change it. The server is a process of its own; all kubelets are this one.
import { Connection } from './h2.ts';
import { type Figures, measure } from './figures.ts';
import { startServer } from './server.ts';
import { timed } from './cluster.ts';
import { nodeBody, nodeConditions, nodeName, podBody, runningStatus } from './scale-pods.ts';
import { megabytes, ms, perSecond, printTable, quantile, type Row } from './table.ts';

const nodeCount = Number(process.env['NODES'] ?? 1000);
const podsPerNode = Number(process.env['PODS_PER_NODE'] ?? 30);
const churnPerSecond = Number(process.env['CHURN'] ?? 20);
const seconds = Number(process.env['SECONDS'] ?? 60);
/** Upstream: the lease is renewed at a quarter of 40 s, an unchanged status is sent every 5 minutes. */
const leaseEveryMs = 10_000;
const statusEveryMs = 300_000;
/** So that churning pods neither pile up nor vanish before anyone saw them. */
const churnLifeMs = 10_000;
const namespaces = 60;

const sleep = (delayMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, delayMs));
const namespaceOf = (i: number): string => `team-${i % namespaces}`;

const patchType = 'application/strategic-merge-patch+json';
const samples = new Map<string, number[]>();
let failures = 0;

/** Does it, notes how long it took; a failure is counted and told once in a while. */
async function measured(what: string, work: () => Promise<unknown>): Promise<void> {
  const startedMs = performance.now();
  try {
    await work();
  } catch (error) {
    if (failures++ < 5) console.error(String(error));
    return;
  }
  const list = samples.get(what);
  const tookMs = performance.now() - startedMs;
  if (list) list.push(tookMs);
  else samples.set(what, [tookMs]);
}

/** Begins `work(i)` for all i evenly spread over `everyMs`, again and again, until `stop`. */
function spread(count: number, everyMs: number, work: (i: number) => unknown): () => void {
  const begunMs = performance.now();
  let done = 0;
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - begunMs) / everyMs) * count);
    while (done < due) work(done++ % count);
  }, 5);
  return () => clearInterval(timer);
}

/** One node's kubelet: its watches, its lease, its status, what it does about its pods. */
class BenchKubelet {
  readonly #i: number;
  readonly #connection: Connection;
  #lease = '';
  #statusCount = 0;

  constructor(i: number, connection: Connection) {
    this.#i = i;
    this.#connection = connection;
  }

  async start(): Promise<void> {
    const name = nodeName(this.#i);
    const watch = 'watch=1&allowWatchBookmarks=true&resourceVersion=0';
    await Promise.all([
      this.#connection.watch(`/api/v1/pods?fieldSelector=spec.nodeName%3D${name}&${watch}`, (line) =>
        this.#saw(line),
      ),
      this.#connection.watch(`/api/v1/nodes?fieldSelector=metadata.name%3D${name}&${watch}`),
      this.#connection.watch(`/api/v1/services?${watch}`),
    ]);
    const lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name, namespace: 'kube-node-lease' },
      spec: { holderIdentity: name, leaseDurationSeconds: 40, renewTime: microNow() },
    };
    const path = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
    this.#lease = await this.#connection.send('POST', path, JSON.stringify(lease));
  }

  /** What a node's proxy watches, all of it: opened once the cluster is filled, else each pod that turns Ready goes to all. */
  watchEndpoints(): Promise<void> {
    return this.#connection.watch(
      '/apis/discovery.k8s.io/v1/endpointslices?watch=1&allowWatchBookmarks=true&resourceVersion=0',
    );
  }

  async renew(): Promise<void> {
    const lease = JSON.parse(this.#lease) as { spec: { renewTime: string } };
    lease.spec.renewTime = microNow();
    const path = `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${nodeName(this.#i)}`;
    await measured('PUT lease', async () => {
      this.#lease = await this.#connection.send('PUT', path, JSON.stringify(lease));
    });
  }

  reportNode(): Promise<void> {
    const path = `/api/v1/nodes/${nodeName(this.#i)}/status`;
    const body = JSON.stringify({ status: { conditions: nodeConditions() } });
    return measured('PATCH node status', () => this.#connection.send('PATCH', path, body, patchType));
  }

  /** Only pods that churn need anything: they are made Running, and removed once they are to go. */
  #saw(line: string): void {
    if (!line.includes('"name":"churn-')) return;
    const { type, object } = JSON.parse(line) as {
      type: string;
      object: {
        metadata: { name: string; namespace: string; uid: string; deletionTimestamp?: string };
        status?: { phase?: string };
      };
    };
    if (type === 'DELETED') return;
    const { name, namespace, uid, deletionTimestamp } = object.metadata;
    const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
    if (deletionTimestamp) {
      const body = JSON.stringify({ gracePeriodSeconds: 0, preconditions: { uid } });
      void measured('DELETE pod, last', () => this.#connection.send('DELETE', path, body));
    } else if (object.status?.phase === 'Pending') {
      bound(name);
      const body = runningStatus(this.#i * 1000 + this.#statusCount++);
      void measured('PATCH pod status', () =>
        this.#connection.send('PATCH', `${path}/status`, body, patchType),
      );
    }
  }
}

const microNow = (): string => new Date().toISOString().replace('Z', '000Z');
const createdMs = new Map<string, number>();

/** The kubelet has heard of a pod that was made without a node: how long that took. */
function bound(name: string): void {
  const atMs = createdMs.get(name);
  if (atMs === undefined) return;
  createdMs.delete(name);
  const list = samples.get('pod created to heard of by its kubelet');
  if (list) list.push(performance.now() - atMs);
  else samples.set('pod created to heard of by its kubelet', [performance.now() - atMs]);
}

function loopRow(what: string, { delayMs, gc, cpu, waitedMs }: Figures): Row {
  return {
    what: `event-loop delay p99, ${what}`,
    value:
      `${delayMs.p99.toFixed(1)} ms (p50 ${delayMs.p50.toFixed(1)}, worst ${ms(delayMs.max)}; ` +
      `gc ${ms(gc.totalMs)} in ${gc.pauses}, worst ${ms(gc.maxMs)}; ${(cpu * 100).toFixed(0)}% of a core, ` +
      `${ms(waitedMs)} without a processor)`,
    goal: '< 30 ms',
  };
}

const flags = (process.env['SERVER_FLAGS'] ?? '').split(' ').filter((flag) => flag !== '');
const server = await startServer(flags);
/** Of this process, which is all kubelets: when it is late, so is all that it measures. */
const ownFigures = measure();
const rows: Row[] = [];
try {
  const admins = await Promise.all(Array.from({ length: 8 }, () => Connection.open(server.kubeconfig)));
  const admin = (i: number): Connection => admins[i % admins.length] as Connection;
  rows.push({ what: 'resident when idle', value: megabytes((await server.figures()).residentBytes) });
  for (let i = 0; i < namespaces; i++) {
    const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespaceOf(i) } };
    await admin(i).send('POST', '/api/v1/namespaces', JSON.stringify(body));
  }
  for (let i = 0; i < 100; i++) {
    const body = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: `service-${i}` },
      spec: { selector: { app: `app-${i}` }, ports: [{ port: 80, targetPort: 'http' }] },
    };
    await admin(i).send('POST', `/api/v1/namespaces/${namespaceOf(i)}/services`, JSON.stringify(body));
  }
  const nodesMs = await timed(nodeCount, 16, (i) => admin(i).send('POST', '/api/v1/nodes', nodeBody(i)));
  rows.push({ what: `${nodeCount} nodes created`, value: perSecond(nodeCount, nodesMs) });
  const credentials = await Promise.all(
    Array.from({ length: nodeCount }, (_, i) => server.kubeconfigFor(`system:node:${nodeName(i)}`)),
  );
  await server.figures();
  const kubelets: BenchKubelet[] = [];
  const connectMs = await timed(nodeCount, 16, async (i) => {
    const connection = await Connection.open(credentials[i] as string);
    const kubelet = new BenchKubelet(i, connection);
    await kubelet.start();
    kubelets.push(kubelet);
  });
  rows.push({ what: `${nodeCount} kubelets connected, 3 watches and a lease each`, value: ms(connectMs) });
  rows.push(loopRow('while they connect', await server.figures()));
  const stops = [
    spread(nodeCount, leaseEveryMs, (i) => void kubelets[i]?.renew()),
    spread(nodeCount, statusEveryMs, (i) => void kubelets[i]?.reportNode()),
  ];
  const pods = nodeCount * podsPerNode;
  await server.profile();
  const podName = (i: number): string => `app-${i % 1000}-${i}`;
  const podsMs = await timed(pods, 32, (i) => {
    const namespace = namespaceOf(i);
    return admin(i).send(
      'POST',
      `/api/v1/namespaces/${namespace}/pods`,
      podBody(podName(i), namespace, nodeName(i % nodeCount)),
    );
  });
  rows.push({ what: `${pods} pods created`, value: perSecond(pods, podsMs) });
  rows.push(loopRow('while they are created', await server.figures()));
  await server.profile('create');
  await server.profile();
  const statusMs = await timed(pods, 32, (i) =>
    admin(i).send(
      'PATCH',
      `/api/v1/namespaces/${namespaceOf(i)}/pods/${podName(i)}/status`,
      runningStatus(i),
      patchType,
    ),
  );
  rows.push({
    what: `${pods} pods made Running by a patch of their status`,
    value: perSecond(pods, statusMs),
  });
  rows.push(loopRow('while their status is patched', await server.figures()));
  await server.profile('status');

  await timed(nodeCount, 16, (i) => (kubelets[i] as BenchKubelet).watchEndpoints());
  // What other informers of a cluster there are beside the kubelets': of everything, over HTTPS, each program with a
  // connection of its own. On one of those that are measured, 250 MB of objects would stand before every answer.
  const informers = await Connection.open(server.kubeconfig);
  for (const path of ['/api/v1/pods', '/api/v1/nodes', '/api/v1/pods']) {
    await informers.watch(`${path}?watch=1&resourceVersion=0`);
  }
  await sleep(5_000);
  rows.push({
    what: 'resident with all of it, before the load',
    value: megabytes((await server.figures()).residentBytes),
  });

  samples.clear();
  const churned: Array<{ name: string; namespace: string; dueMs: number }> = [];
  let made = 0;
  let peakBytes = 0;
  stops.push(
    spread(churnPerSecond, 1000, () => {
      const namespace = namespaceOf(made);
      const name = `churn-${made++}`;
      createdMs.set(name, performance.now());
      churned.push({ name, namespace, dueMs: performance.now() + churnLifeMs });
      const body = podBody(name, namespace, undefined);
      void measured('POST pod', () => admin(made).send('POST', `/api/v1/namespaces/${namespace}/pods`, body));
      for (let first = churned[0]; first && first.dueMs < performance.now(); first = churned[0]) {
        churned.shift();
        const path = `/api/v1/namespaces/${first.namespace}/pods/${first.name}`;
        void measured('DELETE pod', () => admin(made).send('DELETE', path));
      }
    }),
    spread(50, 1000, () => {
      const i = Math.floor(Math.random() * pods);
      void measured('GET pod', () =>
        admin(i).send('GET', `/api/v1/namespaces/${namespaceOf(i)}/pods/${podName(i)}`),
      );
    }),
    spread(2, 1000, () => {
      const i = Math.floor(Math.random() * namespaces);
      void measured('LIST pods of a namespace (500)', () =>
        admin(i).send('GET', `/api/v1/namespaces/${namespaceOf(i)}/pods`),
      );
    }),
    spread(
      1,
      1000,
      (i) =>
        void measured("LIST a node's pods", () =>
          admin(i).send(
            'GET',
            `/api/v1/pods?fieldSelector=spec.nodeName%3D${nodeName(Math.floor(Math.random() * nodeCount))}`,
          ),
        ),
    ),
  );
  // The first pods churn to their end before anything is counted.
  await sleep(churnLifeMs + 5_000);
  samples.clear();
  if (failures > 0)
    rows.push({ what: 'requests that failed before the load', value: String(failures), goal: '0' });
  failures = 0;
  await server.profile();
  await server.figures();
  ownFigures();
  const windows: Figures[] = [];
  for (let window = 0; window < Math.max(1, seconds / 10); window++) {
    await sleep(Math.min(10, seconds) * 1000);
    const figures = await server.figures();
    peakBytes = Math.max(peakBytes, figures.residentBytes);
    windows.push(figures);
  }
  const own = ownFigures();
  await server.profile('load');
  for (const stop of stops) stop();
  for (const [i, figures] of windows.entries()) rows.push(loopRow(`under load, window ${i + 1}`, figures));
  rows.push({ ...loopRow('of the load itself, all windows', own), goal: '' });
  const last = windows.at(-1) as Figures;
  rows.push({
    what: 'resident under load, most',
    value: `${megabytes(peakBytes)} (heap ${megabytes(last.heapBytes)}, buffers ${megabytes(last.externalBytes)})`,
    goal: '< 1200 MB',
  });
  for (const [what, list] of [...samples].sort(([a], [b]) => (a < b ? -1 : 1))) {
    rows.push({
      what: `${what}, p99 of ${list.length}`,
      value: `${quantile(list, 0.99).toFixed(1)} ms (p50 ${quantile(list, 0.5).toFixed(1)})`,
      goal: '< 100 ms',
    });
  }
  rows.push({ what: 'requests that failed', value: String(failures), goal: '0' });
  for (const connection of [...admins, informers]) connection.close();
} finally {
  await server[Symbol.asyncDispose]();
}
printTable(`${nodeCount} nodes, ${nodeCount * podsPerNode} pods, ${churnPerSecond} pods/s come and go`, rows);
process.exit();
