import { readFile } from 'node:fs/promises';

/** One mounted tree of cgroups. */
export interface Hierarchy {
  mountPoint: string;
  version: 1 | 2;
  /** v1: the controllers bound to it. v2: those it offers. Empty for systemd's own naming tree. */
  controllers: ReadonlySet<string>;
}

/** v1 controllers whose trees take pods' limits; a tree with none of them still holds the cgroups. */
const knownControllers = new Set([
  'cpu',
  'cpuacct',
  'cpuset',
  'memory',
  'pids',
  'blkio',
  'devices',
  'freezer',
  'hugetlb',
  'net_cls',
  'net_prio',
  'perf_event',
  'rdma',
  'misc',
]);

/** Every cgroup tree mounted here: one for v2, one per controller set for v1, both for hybrid. */
export async function cgroupHierarchies(): Promise<Hierarchy[]> {
  const found = new Map<string, Hierarchy>();
  for (const line of (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')) {
    const [before, after] = line.split(' - ');
    if (before === undefined || after === undefined) continue;
    const [type, , options = ''] = after.split(' ');
    const [, , , rootOfMount, mountPoint = ''] = before.split(' ');
    if (rootOfMount !== '/' || !mountPoint.startsWith('/sys/fs/cgroup')) continue;
    if (type === 'cgroup2') {
      const offered = await readFile(`${mountPoint}/cgroup.controllers`, 'utf8').catch(() => '');
      found.set(mountPoint, {
        mountPoint,
        version: 2,
        controllers: new Set(
          offered
            .trim()
            .split(' ')
            .filter((name) => name !== ''),
        ),
      });
    } else if (type === 'cgroup') {
      const controllers = options.split(',').filter((name) => knownControllers.has(name));
      found.set(mountPoint, { mountPoint, version: 1, controllers: new Set(controllers) });
    }
  }
  return [...found.values()];
}

/** True where every controller is in the v2 tree. */
export const isUnified = (hierarchies: readonly Hierarchy[]): boolean =>
  hierarchies.length > 0 && hierarchies.every((hierarchy) => hierarchy.version === 2);
