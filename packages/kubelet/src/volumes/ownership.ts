import { chmod, lchown, lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

const readWriteMask = 0o660;
const readOnlyMask = 0o440;
const executeMask = 0o110;
const setGroupId = 0o2000;

/**
 * Gives a volume to a group (upstream: volume_linux.go SetVolumeOwnership): every entry belongs to `group` and
 * is readable, and writable unless `readOnly`, by it; folders pass the group on. Symlinks are owned, not followed.
 */
export async function giveToGroup(folder: string, group: number, readOnly: boolean): Promise<void> {
  const info = await lstat(folder);
  await giveEntry(folder, info, group, readOnly);
  if (!info.isDirectory()) return;
  for (const name of await readdir(folder)) await giveToGroup(join(folder, name), group, readOnly);
}

async function giveEntry(
  path: string,
  info: Awaited<ReturnType<typeof lstat>>,
  group: number,
  readOnly: boolean,
): Promise<void> {
  await lchown(path, Number(info.uid), group);
  if (info.isSymbolicLink()) return;
  let mask = readOnly ? readOnlyMask : readWriteMask;
  if (info.isDirectory()) mask |= setGroupId | executeMask;
  await chmod(path, Number(info.mode) | mask);
}

/** Whether the volume's root already belongs to the group as it should (fsGroupChangePolicy OnRootMismatch). */
export async function belongsToGroup(folder: string, group: number, readOnly: boolean): Promise<boolean> {
  const info = await lstat(folder);
  const mask = (readOnly ? readOnlyMask : readWriteMask) | setGroupId | executeMask;
  return info.gid === group && (info.mode & mask) === mask;
}
