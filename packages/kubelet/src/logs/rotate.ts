import { createReadStream, createWriteStream } from 'node:fs';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

export interface RotationLimits {
  maxBytes: number;
  /** Files of one container's log, the current one among them; at least 2. */
  maxFiles: number;
}

/**
 * Rotates one container's log when it has grown too large (upstream: logs/container_log_manager.go): the current
 * file gets a time for a suffix, `reopen` makes the runtime begin a new one, and older files are compressed, the
 * oldest removed. True when it was rotated.
 */
export async function rotateLog(
  path: string,
  limits: RotationLimits,
  nowMs: number,
  reopen: () => Promise<void>,
): Promise<boolean> {
  const info = await stat(path).catch(() => undefined);
  if (info === undefined || info.size <= limits.maxBytes) return false;
  const older = await rotatedFiles(path);
  // The current file and the one about to be rotated count too.
  for (const file of older.slice(0, Math.max(0, older.length - (limits.maxFiles - 2))))
    await rm(file, { force: true });
  for (const file of await rotatedFiles(path)) if (!file.endsWith('.gz')) await compress(file);
  const rotated = `${path}.${suffix(nowMs)}`;
  await rename(path, rotated);
  try {
    await reopen();
  } catch (error) {
    // The runtime goes on writing to the renamed file: it gets its name back, so that nothing is lost.
    await rename(rotated, path);
    throw error;
  }
  return true;
}

/** Every rotated file of a log, the oldest first. */
export async function rotatedFiles(path: string): Promise<string[]> {
  const prefix = `${basename(path)}.`;
  const names = await readdir(dirname(path)).catch(() => [] as string[]);
  const complete = names.filter((name) => name.startsWith(prefix) && !name.endsWith('.tmp'));
  return complete.sort().map((name) => join(dirname(path), name));
}

/** `20260131-120000`, UTC. */
const suffix = (nowMs: number): string =>
  new Date(nowMs).toISOString().slice(0, 19).replace(/[-:]/g, '').replace('T', '-');

async function compress(path: string): Promise<void> {
  const unfinished = `${path}.tmp`;
  await pipeline(createReadStream(path), createGzip(), createWriteStream(unfinished, { mode: 0o640 }));
  await rename(unfinished, `${path}.gz`);
  await rm(path, { force: true });
}
