// How long a user waits: `up` until the API answers and until the node is Ready, `apply` until the first packet.
import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Node } from '../packages/kube/src/generated/types/core-v1.ts';
import { isolate } from '../packages/network/src/testing/namespaces.ts';
import { addUplink, builtImage, cloudless, TestCluster } from '../tests/e2e/cluster.ts';
import { RawClient } from './cluster.ts';
import { median, ms, printTable } from './table.ts';

const image = builtImage('examples/web/images/back/image.yaml');
isolate();
addUplink();
const rounds = Number(process.env['ROUNDS'] ?? 5);
const cluster = new TestCluster();
const times = { api: [] as number[], hooks: [] as number[], ready: [] as number[], packet: [] as number[] };
let firstApi = 0;
let firstReady = 0;

/** Milliseconds from now until `check` holds, looked at every 2 ms. */
async function until(startedMs: number, check: () => Promise<boolean>): Promise<number> {
  for (;;) {
    if (await check()) return performance.now() - startedMs;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Whether a Node is Ready by what its kubelet said after `wallMs`, not by what is left from its last life. */
function isReadySince(text: string | undefined, wallMs: number): boolean {
  if (text === undefined) return false;
  const { status } = JSON.parse(text) as Node;
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  // Times in a Node are whole seconds.
  return ready?.status === 'True' && Date.parse(ready.lastHeartbeatTime ?? '') + 1000 > wallMs;
}

async function start(): Promise<{ api: number; hooks: number; ready: number }> {
  // So that a heartbeat of the last life is at least a second old.
  await new Promise((resolve) => setTimeout(resolve, 1100));
  const wallMs = Date.now();
  const startedMs = performance.now();
  const child = spawn(cloudless, ['up', '--detach', '--node-name', 'node-1', '--root', cluster.root], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const exit = new Promise((resolve) => child.once('exit', resolve));
  let client: RawClient | undefined;
  const answers = async (path: string): Promise<string | undefined> => {
    try {
      client ??= new RawClient(cluster.kubeconfig, 2);
      const answer = await client.open('GET', path);
      let text = '';
      for await (const chunk of answer as AsyncIterable<Buffer>) text += chunk.toString();
      return answer.statusCode === 200 ? text : undefined;
    } catch {
      client = undefined;
      return undefined;
    }
  };
  const api = await until(startedMs, async () => (await answers('/version')) !== undefined);
  const hooks = await until(startedMs, async () => (await answers('/readyz')) !== undefined);
  const ready = await until(startedMs, async () =>
    isReadySince(await answers('/api/v1/nodes/node-1'), wallMs),
  );
  await exit;
  client?.close();
  return { api, hooks, ready };
}

function connects(ip: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(80, ip);
    // Before the Service is programmed its address leads nowhere: not to wait for TCP's own second try.
    socket.setTimeout(50, () => socket.destroy());
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

const manifest = (round: number): string => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: bench-${round}}
spec:
  selector: {matchLabels: {app: bench-${round}}}
  template:
    metadata: {labels: {app: bench-${round}}}
    spec: {containers: [{name: c, image: 'cloudless.local/web-back:1', imagePullPolicy: Never, ports: [{containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: bench-${round}}
spec: {clusterIP: 10.96.9.${round + 1}, selector: {app: bench-${round}}, ports: [{port: 80, targetPort: 8080}]}
`;

try {
  for (let round = 0; round <= rounds; round++) {
    const { api, hooks, ready } = await start();
    if (round === 0) {
      firstApi = api;
      firstReady = ready;
      await cluster.cloudless('image', 'load', image);
    } else {
      times.api.push(api);
      times.hooks.push(hooks);
      times.ready.push(ready);
    }
    if (round < rounds) await cluster.cloudless('down');
  }
  const kubectl = cluster.kubectl();
  for (let round = 0; round < rounds; round++) {
    const file = join(cluster.root, `bench-${round}.yaml`);
    writeFileSync(file, manifest(round));
    const startedMs = performance.now();
    const applied = kubectl.run(['apply', '-f', file]);
    times.packet.push(await until(startedMs, () => connects(`10.96.9.${round + 1}`)));
    await applied;
  }
} finally {
  await cluster.remove();
}
printTable('Start', [
  { what: 'first `up` on an empty folder: API answers', value: ms(firstApi) },
  { what: 'first `up` on an empty folder: node Ready', value: ms(firstReady) },
  { what: `\`up\` again: API answers, median of ${rounds}`, value: ms(median(times.api)), goal: '0.5 s' },
  { what: `\`up\` again: /readyz, median of ${rounds}`, value: ms(median(times.hooks)) },
  { what: `\`up\` again: node Ready, median of ${rounds}`, value: ms(median(times.ready)), goal: '2 s' },
  {
    what: `kubectl apply of a Deployment and Service to the first answered packet, median of ${rounds}`,
    value: ms(median(times.packet)),
    goal: '2 s',
  },
]);
