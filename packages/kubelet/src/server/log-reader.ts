import { type FSWatcher, watch } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type LogSelection, LogWriter } from './log-format.ts';

export interface LogReadOptions extends LogSelection {
  follow: boolean;
  /** Lines from the end to start with; undefined for all. */
  tailLines?: number | undefined;
}

const chunkBytes = 64 * 1024;
const newline = 0x0a;
/** How long a follower waits for the file to change before it asks whether the container still runs. */
const lookMs = 500;

/** Offset of the first of the last `lines` lines. */
export async function tailOffset(file: FileHandle, lines: number): Promise<number> {
  let end = (await file.stat()).size;
  if (lines === 0) return end;
  const buffer = Buffer.alloc(chunkBytes);
  let left = lines;
  let first = true;
  while (end > 0) {
    const size = Math.min(chunkBytes, end);
    await file.read(buffer, 0, size, end - size);
    for (let at = size - 1; at >= 0; at -= 1) {
      if (buffer[at] !== newline) continue;
      // The newline at the very end closes the last line.
      if (first && at === size - 1) {
        first = false;
        continue;
      }
      first = false;
      left -= 1;
      if (left === 0) return end - size + at + 1;
    }
    first = false;
    end -= size;
  }
  return 0;
}

/** Wakes a follower when something in the folder of the log changes. */
class Changes {
  readonly #watcher: FSWatcher | undefined;
  #changed = false;
  #wake: (() => void) | undefined;

  constructor(folder: string) {
    try {
      this.#watcher = watch(folder, { persistent: false }, () => this.#notify());
      this.#watcher.on('error', () => undefined);
    } catch {
      // No watches left on this machine: the timer alone wakes.
    }
  }

  #notify(): void {
    this.#changed = true;
    this.#wake?.();
  }

  /** True when something changed, false when `ms` passed. */
  async next(ms: number, signal: AbortSignal): Promise<boolean> {
    if (!this.#changed && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          signal.removeEventListener('abort', done);
          this.#wake = undefined;
          resolve();
        };
        const timer = setTimeout(done, ms);
        signal.addEventListener('abort', done, { once: true });
        this.#wake = done;
      });
    }
    const changed = this.#changed;
    this.#changed = false;
    return changed;
  }

  close(): void {
    this.#watcher?.close();
  }
}

/** Lines out of chunks; what is no whole line yet waits. */
class Lines {
  #rest: Buffer = Buffer.alloc(0);

  *whole(chunk: Buffer): Generator<Buffer> {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (let at = bytes.indexOf(newline); at >= 0; at = bytes.indexOf(newline)) {
      yield bytes.subarray(0, at + 1);
      bytes = bytes.subarray(at + 1);
    }
    this.#rest = Buffer.from(bytes);
  }

  /** The unfinished line, which nobody will finish. */
  takeRest(): Buffer {
    const rest = this.#rest;
    this.#rest = Buffer.alloc(0);
    return rest;
  }
}

/**
 * A container's log as a client sees it, in chunks. Following goes on over rotation (the file is renamed and a new
 * one takes its place) until `isRunning` says no and all is read, or until `signal` aborts. Throws the file
 * system's error when there is no file.
 */
export async function* readLog(options: {
  path: string;
  selection: LogReadOptions;
  isRunning: () => Promise<boolean>;
  signal: AbortSignal;
}): AsyncGenerator<Buffer, void, undefined> {
  const { path, selection, signal } = options;
  const writer = new LogWriter(selection);
  const lines = new Lines();
  const changes = selection.follow ? new Changes(dirname(path)) : undefined;
  let file = await open(path, 'r');
  try {
    let offset = selection.tailLines === undefined ? 0 : await tailOffset(file, selection.tailLines);
    const buffer = Buffer.alloc(chunkBytes);
    /** The container has ended; what it wrote before is read once more. */
    let ended = false;
    for (;;) {
      if (signal.aborted || writer.full) return;
      const { bytesRead } = await file.read(buffer, 0, chunkBytes, offset);
      if (bytesRead > 0) {
        offset += bytesRead;
        const shown = Array.from(lines.whole(buffer.subarray(0, bytesRead))).map((line) =>
          writer.convert(line),
        );
        const bytes = Buffer.concat(shown);
        if (bytes.length > 0) yield bytes;
        continue;
      }
      const next = await successor(path, file);
      if (next) {
        // One more look: the writer may have added to the old file just before it changed over.
        if ((await file.stat()).size > offset) {
          await next.close();
          continue;
        }
        await file.close();
        file = next;
        offset = 0;
        continue;
      }
      if (!changes || ended) break;
      if (!(await changes.next(lookMs, signal))) ended = !(await options.isRunning());
    }
    const rest = writer.convert(lines.takeRest());
    if (rest.length > 0) yield rest;
  } finally {
    changes?.close();
    await file.close();
  }
}

/** The file that has taken the place of an open one, opened; undefined while it is the same or none is there. */
async function successor(path: string, file: FileHandle): Promise<FileHandle | undefined> {
  const [now, ours] = await Promise.all([stat(path).catch(() => undefined), file.stat()]);
  if (!now || (now.ino === ours.ino && now.dev === ours.dev)) return undefined;
  return open(path, 'r').catch(() => undefined);
}
