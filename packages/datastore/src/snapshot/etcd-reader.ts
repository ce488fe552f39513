import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { GapFinder } from '../history/gaps.ts';
import type { History, ReportProgress } from '../history/history.ts';
import type { LogRecord } from '../log/log.ts';
import { BboltFile, type ReadEntry } from './bbolt-reader.ts';
import { SnapshotFileError } from './errors.ts';
import { decodeKeyValue, decodeLease, readRevisionKey, type StoredLease } from './etcd-values.ts';

const hashBytes = 32;
/** bbolt's pages are multiples of it, so what is left over is a checksum (etcdutl: snapshot/v3_snapshot.go). */
const blockBytes = 512;

export interface OpenSnapshotOptions {
  /** Take a file without a checksum too: a copy of etcd's own `member/snap/db`. */
  skipHashCheck?: boolean | undefined;
  /** Told while the file is checked, before any record is given out. `bytes` counts. */
  report?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
}

export interface SnapshotHistory extends History {
  readonly fileBytes: number;
  /** SHA-256 as hexadecimal digits; undefined when the file has none. */
  readonly sha256: string | undefined;
}

/**
 * Opens an etcd snapshot. All of it is checked first (checksum, pages, records), so that what begins to be copied can
 * be copied to the end. Memory does not grow with the file, but for a bit a page.
 *
 * @throws SnapshotFileError naming what is wrong and where
 */
export async function openSnapshot(
  path: string,
  options: OpenSnapshotOptions = {},
): Promise<SnapshotHistory> {
  const { size } = await stat(path);
  const sha256 = await checkHash(path, size, options);
  const file = await BboltFile.open(path);
  try {
    const buckets = await file.buckets();
    const key = buckets.get('key');
    const meta = buckets.get('meta');
    if (key === undefined || meta === undefined) {
      const names = [...buckets.keys()].join(', ');
      throw new SnapshotFileError(
        path,
        'foreign',
        `${path} is a bbolt database but not etcd's: it has the buckets ${names === '' ? '(none)' : names}, not key and meta`,
      );
    }
    const compactRevision = await compactionOf(file, meta);
    const lease = buckets.get('lease');
    const leases = lease === undefined ? [] : await leasesOf(file, lease);
    const found = await survey(file, key, compactRevision, options);
    return {
      name: path,
      revision: Math.max(found.revision, found.compactRevision),
      compactRevision: found.compactRevision,
      leases,
      recordCount: found.records,
      fileBytes: size,
      sha256,
      records: () => recordsOf(file, key),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function checkHash(
  path: string,
  size: number,
  options: OpenSnapshotOptions,
): Promise<string | undefined> {
  if (size % blockBytes !== hashBytes) {
    if (options.skipHashCheck) return undefined;
    throw new SnapshotFileError(
      path,
      'no-checksum',
      `${path} has no checksum at its end (${size} bytes): it was cut off, or it is no snapshot but etcd's own ` +
        'database file. Take it again with `etcdctl snapshot save`, or say --skip-hash-check if it is such a file',
    );
  }
  const [actual, expected] = await hashOf(path, size - hashBytes, options);
  if (actual !== expected && !options.skipHashCheck) {
    throw new SnapshotFileError(
      path,
      'damaged',
      `the snapshot ${path} is damaged: its SHA-256 is ${actual}, at its end stands ${expected}. ` +
        'Take it again, or use an older one',
    );
  }
  return expected;
}

async function hashOf(
  path: string,
  dataBytes: number,
  options: OpenSnapshotOptions,
): Promise<[string, string]> {
  const hash: Hash = createHash('sha256');
  let done = 0;
  let tail: Buffer = Buffer.alloc(0);
  const { signal } = options;
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, ...(signal && { signal }) })) {
    const bytes = chunk as Buffer;
    const data = Math.min(bytes.length, Math.max(0, dataBytes - done));
    hash.update(bytes.subarray(0, data));
    tail = Buffer.concat([tail, bytes.subarray(data)]);
    done += bytes.length;
    options.report?.({ records: 0, of: 0, bytes: done });
  }
  return [hash.digest('hex'), tail.toString('hex')];
}

/** A compaction that was under way is over: etcd finishes it when it starts on such a file. */
async function compactionOf(file: BboltFile, meta: Buffer): Promise<number> {
  let compactRevision = 0;
  for await (const entries of file.entries('meta', meta)) {
    for (const { key, value } of entries) {
      const name = key.toString('latin1');
      if (name !== 'finishedCompactRev' && name !== 'scheduledCompactRev') continue;
      const revision = readRevisionKey(value)?.revision;
      if (revision === undefined) throw damaged(file, `${name} in bucket meta is no revision`);
      compactRevision = Math.max(compactRevision, revision);
    }
  }
  return compactRevision;
}

async function leasesOf(file: BboltFile, bucket: Buffer): Promise<StoredLease[]> {
  const leases: StoredLease[] = [];
  for await (const entries of file.entries('lease', bucket)) {
    for (const { key, value } of entries) {
      const lease = decode(file, `lease 0x${key.toString('hex')}`, () => decodeLease(value));
      if (key.length !== 8 || lease.id !== key.readBigInt64BE(0) || lease.ttlSeconds <= 0)
        throw damaged(file, `lease 0x${key.toString('hex')} says that it is ${lease.id.toString(16)}`);
      leases.push(lease);
    }
  }
  return leases;
}

/** Reads every record once: what cannot be read is found before anything is written elsewhere. */
async function survey(
  file: BboltFile,
  bucket: Buffer,
  compactRevision: number,
  { report, signal }: OpenSnapshotOptions,
): Promise<{ records: number; revision: number; compactRevision: number }> {
  const gaps = new GapFinder(compactRevision);
  let records = 0;
  let bytes = 0;
  for await (const piece of recordsOf(file, bucket)) {
    signal?.throwIfAborted();
    for (const { key, value, revision } of piece) {
      gaps.see(revision);
      bytes += key.byteLength + (value?.byteLength ?? 0);
    }
    records += piece.length;
    report?.({ records, of: records, bytes });
  }
  return { records, revision: gaps.revision, compactRevision: gaps.compactRevision };
}

async function* recordsOf(file: BboltFile, bucket: Buffer): AsyncGenerator<readonly LogRecord[]> {
  let position = 0;
  for await (const entries of file.entries('key', bucket))
    yield entries.map((entry) => recordOf(file, entry, ++position));
}

function recordOf(file: BboltFile, { key, value }: ReadEntry, position: number): LogRecord {
  const at = readRevisionKey(key);
  if (at === undefined) throw damaged(file, `0x${key.toString('hex')} in bucket key is no revision`);
  const { revision, sub, isTombstone } = at;
  const kv = decode(file, `revision ${revision}.${sub}`, () => decodeKeyValue(value));
  if (kv.key.byteLength === 0) throw damaged(file, `revision ${revision}.${sub} names no key`);
  if (isTombstone)
    return { position, revision, key: kv.key, createRevision: 0, version: 0, lease: 0n, value: undefined };
  const { createRevision, modRevision, version, lease } = kv;
  if (modRevision !== revision || createRevision > revision || createRevision === 0 || version === 0) {
    throw damaged(
      file,
      `revision ${revision}.${sub} says that it is revision ${modRevision}, created at ${createRevision}, version ${version}`,
    );
  }
  return { position, revision, key: kv.key, createRevision, version, lease, value: kv.value };
}

function decode<T>(file: BboltFile, what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw damaged(
      file,
      `${what} cannot be decoded (${error instanceof Error ? error.message : String(error)})`,
    );
  }
}

const damaged = ({ path }: BboltFile, what: string): SnapshotFileError =>
  new SnapshotFileError(
    path,
    'damaged',
    `the snapshot ${path} is damaged: ${what}. Take it again, or use an older one`,
  );
