import { readFileSync } from 'node:fs';
import type { Clock } from '@cloudless/kube/clock';
import type { Running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { watchPath } from '@cloudless/kube/watch-path';
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

/**
 * Reads a file of announcements and reads it again as it changes. One that is broken or gone leaves the last good
 * content in force, which is said once for each such content; an empty list of announcements withdraws them.
 */
export function watchAnnouncementFile(options: AnnouncementFileOptions): WatchedFile {
  const { path, clock, log } = options;
  let seen: string | undefined;
  let problem: string | undefined;
  const complain = (why: string): void => {
    if (why === problem) return;
    problem = why;
    log.error({ path }, `${why}; the last good announcements stay in force`);
  };
  const look = (): void => {
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
  };
  const watch = watchPath({ path, kind: 'file', clock, look });
  return {
    ...watch,
    get problem() {
      return problem;
    },
  };
}
