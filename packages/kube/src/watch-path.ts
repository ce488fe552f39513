import { type FSWatcher, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Clock, ClockTimer } from './clock.ts';
import { type Running, running } from './lifecycle.ts';

export interface WatchPathOptions {
  path: string;
  /** A folder is looked at when anything in it changes. */
  kind: 'file' | 'folder';
  clock: Clock;
  /** Looks whether something is new; the first call comes before the watch returns. It must not throw. */
  look(): void;
}

/** How long a writer is given to finish before it is looked at. */
const settleMs = 50;
/** Between looks that no change asked for: a folder that was replaced tells nothing. */
const checkMs = 10_000;

/** Calls `look` now, soon after each change of a file or in a folder, and every 10 s. The path need not exist yet. */
export function watchPath(options: WatchPathOptions): Running {
  const { path, kind, clock } = options;
  let timer: ClockTimer | undefined;
  let watcher: FSWatcher | undefined;
  let stopped = false;
  const schedule = (delayMs: number): void => {
    timer?.cancel();
    if (!stopped) timer = clock.setTimeout(lookAgain, delayMs);
  };
  const attach = (): void => {
    if (watcher || stopped) return;
    try {
      // The folder of a file: editors and configuration tools put a new file in the place of the old.
      watcher = watch(kind === 'file' ? dirname(path) : path, (_, name) => {
        if (kind === 'folder' || name === null || name === basename(path)) schedule(settleMs);
      });
      watcher.on('error', () => {
        watcher?.close();
        watcher = undefined;
      });
    } catch {
      // Not there: the next look in its turn tries again.
      watcher = undefined;
    }
  };
  const lookAgain = (): void => {
    attach();
    options.look();
    schedule(checkMs);
  };
  lookAgain();
  return running(() => {
    stopped = true;
    timer?.cancel();
    watcher?.close();
  });
}
