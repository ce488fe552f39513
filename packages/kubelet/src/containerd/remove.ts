import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Logger } from '@cloudless/kube/logger';
import type { NodeContext } from '@cloudless/kube/node/context';
import { shimSocketFolders } from '@cloudless/kube/node/machine-paths';
import { connectCri, type CriRuntime } from '../cri/runtime.ts';
import { needProgram } from './machine.ts';
import { configFileOf, findContainerd, pidFileOf } from './namespace.ts';
import { identify, kill, listProcesses, listShims, waitEnded } from './process.ts';

const run = promisify(execFile);

/**
 * Ends everything a node's containerd runs, and itself: pods are stopped and removed through CRI (which gives
 * their addresses back through CNI, so the network agent should still be up), then what is left is killed,
 * unmounted and deleted. Works as well when containerd or the agent is dead already. Images stay on disk.
 */
export async function removeContainerd(options: {
  context: NodeContext;
  log: Logger;
  /** Leave this containerd, which is the machine's, running; only its pods go. */
  machineSocket?: string | undefined;
}): Promise<void> {
  const { context, log } = options;
  const socketPath = options.machineSocket ?? context.paths.containerdSocket;
  const daemon = options.machineSocket === undefined ? findContainerd(context) : undefined;
  if (daemon || options.machineSocket !== undefined) {
    const cri = connectCri({ socketPath, log });
    try {
      await removePods(cri, log);
    } catch (error) {
      log.warn({ error: String(error) }, 'pods could not be removed through CRI');
    } finally {
      cri.close();
    }
  }
  if (options.machineSocket !== undefined) return;
  if (daemon) {
    kill(daemon.pid, 'SIGTERM');
    if (!(await waitEnded(daemon, 10_000))) {
      log.warn({ pid: daemon.pid }, 'containerd does not end; killing it');
      kill(daemon.pid, 'SIGKILL');
      await waitEnded(daemon, 5_000);
    }
  }
  await killShims(context.paths.containerdSocket, log);
  const left = await unmountBelow([context.paths.containerdState, context.paths.containerdRoot], log);
  // Never delete through a mount that stands: what is behind it may be a volume.
  removeFiles(context, left.length === 0);
}

/** Stops and removes every sandbox with all its containers. */
async function removePods(cri: CriRuntime, log: Logger): Promise<void> {
  const { items } = await cri.listPodSandbox({}, { deadlineMs: 10_000 });
  await Promise.all(
    items.map(async (sandbox) => {
      const podSandboxId = sandbox.id;
      try {
        await cri.stopPodSandbox({ podSandboxId }, { deadlineMs: 20_000 });
        await cri.removePodSandbox({ podSandboxId }, { deadlineMs: 20_000 });
      } catch (error) {
        log.warn({ sandbox: sandbox.metadata?.name, error: String(error) }, 'a sandbox could not be removed');
      }
    }),
  );
}

/** Ends shims that outlived containerd, and the containers they hold. */
async function killShims(socketPath: string, log: Logger): Promise<void> {
  const shims = new Set(listShims(socketPath));
  if (shims.size === 0) return;
  const held = listProcesses().filter(({ parent }) => shims.has(parent));
  log.info({ shims: shims.size, containers: held.length }, 'ending shims that are left');
  const all = [...held.map(({ pid }) => pid), ...shims].flatMap((pid) => identify(pid) ?? []);
  for (const { pid } of all) kill(pid, 'SIGKILL');
  await Promise.all(all.map((process) => waitEnded(process, 5_000)));
}

/**
 * Unmounts all that this mount namespace has at or below the folders, innermost first. Resolves to the mounts that
 * are left.
 */
export async function unmountBelow(folders: readonly string[], log: Logger): Promise<string[]> {
  const points = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .flatMap((line) => line.split(' ')[4] ?? [])
    .map((point) =>
      point.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))),
    )
    .filter((point) => folders.some((folder) => point === folder || point.startsWith(`${folder}/`)))
    .reverse();
  if (points.length === 0) return [];
  const left: string[] = [];
  const umount = needProgram('umount');
  for (const point of points) {
    try {
      await run(umount, ['--lazy', '--no-canonicalize', point]);
    } catch (error) {
      log.warn({ point, error: String(error) }, 'a mount is left');
      left.push(point);
    }
  }
  return left;
}

/** Deletes sockets, pid file and transient state. */
function removeFiles(context: NodeContext, stateToo: boolean): void {
  const { paths } = context;
  removeShimSockets(join(paths.containerdState, 'io.containerd.runtime.v2.task', 'k8s.io'));
  if (stateToo) rmSync(paths.containerdState, { recursive: true, force: true });
  for (const path of [
    paths.containerdSocket,
    `${paths.containerdSocket}.ttrpc`,
    pidFileOf(context),
    configFileOf(context),
  ]) {
    rmSync(path, { force: true });
  }
  // Folders that containerd makes for its shims outside of its own state; others' shims may use them.
  for (const folder of shimSocketFolders) {
    try {
      rmdirSync(folder);
    } catch {
      // still in use, or never made
    }
  }
}

/** Shims listen in a folder common to all containerds of a machine; a killed shim leaves its socket. */
function removeShimSockets(tasks: string): void {
  if (!existsSync(tasks)) return;
  for (const id of readdirSync(tasks)) {
    const addressFile = join(tasks, id, 'address');
    if (!existsSync(addressFile)) continue;
    const address = readFileSync(addressFile, 'utf8').trim();
    if (address.startsWith('unix:///run/containerd/s/'))
      rmSync(address.slice('unix://'.length), { force: true });
  }
}
