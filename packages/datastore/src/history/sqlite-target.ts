import { closeSync, existsSync, fsyncSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Logger } from '@cloudless/kube/logger';
import { DatastoreFileError } from '../errors.ts';
import { openSqliteLog } from './sqlite.ts';
import { CopyError } from './errors.ts';
import type { History, ReportProgress } from './history.ts';
import { writeToLog } from './write-log.ts';

/** What a copy that is under way, or broke off, is called until it is whole. */
export const importingPath = (path: string): string => `${path}.importing`;

export interface TargetOptions {
  log: Logger;
  /** Replace what is there. */
  force?: boolean | undefined;
  report?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Writes the history as our SQLite file. It is written beside, and takes its name only when it is whole and on the
 * disk: a copy that dies leaves `PATH.importing` behind and no store that could be taken for one.
 *
 * @throws CopyError when a store with anything in it is there and `force` was not said
 * @throws DatastoreFileError when a server has it open, or the place cannot be written
 */
export async function writeSqlite(path: string, history: History, options: TargetOptions): Promise<void> {
  await verifyTarget(path, options);
  const temporary = importingPath(path);
  removeFiles(temporary);
  const log = openSqliteLog({ path: temporary, log: options.log });
  try {
    // A log is read before it is written, and only one that was read closes in order.
    for await (const _ of log.load().records);
    await writeToLog(log, history, options);
  } catch (error) {
    await log.close().catch(() => undefined);
    removeFiles(temporary);
    throw error;
  }
  await log.close();
  putInPlace(temporary, path);
}

async function verifyTarget(path: string, { log, force }: TargetOptions): Promise<void> {
  if (!existsSync(path)) return;
  // Opening it tells whether a server has it; a log that was read leaves everything in the one file when it closes.
  const existing = openSqliteLog({ path, log });
  try {
    const { leases, compactRevision, records } = existing.load();
    let isEmpty = leases.length === 0 && compactRevision === 0;
    for await (const piece of records) if (piece.length > 0) isEmpty = false;
    if (isEmpty || force) return;
    throw new CopyError(
      'not-empty',
      `the datastore ${path} is not empty: copy to another path, or say --force to replace everything in it`,
    );
  } catch (error) {
    if (!force || !(error instanceof DatastoreFileError) || error.reason !== 'corrupt') throw error;
  } finally {
    await existing.close();
  }
}

/** The file and what SQLite keeps beside it. */
function filesOf(path: string): string[] {
  const folder = dirname(path);
  if (!existsSync(folder)) return [];
  const name = basename(path);
  return readdirSync(folder)
    .filter((file) => file === name || file.startsWith(`${name}-`) || file === `${name}.lock`)
    .map((file) => join(folder, file));
}

function removeFiles(path: string): void {
  for (const file of filesOf(path)) rmSync(file);
}

function putInPlace(temporary: string, path: string): void {
  sync(temporary);
  // What stands beside the old file belongs to it: an orderly close has left nothing in it.
  for (const file of filesOf(path)) if (file !== path && !file.endsWith('.lock')) rmSync(file);
  for (const file of filesOf(temporary)) {
    if (file.endsWith('.lock')) rmSync(file);
    else if (file !== temporary) renameSync(file, path + file.slice(temporary.length));
  }
  renameSync(temporary, path);
  sync(dirname(path));
}

function sync(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
