import { execFileSync } from 'node:child_process';
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodeContext } from '../../packages/kube/src/node/context.ts';
import { kubeletDefaults } from '../../packages/kubelet/src/index.ts';
import { cgroupRootOf } from '../../packages/kubelet/src/kubelet/start.ts';

/** What a node could leave behind on a machine, as sorted lines. */
export interface MachineListing {
  processes: string[];
  mounts: string[];
  interfaces: string[];
  routes: string[];
  nft: string;
  cgroups: string[];
}

const lines = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .sort();

/** Nodes with other roots may live on this machine at the same time: only this one's cgroups count. */
function cgroupsBelow(mount: string, root: string): string[] {
  const own = cgroupRootOf(nodeContext({ root, nodeName: 'any' }), kubeletDefaults)[0] as string;
  return readdirSync(mount, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name.startsWith(own))
    .map((entry) => join(mount, entry.name));
}

/** Takes the listing of this network namespace and of the machine around it; `marker` is the node's root, which is in its command lines. */
export function listMachine(marker: string): MachineListing {
  const processes = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        return [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()];
      } catch {
        return [];
      }
    })
    .filter((command) => command.includes(marker));
  const mounts = lines(readFileSync('/proc/self/mountinfo', 'utf8'));
  return {
    processes,
    mounts: mounts.map((line) => line.split(' ')[4] as string).sort(),
    interfaces: lines(execFileSync('ip', ['-brief', 'link'], { encoding: 'utf8' })).map(
      (line) => line.split(/\s+/)[0] as string,
    ),
    // Link-local addresses appear by themselves a second or two after a link.
    routes: lines(execFileSync('ip', ['route', 'show', 'table', 'all'], { encoding: 'utf8' })).filter(
      (line) => !line.includes('fe80:'),
    ),
    nft: execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' }),
    cgroups: mounts
      .filter((line) => / - cgroup2? /.test(line))
      .flatMap((line) => cgroupsBelow(line.split(' ')[4] as string, marker))
      .sort(),
  };
}

/**
 * Sockets of the shims that run a node's pods. They lie in a folder that all containerds of a machine share, so they
 * are found by what containerd notes of each pod; ask before the end, and see after it that none is left.
 */
export function shimSocketsOf(root: string): string[] {
  const tasks = join(root, 'run/cloudless/containerd/io.containerd.runtime.v2.task/k8s.io');
  return globSync(join(tasks, '*/address')).map((path) =>
    readFileSync(path, 'utf8')
      .trim()
      .replace(/^unix:\/\//, ''),
  );
}
