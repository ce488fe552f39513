import { chmod, mkdir, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { HostPathVolumeSource } from '@cloudless/kube/types/core-v1';

/** A volume that cannot be given to the pod; the message is that of its FailedMount event. */
export class VolumeError extends Error {
  /** True when trying again cannot help until the pod changes. */
  readonly permanent: boolean;

  constructor(message: string, options: { cause?: unknown; permanent?: boolean } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'VolumeError';
    this.permanent = options.permanent ?? false;
  }
}

/** Checks, and for the OrCreate types makes, what a hostPath volume stands for (upstream: volume/hostpath). */
export async function prepareHostPath(source: HostPathVolumeSource): Promise<string> {
  const { path, type = '' } = source;
  if (path.split('/').includes('..')) {
    throw new VolumeError(`hostPath "${path}" must not contain '..'`, { permanent: true });
  }
  if (type === '') return path;
  if (type === 'DirectoryOrCreate') await makeFolder(path);
  if (type === 'FileOrCreate') await makeFile(path);
  const info = await stat(path).catch(() => undefined);
  const fits: Record<string, [string, boolean | undefined]> = {
    Directory: ['directory', info?.isDirectory()],
    DirectoryOrCreate: ['directory', info?.isDirectory()],
    File: ['file', info?.isFile()],
    FileOrCreate: ['file', info?.isFile()],
    Socket: ['socket file', info?.isSocket()],
    CharDevice: ['character device', info?.isCharacterDevice()],
    BlockDevice: ['block device', info?.isBlockDevice()],
  };
  const rule = fits[type];
  if (rule === undefined) throw new VolumeError(`"${type}" is an invalid volume type`, { permanent: true });
  if (rule[1] !== true) throw new VolumeError(`hostPath type check failed: ${path} is not a ${rule[0]}`);
  return path;
}

async function makeFolder(path: string): Promise<void> {
  if (await stat(path).catch(() => undefined)) return;
  await mkdir(path, { recursive: true, mode: 0o755 });
  await chmod(path, 0o755);
}

async function makeFile(path: string): Promise<void> {
  const parent = await stat(dirname(path)).catch(() => undefined);
  if (!parent) throw new VolumeError(`hostPath type check failed: the folder of ${path} does not exist`);
  try {
    const file = await open(path, 'wx', 0o644);
    await file.chmod(0o644);
    await file.close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
