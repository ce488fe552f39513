import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** One file of a volume. */
export interface ProjectedFile {
  data: Uint8Array;
  /** Permission bits. */
  mode: number;
  /** Owner, when not root. */
  uid?: number | undefined;
}

/** Path within the volume → file. */
export type Payload = ReadonlyMap<string, ProjectedFile>;

/** A path that would leave the volume or break its layout. */
export class PathError extends Error {
  constructor(path: string, why: string) {
    super(`invalid path "${path}": ${why}`);
    this.name = 'PathError';
  }
}

const dataName = '..data';
const newDataName = '..data_tmp';
const maxPathLength = 4096;
const maxFileNameLength = 255;

/**
 * Writes a volume so that a reader sees all old or all new files, never a mixture (upstream:
 * pkg/volume/util/atomic_writer.go): files go to a fresh folder `..TIMESTAMP…`, the symlink `..data` is moved
 * to it by one rename, and names in the volume are symlinks through `..data`. Resolves to whether anything
 * changed. `settle` is called on the fresh folder before it is shown, for ownership.
 */
export async function writeAtomically(
  volume: string,
  payload: Payload,
  settle?: (folder: string) => Promise<void>,
): Promise<boolean> {
  for (const path of payload.keys()) validatePath(path);
  const oldName = await currentFolder(volume);
  const oldFolder = oldName === undefined ? undefined : join(volume, oldName);
  const stale = oldFolder === undefined ? [] : await staleNames(oldFolder, payload);
  if (oldFolder !== undefined && stale.length === 0 && (await same(oldFolder, payload))) {
    await linkNames(volume, payload);
    return false;
  }
  const folder = await mkdtemp(join(volume, `..${timestamp()}.`));
  await chmod(folder, 0o755);
  await writePayload(folder, payload);
  await settle?.(folder);
  const link = join(volume, newDataName);
  await rm(link, { force: true });
  await symlink(folder.slice(volume.length + 1), link);
  await rename(link, join(volume, dataName));
  await linkNames(volume, payload);
  await unlinkNames(volume, payload);
  if (oldFolder !== undefined) await rm(oldFolder, { recursive: true, force: true });
  return true;
}

function validatePath(path: string): void {
  if (path === '') throw new PathError(path, 'must not be empty');
  if (path.startsWith('/')) throw new PathError(path, 'must be relative');
  if (path.length > maxPathLength) throw new PathError(path, `must be at most ${maxPathLength} characters`);
  const parts = path.split('/');
  if (parts.includes('..')) throw new PathError(path, "must not contain '..'");
  if (path.startsWith('..')) throw new PathError(path, "must not start with '..'");
  if (parts.some((part) => Buffer.byteLength(part) > maxFileNameLength)) {
    throw new PathError(path, `file names must be at most ${maxFileNameLength} characters`);
  }
}

/** `2026_01_31_12_00_00`, UTC. */
const timestamp = (): string => new Date().toISOString().slice(0, 19).replace(/[-T:]/g, '_');

async function currentFolder(volume: string): Promise<string | undefined> {
  try {
    return await readlink(join(volume, dataName));
  } catch {
    return undefined;
  }
}

async function filesUnder(folder: string, prefix = ''): Promise<string[]> {
  const entries = await readdir(join(folder, prefix), { withFileTypes: true }).catch(() => []);
  const lists = await Promise.all(
    entries.map((entry) => {
      const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
      return entry.isDirectory() ? filesUnder(folder, path) : Promise.resolve([path]);
    }),
  );
  return lists.flat();
}

async function staleNames(oldFolder: string, payload: Payload): Promise<string[]> {
  const wanted = new Set([...payload.keys()].map(normal));
  return (await filesUnder(oldFolder)).filter((path) => !wanted.has(path));
}

const normal = (path: string): string =>
  path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');

async function same(folder: string, payload: Payload): Promise<boolean> {
  for (const [path, file] of payload) {
    const at = join(folder, path);
    const [data, info] = await Promise.all([
      readFile(at).catch(() => undefined),
      lstat(at).catch(() => undefined),
    ]);
    if (data === undefined || info === undefined || !data.equals(file.data)) return false;
    // Ownership by group adds bits; what the file must have, it has.
    if ((info.mode & file.mode & 0o777) !== (file.mode & 0o777)) return false;
  }
  return true;
}

async function writePayload(folder: string, payload: Payload): Promise<void> {
  for (const [path, file] of payload) {
    const at = join(folder, path);
    await mkdir(dirname(at), { recursive: true, mode: 0o755 });
    await writeFile(at, file.data, { mode: file.mode });
    // The process's umask must not take bits away.
    await chmod(at, file.mode);
    if (file.uid !== undefined) await chown(at, file.uid, -1 >>> 0);
  }
}

const firstNames = (payload: Payload): Set<string> =>
  new Set([...payload.keys()].map((path) => normal(path).split('/')[0]!));

async function linkNames(volume: string, payload: Payload): Promise<void> {
  for (const name of firstNames(payload)) {
    await symlink(join(dataName, name), join(volume, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}

async function unlinkNames(volume: string, payload: Payload): Promise<void> {
  const wanted = firstNames(payload);
  for (const name of await readdir(volume)) {
    if (!name.startsWith('..') && !wanted.has(name)) await unlink(join(volume, name));
  }
}
