import { createHash } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { headBytes, headPages } from '../snapshot/bbolt-writer.ts';
import { EtcdFileWriter } from '../snapshot/etcd-writer.ts';
import { CopyError } from './errors.ts';
import type { History } from './history.ts';
import { importingPath, type TargetOptions } from './sqlite-target.ts';

/**
 * Writes any history as an etcd snapshot file: pages as they are finished, then the first ones, which say where the
 * rest is, then the checksum. It takes its name when it is whole and on the disk.
 *
 * @throws CopyError when the file is there and `force` was not said
 */
export async function writeSnapshotFile(
  path: string,
  history: History,
  options: TargetOptions,
): Promise<void> {
  refuseExisting(path, options);
  await writeWhole(path, async (file) => {
    let pages: Buffer[] = [];
    let position = headBytes;
    const writer = new EtcdFileWriter(history, (page) => pages.push(page));
    const flush = async (): Promise<void> => {
      const bytes = Buffer.concat(pages);
      pages = [];
      await writeAll(file, bytes, position);
      position += bytes.length;
    };
    let [records, bytes] = [0, 0];
    for await (const piece of history.records()) {
      options.signal?.throwIfAborted();
      for (const record of piece) {
        writer.add(record);
        bytes += record.key.byteLength + (record.value?.byteLength ?? 0);
      }
      await flush();
      records += piece.length;
      options.report?.({ records, of: Math.max(records, history.recordCount), bytes });
    }
    const meta = writer.finish();
    await flush();
    await writeAll(file, headPages(meta), 0);
    await writeAll(file, await hashOf(file, position), position);
  });
}

/** Writes a stream of bytes as a file that takes its name when it is whole and on the disk. */
export async function writeStream(
  path: string,
  stream: AsyncIterable<Uint8Array>,
  options: TargetOptions,
): Promise<void> {
  refuseExisting(path, options);
  await writeWhole(path, async (file) => {
    let position = 0;
    for await (const bytes of stream) {
      options.signal?.throwIfAborted();
      await writeAll(file, bytes, position);
      position += bytes.byteLength;
      options.report?.({ records: 0, of: 0, bytes: position });
    }
  });
}

function refuseExisting(path: string, { force }: TargetOptions): void {
  if (force || !existsSync(path)) return;
  throw new CopyError(
    'not-empty',
    `${path} is there already: write to another file, or say --force to replace it`,
  );
}

async function writeWhole(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const temporary = importingPath(path);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await rm(temporary, { force: true });
  const { O_CREAT, O_EXCL, O_RDWR } = constants;
  const file = await open(temporary, O_CREAT | O_EXCL | O_RDWR, 0o600);
  try {
    await write(file);
    await file.sync();
  } catch (error) {
    await file.close();
    await rm(temporary, { force: true });
    throw error;
  }
  await file.close();
  await rename(temporary, path);
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.byteLength - done, position + done);
    done += bytesWritten;
  }
}

async function hashOf(file: FileHandle, bytes: number): Promise<Buffer> {
  const hash = createHash('sha256');
  const chunk = Buffer.alloc(1 << 20);
  for (let at = 0; at < bytes;) {
    const { bytesRead } = await file.read(chunk, 0, Math.min(chunk.length, bytes - at), at);
    if (bytesRead === 0) throw new Error(`the file written ends at byte ${at} of ${bytes}`);
    hash.update(chunk.subarray(0, bytesRead));
    at += bytesRead;
  }
  return hash.digest();
}
