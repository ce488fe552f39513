import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { ContainerState } from '../cri/generated/types.ts';
import type { CriRuntime } from '../cri/runtime.ts';

/** How long the runtime may take to notice that a container's process has ended, and how often it is asked. */
const noticeMs = 2_000;
const askEveryMs = 25;

/**
 * Whether somebody can still join a container. The runtime calls it running for a moment after its process has ended:
 * who joined it then would hear nothing, and not learn that there is a log to read instead. False comes when all that
 * the container wrote is in its log. Of a runtime that names no process its own word is taken.
 */
export async function isJoinable(cri: CriRuntime, containerId: string): Promise<boolean> {
  const endMs = performance.now() + noticeMs;
  for (;;) {
    const { status, info } = await cri.containerStatus({ containerId, verbose: true });
    if (status?.state !== ContainerState.CONTAINER_RUNNING) return false;
    const pid = pidIn(info);
    if (pid === undefined || (await isAlive(pid))) return true;
    if (performance.now() > endMs) return false;
    await delay(askEveryMs);
  }
}

/** containerd's `info`: what it knows of the container, as JSON. */
function pidIn(info: Readonly<Record<string, string>>): number | undefined {
  try {
    const { pid } = JSON.parse(info['info'] ?? '') as { pid?: unknown };
    return typeof pid === 'number' && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** A process that has ended and waits for its parent to notice is not alive (proc_pid_stat(5)). */
async function isAlive(pid: number): Promise<boolean> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    return !['Z', 'X'].includes(stat[stat.lastIndexOf(')') + 2] ?? '');
  } catch {
    return false;
  }
}
