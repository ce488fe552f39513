import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, realpath, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Mounts } from './mounts.ts';
import { VolumeError } from './host-path.ts';

/** open(2)'s O_PATH on every Linux architecture Node runs on. */
const O_PATH = 0o10000000;

/** Checks a subPath as the API's validation does; throws on one that could leave the volume. */
export function checkSubPath(subPath: string): string[] {
  if (subPath.startsWith('/'))
    throw new VolumeError(`subPath "${subPath}" must be a relative path`, { permanent: true });
  const parts = subPath.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..'))
    throw new VolumeError(`subPath "${subPath}" must not contain '..'`, { permanent: true });
  return parts;
}

/**
 * Opens a path below `folder` one name at a time, never following a symlink, making missing folders. A container
 * that swaps a name for a symlink while this runs gets an error, not a way out (CVE-2017-1002101).
 */
export async function openBelow(
  folder: string,
  parts: readonly string[],
  modeOfNew: number,
): Promise<FileHandle> {
  let at = await open(folder, O_PATH | constants.O_DIRECTORY);
  try {
    for (const [index, part] of parts.entries()) {
      const path = `/proc/self/fd/${at.fd}/${part}`;
      let next = await openName(path);
      if (next === undefined) {
        await mkdir(path, { mode: modeOfNew });
        next = await openName(path);
      }
      if (next === undefined)
        throw new VolumeError(`subPath "${parts.join('/')}" vanished while it was opened`);
      const info = await next.stat();
      const last = index === parts.length - 1;
      if (info.isSymbolicLink() || (!last && !info.isDirectory())) {
        await next.close();
        throw new VolumeError(`subPath "${parts.join('/')}": "${part}" is not a directory`);
      }
      const before = at;
      at = next;
      await before.close();
    }
    return at;
  } catch (error) {
    await at.close().catch(() => undefined);
    throw error;
  }
}

async function openName(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, O_PATH | constants.O_NOFOLLOW);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The parts with symlinks that stay inside the volume resolved; throws on one that leads out. */
async function resolvedParts(folder: string, parts: readonly string[]): Promise<string[]> {
  const root = await realpath(folder);
  for (let length = parts.length; length > 0; length--) {
    const real = await realpath(join(folder, ...parts.slice(0, length))).catch(() => undefined);
    if (real === undefined) continue;
    if (real !== root && !real.startsWith(`${root}/`)) {
      throw new VolumeError(`subPath "${parts.join('/')}" leads out of the volume`);
    }
    const inside = real === root ? [] : real.slice(root.length + 1).split('/');
    return [...inside, ...parts.slice(length)];
  }
  return [...parts];
}

/**
 * Binds a subPath of a volume to a place of its own under the pod's folder and returns that place: the container
 * gets exactly the file or folder that was checked. Without mounts, the path itself.
 *
 * In volumes written atomically the file of now is bound, and is not updated later (as upstream documents).
 */
export async function bindSubPath(options: {
  mounts: Mounts;
  volume: string;
  subPath: string;
  target: string;
}): Promise<string> {
  const wanted = checkSubPath(options.subPath);
  const info = await stat(options.volume);
  if (!info.isDirectory())
    throw new VolumeError(`subPath "${options.subPath}": the volume is not a directory`);
  const parts = await resolvedParts(options.volume, wanted);
  const handle = await openBelow(await realpath(options.volume), parts, 0o750 | (info.mode & 0o777));
  try {
    if (!options.mounts.real) return join(options.volume, ...wanted);
    const kind = await handle.stat();
    await options.mounts.unmount(options.target);
    await mkdir(join(options.target, '..'), { recursive: true, mode: 0o750 });
    if (kind.isDirectory()) await mkdir(options.target, { recursive: true, mode: 0o750 });
    else await writeFile(options.target, '', { mode: 0o640, flag: 'a' });
    await options.mounts.bind(`/proc/self/fd/${handle.fd}`, options.target);
    return options.target;
  } finally {
    await handle.close();
  }
}
