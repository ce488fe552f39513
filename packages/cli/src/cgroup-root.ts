import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeContext } from '@cloudless/kube/node/context';
import { kubeletDefaults } from '@cloudless/kubelet';
import { cgroupRootOf } from '@cloudless/kubelet/kubelet/start';

/** Mount points of every cgroup hierarchy, v1 and v2. */
function hierarchies(): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(' ')[4] as string);
}

function removeTree(folder: string): void {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory()) removeTree(join(folder, entry.name));
  try {
    rmdirSync(folder);
  } catch {
    // A process is still in it; whoever ends that removes the folder.
  }
}

/** Removes what is left of a node's pod cgroups in every hierarchy. Processes must have ended. */
export function removePodCgroups(context: NodeContext): void {
  const [top = 'kubepods'] = cgroupRootOf(context, kubeletDefaults);
  for (const mount of hierarchies()) for (const name of [top, `${top}.slice`]) removeTree(join(mount, name));
}
