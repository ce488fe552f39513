import { chmodSync, closeSync, existsSync, fsyncSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { DatastoreFileError, NoSpaceError } from '../errors.ts';

/** `PRAGMA application_id` of our files: "CLDS". */
const applicationId = 0x434c4453;
/**
 * 1 while the database holds everything; 2 while its segments may hold what it lacks, so that a version that does not
 * know them refuses the file instead of opening an older state.
 */
const schemaVersions = { whole: 1, withSegments: 2 } as const;
export const pageBytes = 4096;
/** The -wal file: a header, then frames of a page and its header (sqlite.org/fileformat2.html#the_write_ahead_log). */
export const walHeaderBytes = 32;
export const frameBytes = pageBytes + 24;

/** SQLite's primary result codes that mean something to us (sqlite.org/rescode.html). */
export const sqliteCode = {
  busy: 5,
  ioError: 10,
  corrupt: 11,
  full: 13,
  cantOpen: 14,
  notADatabase: 26,
} as const;
/** Extended code: the -shm file could not grow, which happens on a full disk. */
const ioErrorShmSize = 4874;

/** Rows of `fact` about the segments; they are there while the database is in use or was not closed in order. */
export const segmentFacts = { epoch: 'segment_epoch', applied: 'segment_applied' } as const;

/** The path of segment 0 or 1 of the database at `path`. */
export const segmentPath = (path: string, segment: number): string => `${path}-segment-${segment}`;

/** The result code of an error from node:sqlite, extended; undefined for other errors. */
export function sqliteErrorCode(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown } | null)?.errcode;
  return typeof code === 'number' ? code : undefined;
}

export function isDiskFull(error: unknown): boolean {
  const code = sqliteErrorCode(error);
  return code === sqliteCode.full || code === ioErrorShmSize;
}

/** Whether this is the system's, SQLite's or our own word for a full disk. */
export function isNoSpace(error: unknown): boolean {
  if (error instanceof NoSpaceError || isDiskFull(error)) return true;
  const code = (error as { code?: unknown } | null)?.code;
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** The settings every connection to a datastore file needs. */
export function configure(db: DatabaseSync, busyTimeoutMs: number): void {
  db.exec(
    // Durability is ours: the log flushes the -wal file itself before it acknowledges. SQLite's NORMAL flushes
    // around checkpoints, which keeps the order of -wal and database right.
    `PRAGMA busy_timeout=${busyTimeoutMs}; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0;` +
      'PRAGMA temp_store=MEMORY; PRAGMA foreign_keys=OFF; PRAGMA cache_size=-4096;',
  );
}

export interface DatastoreFile {
  readonly db: DatabaseSync;
  /** Held open, and with it the right to be the only process on this file. */
  readonly lock: DatabaseSync;
  /** What it says of its segments: undefined when it was closed in order and has everything. */
  readonly mark: { readonly epoch: number; readonly applied: number } | undefined;
}

/**
 * Opens or creates the database file, mode 0600, for this process alone.
 *
 * @throws DatastoreFileError when another process has it, or it is not a datastore of a version we read.
 */
export function openFile(path: string): DatastoreFile {
  const fresh = prepareFolder(path);
  if (!fresh && statSync(path).isDirectory()) {
    throw new DatastoreFileError(
      path,
      'unusable',
      `the datastore ${path} cannot be opened: it is a folder. Name the file in it, such as ${path}/state.db`,
    );
  }
  const lock = takeLock(path);
  let db: DatabaseSync | undefined;
  try {
    createPrivately(path);
    db = new DatabaseSync(path);
    verifyHeader(db, path);
    setUp(db, path);
    const mark = markOf(db, path);
    const made = mark === undefined && createSegments(path);
    if (fresh || made) syncFolder(dirname(path));
    return { db, lock, mark };
  } catch (error) {
    db?.close();
    lock.close();
    throw explain(path, error);
  }
}

function prepareFolder(path: string): boolean {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new DatastoreFileError(
      path,
      'unusable',
      `the datastore ${path} cannot be opened: its folder cannot be made: ${messageOf(error)}. ` +
        'Choose a place that can be written',
      error,
    );
  }
  return !existsSync(path);
}

/** SQLite makes its -wal and -shm files with the mode of the database. */
function createPrivately(path: string): void {
  // A file that exists is not opened here: closing any descriptor of it would drop SQLite's POSIX locks.
  if (existsSync(path)) chmodSync(path, 0o600);
  else closeSync(openSync(path, 'wx', 0o600));
}

/**
 * An exclusive transaction on an empty database beside the file: released by the kernel when the process ends,
 * however it ends. Its journal is kept in memory, so that it costs no write and can be had on a full disk.
 */
function takeLock(path: string): DatabaseSync {
  const lockPath = `${path}.lock`;
  let lock: DatabaseSync | undefined;
  try {
    createPrivately(lockPath);
    lock = new DatabaseSync(lockPath);
    lock.exec('PRAGMA busy_timeout=0; PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock?.close();
    const code = sqliteErrorCode(error);
    if (code !== undefined && (code & 0xff) === sqliteCode.busy) {
      throw new DatastoreFileError(
        path,
        'in-use',
        `the datastore ${path} is in use by another process: stop that one, or use another --root`,
        error,
      );
    }
    throw new DatastoreFileError(
      path,
      'unusable',
      `the datastore ${path} cannot be locked (${lockPath}): ${messageOf(error)}. ` +
        'Its folder must be writable: check its permissions and the disk',
      error,
    );
  }
}

function pragma(db: DatabaseSync, name: string): number {
  return Number(Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0]);
}

function verifyHeader(db: DatabaseSync, path: string): void {
  const tables = Number(db.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.['n']);
  const id = pragma(db, 'application_id');
  if (tables === 0 && id === 0) return;
  const isKine = db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'kine'").get();
  if (isKine !== undefined) {
    throw new DatastoreFileError(
      path,
      'foreign',
      `${path} is a database of kine's, not a Cloudless datastore: take what is in it over with ` +
        `"cloudless datastore copy --from ${path} --to …", or use another --root`,
    );
  }
  if (id !== applicationId) {
    throw new DatastoreFileError(
      path,
      'foreign',
      `${path} is an SQLite database of another program, not a Cloudless datastore: ` +
        'move it away, or use another --root',
    );
  }
  const version = pragma(db, 'user_version');
  if (version > schemaVersions.withSegments) {
    throw new DatastoreFileError(
      path,
      'newer-schema',
      `the datastore ${path} was written by a newer Cloudless (schema ${version}, this one reads up to ` +
        `${schemaVersions.withSegments}): start that version, or move the file away to begin empty`,
    );
  }
}

/** Makes those of the two segments that are missing, empty. Returns whether it made one. */
function createSegments(path: string): boolean {
  const missing = [segmentPath(path, 0), segmentPath(path, 1)].filter((segment) => !existsSync(segment));
  for (const segment of missing) createPrivately(segment);
  return missing.length > 0;
}

function markOf(db: DatabaseSync, path: string): DatastoreFile['mark'] {
  if (pragma(db, 'user_version') === schemaVersions.whole) return undefined;
  const fact = (name: string): number =>
    Number(db.prepare('SELECT value FROM fact WHERE name = ?').get(name)?.['value'] ?? -1);
  const [epoch, applied] = [fact(segmentFacts.epoch), fact(segmentFacts.applied)];
  if (epoch < 0 || applied < 0) throw corrupt(path, 'it does not say which segments belong to it');
  return { epoch, applied };
}

function setUp(db: DatabaseSync, path: string): void {
  const isFresh = pragma(db, 'user_version') === 0;
  // They take effect only while the database is empty, and would write to it nevertheless.
  if (isFresh) db.exec(`PRAGMA page_size=${pageBytes}; PRAGMA auto_vacuum=INCREMENTAL;`);
  const mode = db.prepare('PRAGMA journal_mode=WAL').get()?.['journal_mode'];
  if (mode !== 'wal') {
    throw new DatastoreFileError(
      path,
      'unusable',
      `the datastore ${path} needs a file system with shared memory maps (SQLite's WAL mode was refused): ` +
        'use a local disk',
    );
  }
  configure(db, 1000);
  if (!isFresh) return;
  // WITHOUT ROWID: a lease's 63 bits as a row id would not fit in what node:sqlite returns from every statement.
  // The value comes last, so that reading the rest of a row never follows its overflow pages.
  db.exec(`BEGIN IMMEDIATE;
    CREATE TABLE log (
      position INTEGER PRIMARY KEY,
      revision INTEGER NOT NULL,
      key BLOB NOT NULL,
      created INTEGER NOT NULL,
      version INTEGER NOT NULL,
      lease INTEGER,
      value BLOB
    ) STRICT;
    CREATE TABLE lease (id INTEGER PRIMARY KEY, ttl INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE fact (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    PRAGMA application_id=${applicationId};
    PRAGMA user_version=${schemaVersions.whole};
    COMMIT;`);
}

/** Makes the new file's name durable. */
function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Says what is wrong with the file and what to do about it. */
export function explain(path: string, error: unknown): Error {
  if (error instanceof DatastoreFileError) return error;
  const code = sqliteErrorCode(error);
  const primary = code === undefined ? undefined : code & 0xff;
  if (primary === sqliteCode.notADatabase) {
    return new DatastoreFileError(
      path,
      'foreign',
      `${path} is not a Cloudless datastore (not an SQLite database): move it away, or use another --root`,
      error,
    );
  }
  if (primary === sqliteCode.corrupt) return corrupt(path, messageOf(error), error);
  return new DatastoreFileError(
    path,
    'unusable',
    `the datastore ${path} cannot be opened: ${messageOf(error)}. Check its permissions and the disk's space`,
    error,
  );
}

export function corrupt(path: string, what: string, cause?: unknown): DatastoreFileError {
  return new DatastoreFileError(
    path,
    'corrupt',
    `the datastore ${path} is damaged: ${what}. Restore it from a backup, or move ${path} and its -wal file ` +
      'away to begin empty',
    cause,
  );
}
