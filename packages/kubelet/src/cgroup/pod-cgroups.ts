import { execFile } from 'node:child_process';
import { mkdir, readdir, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Pod } from '@cloudless/kube/types/core-v1';
import { podResources } from '../resources/amounts.ts';
import { linuxLimits, weightOfShares } from '../resources/linux.ts';
import { cgroupHierarchies, type Hierarchy, isUnified } from './hierarchies.ts';
import { type CgroupLimits, inheritCpuset, passControllersOn, writeLimits } from './limits.ts';
import {
  type CgroupDriver,
  type CgroupName,
  cgroupNameOf,
  cgroupParent,
  cgroupPath,
  sliceName,
  uidOfFolder,
} from './names.ts';

/** The cgroups above pods' containers. Nobody but the kubelet makes or removes them. */
export interface PodCgroups {
  readonly unified: boolean;
  /** For CRI's cgroup_parent. */
  parentOf(pod: Pod): string;
  /** Makes the pod's cgroup in every hierarchy with its limits; again and again without harm. */
  create(pod: Pod): Promise<void>;
  /** Removes it; true once nothing of it is left. */
  remove(uid: string): Promise<boolean>;
  /** Uids of pods that have a cgroup. */
  present(): Promise<string[]>;
  /** Removes the levels above pods, when no pod is left. */
  removeRoots(): Promise<void>;
}

export interface PodCgroupOptions {
  driver: CgroupDriver;
  /** Empty for the machine's root. */
  root: CgroupName;
  /** KubeletConfiguration.podPidsLimit; -1 for none. */
  podPidsLimit: number;
}

/** For the simulated runtime. */
export const noCgroups: PodCgroups = {
  unified: true,
  parentOf: () => '',
  create: async () => {},
  remove: async () => true,
  present: async () => [],
  removeRoots: async () => {},
};

/** Cgroups of either version, by files or through systemd. */
export async function podCgroups(options: PodCgroupOptions): Promise<PodCgroups> {
  const hierarchies = await cgroupHierarchies();
  const make = options.driver === 'systemd' ? makeSlice : makeFolders;
  const roots = [
    [...options.root, 'kubepods', 'burstable'],
    [...options.root, 'kubepods', 'besteffort'],
    [...options.root, 'kubepods'],
  ];
  const context: Context = { hierarchies, options, made: new Set() };
  return {
    unified: isUnified(hierarchies),
    parentOf: (pod) => cgroupParent(cgroupNameOf(options.root, pod), options.driver),
    async create(pod) {
      const name = cgroupNameOf(options.root, pod);
      const key = name.join('/');
      if (context.made.has(key)) return;
      await make(context, name, limitsOf(pod, options));
      context.made.add(key);
    },
    async remove(uid) {
      for (const key of context.made) if (key.endsWith(`/pod${uid}`)) context.made.delete(key);
      const folders = await podFoldersOf(context, uid);
      if (options.driver === 'systemd')
        await stopSlices(folders.map((folder) => folder.slice(folder.lastIndexOf('/') + 1)));
      return removeFolders(folders);
    },
    async present() {
      const folders = await allPodFolders(context);
      return [...new Set(folders.map((folder) => uidOfFolder(folder)).filter((uid) => uid !== undefined))];
    },
    async removeRoots() {
      if (options.driver === 'systemd') await stopSlices(roots.map(sliceName));
      for (const name of options.root.length > 0 ? [...roots, options.root] : roots) {
        for (const { mountPoint } of hierarchies) {
          await rmdir(join(mountPoint, cgroupPath(name, options.driver))).catch(() => undefined);
        }
      }
      context.made.clear();
    },
  };
}

interface Context {
  hierarchies: readonly Hierarchy[];
  options: PodCgroupOptions;
  /** Names made since the start, so that a sync costs nothing. */
  made: Set<string>;
}

/** A pod's own limits: quota and memory only where each of its containers has one. */
function limitsOf(pod: Pod, options: PodCgroupOptions): CgroupLimits {
  const { requests, limits } = podResources(pod);
  return {
    ...linuxLimits(requests, limits),
    ...(options.podPidsLimit > 0 ? { pids: options.podPidsLimit } : {}),
  };
}

async function makeFolders(context: Context, name: CgroupName, limits: CgroupLimits): Promise<void> {
  for (const hierarchy of context.hierarchies) {
    let folder = hierarchy.mountPoint;
    for (const [at, part] of name.entries()) {
      if (hierarchy.version === 2) await passControllersOn(folder);
      const parent = folder;
      folder = join(folder, part);
      const isNew = (await mkdir(folder, { recursive: true })) !== undefined;
      if (hierarchy.version === 1 && hierarchy.controllers.has('cpuset')) await inheritCpuset(parent, folder);
      // Pods without requests share what is left (upstream: the besteffort level has the least weight).
      if (isNew && part === 'besteffort' && at < name.length - 1)
        await writeLimits(hierarchy, folder, { cpuShares: 2 });
    }
    if (hierarchy.version === 2) await passControllersOn(folder);
    await writeLimits(hierarchy, folder, limits);
  }
}

const run = promisify(execFile);
const systemdManager = [
  'call',
  'org.freedesktop.systemd1',
  '/org/freedesktop/systemd1',
  'org.freedesktop.systemd1.Manager',
];

/** A transient slice: it vanishes with its stop and leaves no file (upstream: runc's systemd manager). */
async function makeSlice(_context: Context, name: CgroupName, limits: CgroupLimits): Promise<void> {
  const properties: string[][] = [
    ['Description', 's', `Cloudless pod cgroup ${sliceName(name)}`],
    ...['MemoryAccounting', 'CPUAccounting', 'TasksAccounting', 'IOAccounting'].map((key) => [
      key,
      'b',
      'true',
    ]),
    ['DefaultDependencies', 'b', 'false'],
  ];
  if (limits.cpuShares !== undefined)
    properties.push(['CPUWeight', 't', String(weightOfShares(limits.cpuShares))]);
  if (limits.cpuQuotaMicros !== undefined) {
    const perSecond = Math.ceil((limits.cpuQuotaMicros * 1_000_000) / (limits.cpuPeriodMicros ?? 100_000));
    properties.push(['CPUQuotaPerSecUSec', 't', String(perSecond)]);
  }
  if (limits.memoryLimitBytes !== undefined)
    properties.push(['MemoryMax', 't', String(limits.memoryLimitBytes)]);
  if (limits.pids !== undefined) properties.push(['TasksMax', 't', String(limits.pids)]);
  const signature = [
    'StartTransientUnit',
    'ssa(sv)a(sa(sv))',
    sliceName(name),
    'fail',
    String(properties.length),
  ];
  try {
    await run('busctl', [...systemdManager, ...signature, ...properties.flat(), '0']);
  } catch (error) {
    // A restarted kubelet finds its slices running.
    if (!/already|exists|loaded/i.test((error as Error).message)) throw error;
  }
}

async function stopSlices(slices: readonly string[]): Promise<void> {
  for (const slice of new Set(slices)) {
    await run('busctl', [...systemdManager, 'StopUnit', 'ss', slice, 'replace']).catch(() => undefined);
  }
}

async function allPodFolders(context: Context): Promise<string[]> {
  const { driver, root } = context.options;
  const found: string[] = [];
  for (const { mountPoint } of context.hierarchies) {
    for (const level of [[], ['burstable'], ['besteffort']]) {
      const folder = join(mountPoint, cgroupPath([...root, 'kubepods', ...level], driver));
      for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
        if (entry.isDirectory() && uidOfFolder(entry.name) !== undefined)
          found.push(join(folder, entry.name));
      }
    }
  }
  return found;
}

const podFoldersOf = async (context: Context, uid: string): Promise<string[]> =>
  (await allPodFolders(context)).filter((folder) => uidOfFolder(folder) === uid);

const removeTries = 40;
const removePauseMs = 25;

/** Removes cgroups from the leaves up; processes on their way out are given a second. */
async function removeFolders(folders: readonly string[]): Promise<boolean> {
  let left = folders;
  for (let tries = 0; tries < removeTries; tries++) {
    const outcomes = await Promise.all(
      left.map(async (folder) => ({ folder, gone: await removeTree(folder, tries === 20) })),
    );
    left = outcomes.filter((outcome) => !outcome.gone).map((outcome) => outcome.folder);
    if (left.length === 0) return true;
    await new Promise((resolve) => setTimeout(resolve, removePauseMs));
  }
  return false;
}

async function removeTree(folder: string, killFirst: boolean): Promise<boolean> {
  // v2 only: ends what a container left behind outside its own process tree.
  if (killFirst) await writeFile(join(folder, 'cgroup.kill'), '1').catch(() => undefined);
  const children = await readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const child of children) if (child.isDirectory()) await removeTree(join(folder, child.name), false);
  return rmdir(folder).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
  );
}
