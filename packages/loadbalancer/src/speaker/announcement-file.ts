import { type FSWatcher, readFileSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { type AnnouncementFile, parseAnnouncementFile } from '../file-source.ts';

export interface AnnouncementFileOptions {
  path: string;
  clock: Clock;
  log: Logger;
  /** Each content that can be used; the first call comes before the watch returns. */
  onContent(content: AnnouncementFile): void;
}

export interface WatchedFile extends Running {
  /** Why the present content is not in force; undefined: it is. */
  readonly problem: string | undefined;
}

/** How long a writer is given to finish a file before it is read. */
const settleMs = 50;
/** Between looks that no change asked for: a folder that was replaced tells nothing. */
const checkMs = 10_000;

/**
 * Reads a file of announcements and reads it again as it changes. One that is broken or gone leaves the last good
 * content in force, which is said once for each such content; an empty list of announcements withdraws them.
 */
export function watchAnnouncementFile(options: AnnouncementFileOptions): WatchedFile {
  const { path, clock, log } = options;
  let seen: string | undefined;
  let problem: string | undefined;
  let timer: ClockTimer | undefined;
  let watcher: FSWatcher | undefined;
  let stopped = false;
  const schedule = (delayMs: number): void => {
    timer?.cancel();
    if (!stopped) timer = clock.setTimeout(look, delayMs);
  };
  const attach = (): void => {
    if (watcher || stopped) return;
    try {
      // The folder: editors and configuration tools put a new file in the place of the old.
      watcher = watch(dirname(path), (_, name) => {
        if (name === null || name === basename(path)) schedule(settleMs);
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
  const complain = (why: string): void => {
    if (why === problem) return;
    problem = why;
    log.error({ path }, `${why}; the last good announcements stay in force`);
  };
  const look = (): void => {
    attach();
    try {
      const text = readFileSync(path, 'utf8');
      if (text !== seen) {
        const content = parseAnnouncementFile(text, path);
        seen = text;
        options.onContent(content);
      }
      if (problem !== undefined) log.info({ path }, 'the file of announcements is in force again');
      problem = undefined;
    } catch (error) {
      seen = undefined;
      complain((error as Error).message);
    }
    schedule(checkMs);
  };
  look();
  const handle = running(() => {
    stopped = true;
    timer?.cancel();
    watcher?.close();
  });
  return {
    ...handle,
    get problem() {
      return problem;
    },
  };
}
