import { existsSync } from 'node:fs';
import { readFile, statfs } from 'node:fs/promises';
import { arch, availableParallelism, release, totalmem } from 'node:os';
import type { NodeSystemInfo } from '@cloudless/kube/types/core-v1';
import { kubeletVersion } from './version.ts';

/** What the machine has, in whole units. */
export interface Machine {
  cpuCores: number;
  memoryBytes: number;
  info: Omit<NodeSystemInfo, 'containerRuntimeVersion'>;
  appArmor: boolean;
}

const firstLine = async (path: string): Promise<string> =>
  (await readFile(path, 'utf8').catch(() => '')).trim().split('\n')[0] ?? '';

/** Go's name of this processor architecture, as node labels have it. */
export function goArchitecture(name: string = arch()): string {
  return { x64: 'amd64', ia32: '386' }[name] ?? name;
}

export async function readMachine(): Promise<Machine> {
  const release_ = await readFile('/etc/os-release', 'utf8').catch(() => '');
  const osImage = /^PRETTY_NAME="?(.*?)"?$/m.exec(release_)?.[1] ?? 'Linux';
  const machineID = await firstLine('/etc/machine-id');
  return {
    cpuCores: availableParallelism(),
    memoryBytes: totalmem(),
    info: {
      machineID,
      systemUUID: (await firstLine('/sys/class/dmi/id/product_uuid')) || machineID,
      bootID: await firstLine('/proc/sys/kernel/random/boot_id'),
      kernelVersion: release(),
      osImage,
      kubeletVersion,
      kubeProxyVersion: '',
      operatingSystem: 'linux',
      architecture: goArchitecture(),
    },
    appArmor:
      existsSync('/sys/module/apparmor/parameters/enabled') &&
      (await firstLine('/sys/module/apparmor/parameters/enabled')) === 'Y',
  };
}

export interface Pressure {
  memoryAvailableBytes: number;
  diskBytes: number;
  diskAvailableBytes: number;
  inodes: number;
  inodesFree: number;
}

/** Memory and disk left; `folder` tells the file system that pods write to. */
export async function readPressure(folder: string): Promise<Pressure> {
  const memory = await readFile('/proc/meminfo', 'utf8').catch(() => '');
  const available = /^MemAvailable:\s+(\d+) kB$/m.exec(memory)?.[1];
  const disk = await statfs(folder).catch(() => undefined);
  return {
    memoryAvailableBytes: available === undefined ? Infinity : Number(available) * 1024,
    diskBytes: disk ? disk.blocks * disk.bsize : 0,
    diskAvailableBytes: disk ? disk.bavail * disk.bsize : Infinity,
    inodes: disk?.files ?? 0,
    inodesFree: disk?.ffree ?? Infinity,
  };
}
