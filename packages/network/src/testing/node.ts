import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { NodeContext } from '@cloudless/kube/node/context';
import { type Namespace, newNamespace } from './namespaces.ts';

/** Runs `ip` in this process's namespace. */
export const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });

export async function until(
  what: string,
  check: () => boolean | Promise<boolean>,
  timeoutMs = 10_000,
): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  // oxlint-disable-next-line no-await-in-loop -- it waits
  while (!(await check())) {
    if (performance.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    // oxlint-disable-next-line no-await-in-loop -- it waits
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Pods as containerd makes them: namespaces, and calls of the node's CNI plugin. */
export class TestPods {
  readonly #context: NodeContext;
  readonly #pods = new Map<string, Namespace>();

  constructor(context: NodeContext) {
    this.#context = context;
  }

  get(name: string): Namespace {
    const found = this.#pods.get(name);
    assert.ok(found, `no pod ${name}`);
    return found;
  }

  /** Makes the pod's namespace and nothing else. */
  async open(name: string): Promise<void> {
    this.#pods.set(name, await newNamespace());
  }

  /** Calls the plugin; its answer, `{}` when it printed nothing. */
  cni(
    command: string,
    name: string,
    portMappings: object[] = [],
  ): Promise<{ ips?: Array<{ address: string }>; code?: number; msg?: string }> {
    return new Promise((resolve) => {
      const child = execFile(
        join(this.#context.paths.cniBin, 'cloudless'),
        {
          env: {
            ...process.env,
            CNI_COMMAND: command,
            CNI_CONTAINERID: name,
            CNI_NETNS: this.#pods.get(name)?.path ?? '',
            CNI_IFNAME: 'eth0',
            CNI_ARGS: `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${name}`,
          },
        },
        (_, stdout) => resolve(stdout === '' ? {} : (JSON.parse(stdout) as object)),
      );
      child.stdin?.end(JSON.stringify({ cniVersion: '1.0.0', runtimeConfig: { portMappings } }));
    });
  }

  /** Makes a pod; its address. */
  async add(name: string, portMappings: object[] = []): Promise<string> {
    await this.open(name);
    const result = await this.cni('ADD', name, portMappings);
    assert.ok(result.ips, JSON.stringify(result));
    return (result.ips[0] as { address: string }).address.replace('/32', '');
  }

  /** Ends a pod as the runtime does. */
  async end(name: string): Promise<void> {
    await this.cni('DEL', name);
    this.forget(name);
  }

  /** Closes the namespace of a pod without telling anybody. */
  forget(name: string): void {
    this.#pods.get(name)?.close();
    this.#pods.delete(name);
  }

  closeAll(): void {
    for (const name of this.#pods.keys()) this.forget(name);
  }
}
