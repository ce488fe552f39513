import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The cgroup below which a node's pods live, as path components: the machine's root for the machine's own node,
 * otherwise one that belongs to the state folder, so that several nodes of a machine do not share `kubepods`.
 */
export function cgroupRootOf(root: string): string[] {
  return root === '/' ? [] : [`cloudless-${createHash('sha256').update(root).digest('hex').slice(0, 10)}`];
}

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
export function removePodCgroups(root: string): void {
  const names =
    root === '/'
      ? ['kubepods', 'kubepods.slice']
      : cgroupRootOf(root).flatMap((name) => [name, `${name.replaceAll('-', '_')}.slice`]);
  for (const mount of hierarchies()) for (const name of names) removeTree(join(mount, name));
}
