import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';

/** Upstream's `--audit-log-max…`; zero means no limit, but for the size. */
export interface Rotation {
  readonly maxAgeDays: number;
  readonly maxBackups: number;
  /** Mebibytes; 0: 100. */
  readonly maxSizeMib: number;
}

const mebibyte = 1024 * 1024;
const defaultSizeMib = 100;
const dayMs = 24 * 3600 * 1000;
const stampPattern = /^(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d\.\d{3})$/;

/**
 * A log file that is set aside as `NAME-TIME.EXT` when it is full, with the names and rules of the library that
 * kube-apiserver uses (lumberjack). Writes must not overlap.
 */
export class RotatingFile {
  readonly #path: string;
  readonly #rotation: Rotation;
  readonly #nowMs: () => number;
  readonly #maxBytes: number;
  #file: FileHandle | undefined;
  #bytes = 0;

  constructor(path: string, rotation: Rotation, nowMs: () => number) {
    this.#path = path;
    this.#rotation = rotation;
    this.#nowMs = nowMs;
    this.#maxBytes = (rotation.maxSizeMib || defaultSizeMib) * mebibyte;
  }

  /** Opens the file, so that one that cannot be written is known at the start. */
  async open(): Promise<void> {
    if (this.#file) return;
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
    this.#file = await open(this.#path, 'a', 0o600);
    this.#bytes = (await this.#file.stat()).size;
  }

  async append(bytes: Buffer): Promise<void> {
    await this.open();
    if (this.#bytes > 0 && this.#bytes + bytes.length > this.#maxBytes) await this.#rotate();
    const file = this.#file as FileHandle;
    for (let done = 0; done < bytes.length;) {
      // oxlint-disable-next-line no-await-in-loop -- one piece after the other
      const { bytesWritten } = await file.write(bytes, done, bytes.length - done);
      done += bytesWritten;
    }
    this.#bytes += bytes.length;
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  async #rotate(): Promise<void> {
    await this.close();
    const stamp = new Date(this.#nowMs()).toISOString().replaceAll(':', '-').replace('Z', '');
    await rename(this.#path, this.#backup(stamp));
    await this.open();
    await this.#prune();
  }

  #backup(stamp: string): string {
    const extension = extname(this.#path);
    return join(dirname(this.#path), `${basename(this.#path, extension)}-${stamp}${extension}`);
  }

  /** Removes backups that are too many or too old. */
  async #prune(): Promise<void> {
    const { maxBackups, maxAgeDays } = this.#rotation;
    if (maxBackups === 0 && maxAgeDays === 0) return;
    const extension = extname(this.#path);
    const prefix = `${basename(this.#path, extension)}-`;
    const backups = (await readdir(dirname(this.#path)))
      .filter((name) => name.startsWith(prefix) && name.endsWith(extension))
      .map((name) => ({ name, madeMs: timeOf(name.slice(prefix.length, name.length - extension.length)) }))
      .filter((each): each is { name: string; madeMs: number } => each.madeMs !== undefined)
      .sort((a, b) => b.madeMs - a.madeMs);
    const oldestMs = maxAgeDays === 0 ? -Infinity : this.#nowMs() - maxAgeDays * dayMs;
    const old = backups.filter(({ madeMs }, i) => (maxBackups > 0 && i >= maxBackups) || madeMs < oldestMs);
    await Promise.all(old.map(({ name }) => rm(join(dirname(this.#path), name), { force: true })));
  }
}

function timeOf(stamp: string): number | undefined {
  const match = stampPattern.exec(stamp);
  return match ? Date.parse(`${match[1]}T${match[2]}:${match[3]}:${match[4]}Z`) : undefined;
}

/** Whether a path can be used as a log: a folder cannot. */
export async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
