import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type LinuxLimits, weightOfShares } from '../resources/linux.ts';
import type { Hierarchy } from './hierarchies.ts';

export interface CgroupLimits extends Partial<LinuxLimits> {
  pids?: number | undefined;
}

/** The files of one cgroup folder that say these limits; what the hierarchy has no controller for is left out. */
export function limitFiles(hierarchy: Hierarchy, limits: CgroupLimits): Array<[file: string, value: string]> {
  const has = (controller: string): boolean => hierarchy.controllers.has(controller);
  const files: Array<[string, string]> = [];
  const period = limits.cpuPeriodMicros ?? 100_000;
  if (hierarchy.version === 2) {
    if (has('cpu') && limits.cpuShares !== undefined)
      files.push(['cpu.weight', String(weightOfShares(limits.cpuShares))]);
    if (has('cpu') && limits.cpuQuotaMicros !== undefined)
      files.push(['cpu.max', `${limits.cpuQuotaMicros} ${period}`]);
    if (has('memory') && limits.memoryLimitBytes !== undefined)
      files.push(['memory.max', String(limits.memoryLimitBytes)]);
    if (has('pids') && limits.pids !== undefined) files.push(['pids.max', String(limits.pids)]);
    return files;
  }
  if (has('cpu') && limits.cpuShares !== undefined) files.push(['cpu.shares', String(limits.cpuShares)]);
  if (has('cpu') && limits.cpuQuotaMicros !== undefined) {
    files.push(['cpu.cfs_period_us', String(period)], ['cpu.cfs_quota_us', String(limits.cpuQuotaMicros)]);
  }
  if (has('memory') && limits.memoryLimitBytes !== undefined) {
    files.push(['memory.limit_in_bytes', String(limits.memoryLimitBytes)]);
  }
  if (has('pids') && limits.pids !== undefined) files.push(['pids.max', String(limits.pids)]);
  return files;
}

/** Writes limits; a file that this kernel lacks is skipped, as its feature is. */
export async function writeLimits(hierarchy: Hierarchy, folder: string, limits: CgroupLimits): Promise<void> {
  for (const [file, value] of limitFiles(hierarchy, limits)) {
    await writeFile(join(folder, file), value).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }
}

/** Lets a v2 cgroup's children have the controllers its parent gives it. */
export async function passControllersOn(folder: string): Promise<void> {
  const offered = (await readFile(join(folder, 'cgroup.controllers'), 'utf8')).trim().split(' ');
  for (const controller of offered) {
    if (controller === '') continue;
    // One by one: a controller that cannot be passed on (realtime processes hold cpu) must not stop the others.
    await writeFile(join(folder, 'cgroup.subtree_control'), `+${controller}`).catch(() => undefined);
  }
}

/** v1's cpuset of a new cgroup is empty and admits no process until filled from the parent. */
export async function inheritCpuset(parent: string, folder: string): Promise<void> {
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    const own = (await readFile(join(folder, file), 'utf8')).trim();
    if (own === '') await writeFile(join(folder, file), (await readFile(join(parent, file), 'utf8')).trim());
  }
}
