import assert from 'node:assert/strict';
import { closeSync, fdatasync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { NoSpaceError } from '../errors.ts';
import { random } from '@cloudless/kube/testing/random';
import { changesOf, frameAt, magicBytes, recordsOf } from './frame.ts';
import type { LogBatch, LogRecord } from './log.ts';
import { placeOf } from './segment.ts';
import { openSegments } from './segment-files.ts';
import { segmentPath } from './sqlite-file.ts';
import { type Piece, WriteAhead } from './write-ahead.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const iterations = Number(process.env['ITERATIONS'] ?? 10);
const epoch = 4711;
const segmentBytes = 64 * 1024;
const quiet = logger('test').child({}, { level: 'silent' });

/** A database that takes pieces, or holds them up, or has no space. */
class Database {
  rows = new Map<number, LogRecord>();
  applied = 0;
  #settled = { rows: new Map<number, LogRecord>(), applied: 0 };
  before: () => Promise<void> = async () => undefined;
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  settle(): void {
    this.#settled = { rows: new Map(this.rows), applied: this.applied };
  }

  /** What was not settled is gone. */
  losePower(): void {
    this.rows = new Map(this.#settled.rows);
    this.applied = this.#settled.applied;
  }

  async apply({ segment, frames, sequence, dropped, to }: Piece): Promise<void> {
    await this.before();
    const bytes = readFileSync(segmentPath(this.#path, segment));
    const leftOut = new Set(dropped);
    for (const at of frames) {
      const frame = frameAt(bytes, at, epoch);
      assert.ok(frame !== undefined && at + frame.length <= to, 'a piece holds whole frames');
      assert.equal(frame.sequence, ++this.applied, 'frames come once and in order');
      const records = recordsOf(bytes, at, frame);
      let next = records.next();
      for (; !next.done; next = records.next()) {
        const { position, valueAt, valueBytes, ...rest } = next.value;
        const value = valueAt < 0 ? undefined : bytes.subarray(valueAt, valueAt + valueBytes);
        if (!leftOut.has(position)) this.rows.set(position, { ...rest, position, value });
      }
      changesOf(bytes, next.value, frame);
    }
    assert.equal(sequence, this.applied);
  }
}

describe('the segments in front of the database', () => {
  let folder = '';
  let path = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'datastore-ahead-'));
    path = join(folder, 'state.db');
    for (const i of [0, 1]) closeSync(openSync(segmentPath(path, i), 'w'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const toDevice = (fd: number): Promise<void> =>
    new Promise((resolve, reject) => {
      fdatasync(fd, (error) => (error === null ? resolve() : reject(error)));
    });
  const start = (
    database: Database,
    mark?: { epoch: number; applied: number },
    flush = toDevice,
  ): WriteAhead =>
    new WriteAhead({
      ...openSegments(path, mark, false),
      path,
      log: quiet,
      segmentBytes,
      epoch,
      flush,
      begin: async () => undefined,
      apply: (piece) => database.apply(piece),
      settle: async () => database.settle(),
    });

  let position = 0;
  const batchOf = (next: () => number): LogBatch => {
    const records = Array.from({ length: 1 + Math.floor(next() ** 4 * 30) }, (): LogRecord => {
      position++;
      const value = Buffer.alloc(Math.floor(next() ** 6 * 20_000), position % 251);
      return {
        position,
        revision: position,
        key: Buffer.from(`key-${position}`),
        createRevision: position,
        version: 1,
        lease: BigInt(position % 3),
        value: next() < 0.2 ? undefined : value,
      };
    });
    const leases = next() < 0.1 ? [{ type: 'grant' as const, id: 2n ** 62n, ttlSeconds: 9_000_000_000 }] : [];
    const facts = next() < 0.1 ? [{ name: 'alarms' as const, value: 2n ** 62n }] : [];
    return { records, leases, facts, compactRevision: undefined, head: { position, revision: position } };
  };

  it(`hand every row over once, or keep it for the next start (SEED=${seed})`, async () => {
    const next = random(seed);
    for (let i = 0; i < iterations; i++) {
      const database = new Database(path);
      const restless = async (): Promise<void> => {
        if (next() < 0.1) throw new NoSpaceError(path);
        if (next() < 0.5) await new Promise((resolve) => setTimeout(resolve, next() * 3));
      };
      for (const i of [0, 1]) writeFileSync(segmentPath(path, i), '');
      const acknowledged = new Map<number, LogRecord>();
      let mark: { epoch: number; applied: number } | undefined;
      position = 0;
      for (let life = 0; life < 4; life++) {
        database.before = restless;
        const ahead = start(database, mark);
        for (let j = 0; j < 60; j++) {
          const batch = batchOf(next);
          try {
            await ahead.append(batch);
          } catch (error) {
            assert.ok(error instanceof NoSpaceError);
            continue;
          }
          for (const record of batch.records) acknowledged.set(record.position, record);
          if (next() < 0.2) drop(ahead, database, acknowledged, next);
          for (const record of acknowledged.values()) if (next() < 0.01) verify(ahead, database, record);
        }
        for (const record of acknowledged.values()) verify(ahead, database, record);
        // A kill, or power loss.
        database.before = () => Promise.reject(new NoSpaceError(path));
        await ahead.close();
        if (life % 2 === 0) database.losePower();
        mark = { epoch, applied: database.applied };
      }
      database.before = async () => undefined;
      const ahead = start(database, mark);
      await ahead.applyAll();
      assert.equal(ahead.isApplied, true);
      assert.equal(ahead.pendingBytes, 0);
      await ahead.close();
      for (const record of acknowledged.values())
        assert.deepEqual(plainOf(database.rows.get(record.position)), plainOf(record));
    }
  });

  /** Compacts some rows away, in the database too if it may have them. */
  function drop(
    ahead: WriteAhead,
    database: Database,
    acknowledged: Map<number, LogRecord>,
    next: () => number,
  ): void {
    const gone = [...acknowledged.keys()].filter(() => next() < 0.05);
    for (const position of gone) acknowledged.delete(position);
    for (const position of ahead.drop(gone)) database.rows.delete(position);
  }

  it('make a writer wait when both are full, and go on when there is room', async () => {
    const database = new Database(path);
    const { promise, resolve } = Promise.withResolvers<void>();
    database.before = () => promise;
    const ahead = start(database);
    let written = 0;
    const count = (): number => written;
    const writing = (async () => {
      for (; written < 40; written++) await ahead.append(onePut(written + 1, 9000));
    })();
    while (count() < 10) await new Promise((done) => setTimeout(done, 1));
    await Promise.race([writing, new Promise((done) => setTimeout(done, 50))]);
    const capacity = 2 * Math.floor(segmentBytes / 9121);
    assert.equal(written, capacity, 'both segments hold what has not been applied');
    resolve();
    await writing;
    await ahead.applyAll();
    assert.equal(database.rows.size, 40);
    await ahead.close();
  });

  it('refuse no write whose flush failed, full disk or not: it may be there at the next start', async () => {
    const full = Object.assign(new Error('ENOSPC: no space left on device, fdatasync'), { code: 'ENOSPC' });
    const database = new Database(path);
    let fails = false;
    const ahead = start(database, undefined, async (fd) => {
      if (fails) throw full;
      await toDevice(fd);
    });
    position = 0;
    await ahead.append(batchOf(random(seed)));
    fails = true;
    await assert.rejects(ahead.append(batchOf(random(seed))), (error) => error === full);
    await ahead.close();
    const { pending } = openSegments(path, { epoch, applied: 0 }, false);
    assert.equal(pending.records.at(-1)?.position, position);
  });

  it('are refused when the older one lacks its end', async () => {
    const database = new Database(path);
    database.before = () => Promise.reject(new NoSpaceError(path));
    const ahead = start(database);
    await assert.rejects(async () => {
      for (let i = 1; ; i++) await ahead.append(onePut(i, 5000));
    }, NoSpaceError);
    await ahead.close();
    const mark = { epoch, applied: 0 };
    const { segments, sequence } = openSegments(path, mark, false);
    for (const segment of segments) segment.close();
    assert.ok(segments.every(({ end }) => end > segmentBytes / 2) && sequence > 1, 'both are pending');
    const older = readFileSync(segmentPath(path, 0));
    const cut = older.lastIndexOf(magicBytes);
    writeFileSync(segmentPath(path, 0), older.fill(0, cut));
    assert.throws(
      () => openSegments(path, mark, false),
      /state\.db-segment-1 .*what comes before the write at byte 0 is missing/,
    );
  });

  it('take no more blocks for a frame than its bytes need', () => {
    for (const [end, length, at] of [
      [0, 700, 0],
      [700, 700, 704],
      [3500, 700, 4096],
      [3500, 4096 + 600, 4096],
      [3500, 8192 - 3504, 3504],
      [4096, 5000, 4096],
      [5000, 4096, 8192],
    ] as const) {
      assert.equal(placeOf(end, length), at, `${length} bytes behind ${end}`);
    }
  });
});

function onePut(position: number, valueBytes: number): LogBatch {
  const head = { position, revision: position };
  const record = { ...head, key: Buffer.from('k'), createRevision: 1, version: position, lease: 0n };
  const records = [{ ...record, value: Buffer.alloc(valueBytes) }];
  return { records, leases: [], facts: [], compactRevision: undefined, head };
}

function verify(ahead: WriteAhead, database: Database, record: LogRecord): void {
  if (record.value === undefined) return;
  const value = ahead.readValue(record.position) ?? database.rows.get(record.position)?.value;
  assert.ok(value !== undefined && Buffer.compare(value, record.value) === 0, `row ${record.position}`);
}

const plainOf = (record: LogRecord | undefined): unknown =>
  record && {
    ...record,
    key: Buffer.from(record.key).toString(),
    value: record.value && Buffer.from(record.value).toString('base64'),
  };
