import { mkdtempSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Logger, logger } from '@cloudless/kube/logger';
import { nodeContext, type NodeContext } from '@cloudless/kube/node/context';
import { type Containerd, startContainerd } from '../containerd/start.ts';
import { NamespaceMode } from '../cri/generated/types.ts';
import { connectCri, type CriRuntime } from '../cri/runtime.ts';
import { importImage } from '../image/import.ts';
import { testImage, testImageArchive } from '../image/testing.ts';
import { labels } from '../runtime/labels.ts';

/** A containerd in a root of its own, with the test image, for system tests. Its pods use the host's network. */
export interface TestNode {
  context: NodeContext;
  containerd: Containerd;
  cri: CriRuntime;
  log: Logger;
  /** Runs a pod of one container; returns its ids. */
  runPod(options: {
    name: string;
    command: string[];
    container?: string;
    stdin?: boolean;
    tty?: boolean;
  }): Promise<{ podSandboxId: string; containerId: string; uid: string }>;
  /** Ends everything and removes the root. */
  dispose(): Promise<void>;
}

/** A root in the temporary folder with a short path (socket paths are short). */
export const testRoot = (name: string): string => mkdtempSync(join(tmpdir(), `cl-${name}-`));

export async function startTestNode(name: string): Promise<TestNode> {
  const root = testRoot(name);
  const context = nodeContext({ root, nodeName: name });
  const log = logger('test').child({}, { level: process.env['CLOUDLESS_LOG'] ?? 'warn' });
  const cgroup = `cloudless-test-${name}-${process.pid}`;
  const archive = await testImageArchive();
  const containerd = await startContainerd({ context, log });
  const cri = connectCri({ socketPath: containerd.socketPath, log });
  await importImage({ socketPath: containerd.socketPath, archive });
  return {
    context,
    containerd,
    cri,
    log,
    async runPod(options) {
      const uid = `uid-${options.name}`;
      const podLabels = {
        [labels.podName]: options.name,
        [labels.podNamespace]: 'default',
        [labels.podUid]: uid,
      };
      const sandbox = {
        metadata: { name: options.name, namespace: 'default', uid, attempt: 0 },
        labels: podLabels,
        logDirectory: join(context.paths.podLogs, options.name),
        linux: {
          cgroupParent: `/${cgroup}`,
          securityContext: { namespaceOptions: { network: NamespaceMode.NODE } },
        },
      };
      const { podSandboxId } = await cri.runPodSandbox({ config: sandbox });
      const container = options.container ?? 'main';
      const { containerId } = await cri.createContainer({
        podSandboxId,
        sandboxConfig: sandbox,
        config: {
          metadata: { name: container, attempt: 0 },
          image: { image: testImage },
          command: options.command,
          labels: { ...podLabels, [labels.containerName]: container },
          logPath: `${container}/0.log`,
          stdin: options.stdin ?? false,
          stdinOnce: options.stdin ?? false,
          tty: options.tty ?? false,
        },
      });
      await cri.startContainer({ containerId });
      return { podSandboxId, containerId, uid };
    },
    async dispose() {
      cri.close();
      await containerd.shutdown();
      rmSync(root, { recursive: true, force: true });
      removeCgroups(cgroup);
    },
  };
}

/** Removes an empty cgroup with all below it from every hierarchy. */
export function removeCgroups(name: string): void {
  const hierarchies = [
    '',
    ...readdirSync('/sys/fs/cgroup', { withFileTypes: true })
      .filter((each) => each.isDirectory())
      .map((each) => each.name),
  ];
  for (const hierarchy of hierarchies) {
    const top = join('/sys/fs/cgroup', hierarchy, name);
    try {
      const below = readdirSync(top, { withFileTypes: true, recursive: true }).filter((each) =>
        each.isDirectory(),
      );
      for (const each of below.reverse()) rmdirSync(join(each.parentPath, each.name));
      rmdirSync(top);
    } catch {
      // not in this hierarchy
    }
  }
}

/** Waits until `check` gives something; throws after `timeoutMs`. */
export async function until<T>(
  what: string,
  check: () => Promise<T | undefined> | T | undefined,
  timeoutMs = 10_000,
): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const found = await check();
    if (found !== undefined) return found;
    if (performance.now() > end) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
