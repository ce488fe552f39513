import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statfsSync,
} from 'node:fs';
import { execFile } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { systemdBootedFolder } from '@cloudless/kube/node/machine-paths';
import { ContainerdError } from './error.ts';

const run = promisify(execFile);

/** Where Debian puts daemons; a service's PATH may lack them. */
const daemonFolders = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** PATH for children: what was given, and the daemons' folders. */
export const searchPath = (): string =>
  [...new Set([...(process.env['PATH'] ?? '').split(delimiter), ...daemonFolders])]
    .filter(Boolean)
    .join(delimiter);

/** The full path of a program, or undefined. */
export function findProgram(name: string): string | undefined {
  for (const folder of searchPath().split(delimiter)) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not in this folder
    }
  }
  return undefined;
}

/** Programs the private containerd needs, and Debian's package of each. */
const packages: Record<string, string> = {
  containerd: 'containerd',
  ctr: 'containerd',
  'containerd-shim-runc-v2': 'containerd',
  runc: 'runc',
  mount: 'mount',
  umount: 'mount',
};

/** The full path of a program the runtime needs; throws an error that names its package and the command. */
export function needProgram(name: keyof typeof packages): string {
  const path = findProgram(name);
  if (path) return path;
  const of = packages[name] as string;
  throw new ContainerdError(
    'missing-program',
    `the program ${name} is not installed (looked in ${searchPath()}): it is in Debian's package ${of}; install it with: apt-get install --yes --no-install-recommends ${of}`,
  );
}

/** Bits of capabilities (linux/capability.h). */
const capabilityBits = { sysAdmin: 21n, sysResource: 24n };

/** Whether this process holds a capability, so that its children can. */
export function hasCapability(name: keyof typeof capabilityBits): boolean {
  const status = readFileSync('/proc/self/status', 'utf8');
  const mask = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return ((mask >> capabilityBits[name]) & 1n) === 1n;
}

/** Everything that keeps containers from running here, in sentences; empty when nothing does. */
export function containerObstacles(): ContainerdError[] {
  if (process.platform !== 'linux') {
    return [new ContainerdError('not-linux', `containers need Linux, this is ${process.platform}`)];
  }
  const found: ContainerdError[] = [];
  if (process.geteuid?.() !== 0) {
    found.push(new ContainerdError('not-root', 'containers need root: run as root, or with sudo'));
  } else if (!hasCapability('sysAdmin')) {
    found.push(
      new ContainerdError(
        'no-mount-right',
        'containers need the capability CAP_SYS_ADMIN, which this process lacks: give it to the surrounding container (docker run --privileged), or run on a machine of its own',
      ),
    );
  }
  for (const name of Object.keys(packages)) {
    try {
      needProgram(name);
    } catch (error) {
      if (error instanceof ContainerdError) found.push(error);
      else throw error;
    }
  }
  return found;
}

export type CgroupLayout = 'v2' | 'v1' | 'hybrid';

const cgroup2Magic = 0x63677270;

/** How cgroups are mounted; hybrid is v1 controllers with a v2 tree beside them. */
export function cgroupLayout(): CgroupLayout {
  const magic = (path: string): number => (existsSync(path) ? statfsSync(path).type : 0);
  if (magic('/sys/fs/cgroup') === cgroup2Magic) return 'v2';
  return magic('/sys/fs/cgroup/unified') === cgroup2Magic ? 'hybrid' : 'v1';
}

/** systemd is process 1 (sd_booted(3)). */
export const bootedBySystemd = (): boolean => existsSync(systemdBootedFolder);

/** Who writes cgroups: systemd where it owns a v2 tree (upstream's recommendation), else runc itself. */
export const cgroupDriver = (): 'systemd' | 'cgroupfs' =>
  bootedBySystemd() && cgroupLayout() === 'v2' ? 'systemd' : 'cgroupfs';

/** `overlayfs` where one can be mounted on `folder`'s file system, else the slow copying `native`. */
export async function snapshotterFor(folder: string): Promise<'overlayfs' | 'native'> {
  mkdirSync(folder, { recursive: true });
  const at = mkdtempSync(join(folder, '.overlay-'));
  try {
    for (const name of ['lower', 'upper', 'work', 'merged']) mkdirSync(join(at, name));
    const options = `lowerdir=${at}/lower,upperdir=${at}/upper,workdir=${at}/work`;
    await run(needProgram('mount'), ['-t', 'overlay', 'overlay', '-o', options, join(at, 'merged')]);
    await run(needProgram('umount'), [join(at, 'merged')]);
    return 'overlayfs';
  } catch (error) {
    if (error instanceof ContainerdError) throw error;
    return 'native';
  } finally {
    rmSync(at, { recursive: true, force: true });
  }
}
