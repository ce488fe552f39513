import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { loadKubeconfig } from '../packages/kube/src/client/kubeconfig.ts';

/** Resident memory of a process in bytes. */
export function residentBytes(pid: number): number {
  const kb = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kb) * 1024;
}

/** A plain HTTPS client with keep-alive connections, so that the client costs little beside the server. */
export class RawClient {
  readonly #options: object;
  readonly #agent: Agent;

  constructor(kubeconfig: string, connections: number) {
    const { server, ca, clientCert, clientKey } = loadKubeconfig(kubeconfig);
    const { hostname, port } = new URL(server);
    this.#agent = new Agent({
      keepAlive: true,
      maxSockets: connections,
      ca,
      cert: clientCert,
      key: clientKey,
    });
    this.#options = { hostname, port, agent: this.#agent };
  }

  /** Resolves to the answer's head. */
  open(method: string, path: string, body?: string): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const headers =
        body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
      const call = request(
        { ...this.#options, method, path, headers: { accept: 'application/json', ...headers } },
        resolve,
      );
      call.once('error', reject);
      call.end(body);
    });
  }

  /** Resolves to the body's length when it has been read; rejects on a status of 400 or more. */
  async send(method: string, path: string, body?: string): Promise<number> {
    const answer = await this.open(method, path, body);
    let bytes = 0;
    let text = '';
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if ((answer.statusCode ?? 500) >= 400) text += chunk.toString();
    }
    if ((answer.statusCode ?? 500) >= 400)
      throw new Error(`${method} ${path}: ${answer.statusCode} ${text.slice(0, 300)}`);
    return bytes;
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Runs `work(i)` for i in 0…count-1, `clients` at a time; elapsed milliseconds. */
export async function timed(
  count: number,
  clients: number,
  work: (i: number) => Promise<unknown>,
): Promise<number> {
  let next = 0;
  const startedMs = performance.now();
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (next < count) await work(next++);
    }),
  );
  return performance.now() - startedMs;
}

/** A pod of some 9 KB as JSON, which no scheduler takes. */
export function samplePod(namespace: string, name: string): string {
  const env = Array.from({ length: 60 }, (_, i) => ({
    name: `VARIABLE_NUMBER_${i}`,
    value: `${'some value of ordinary length '.repeat(2)}${i}`,
  }));
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app: 'bench', part: name.slice(-1) } },
    spec: {
      schedulerName: 'nobody',
      containers: [
        { name: 'main', image: 'example.org/bench:1', env, resources: { requests: { cpu: '10m' } } },
      ],
    },
  });
}
