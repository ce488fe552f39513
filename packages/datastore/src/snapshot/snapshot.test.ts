import assert from 'node:assert/strict';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import * as fc from 'fast-check';
import type { History, MeasuredHistory } from '../history/history.ts';
import type { LogRecord } from '../log/log.ts';
import { BboltFile } from './bbolt-reader.ts';
import { BboltWriter, headPages } from './bbolt-writer.ts';
import { SnapshotFileError } from './errors.ts';
import { openSnapshot } from './etcd-reader.ts';
import { streamSnapshot } from './etcd-writer.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'snapshot-'));
});
after(() => rm(folder, { recursive: true }));

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const numRuns = Number(process.env['ITERATIONS'] ?? 25);
const random = { seed, numRuns, endOnFailure: true };

/** A bbolt file of these buckets, written with values and measured without: both must agree. */
function bboltOf(buckets: ReadonlyMap<string, ReadonlyArray<readonly [Buffer, Buffer]>>): Buffer {
  const pages: Buffer[] = [];
  const writer = new BboltWriter((page) => pages.push(page));
  const measured = new BboltWriter();
  for (const [name, entries] of buckets) {
    writer.begin(name);
    measured.begin(name);
    for (const [key, value] of entries) {
      writer.add({ key, valueBytes: value.length, value });
      measured.add({ key, valueBytes: value.length });
    }
  }
  const meta = writer.finish();
  assert.deepEqual(measured.finish(), meta, `SEED=${seed}`);
  const file = Buffer.concat([headPages(meta), ...pages]);
  assert.equal(file.length, meta.pageCount * meta.pageBytes);
  return file;
}

async function readBack(path: string): Promise<Map<string, Array<readonly [string, string]>>> {
  const file = await BboltFile.open(path);
  try {
    const read = new Map<string, Array<readonly [string, string]>>();
    for (const [name, bucket] of await file.buckets()) {
      const entries: Array<readonly [string, string]> = [];
      for await (const page of file.entries(name, bucket))
        for (const { key, value } of page) entries.push([key.toString('hex'), value.toString('hex')]);
      read.set(name, entries);
    }
    return read;
  } finally {
    await file.close();
  }
}

const numbered = (i: number): Buffer => {
  const key = Buffer.alloc(8);
  key.writeBigUInt64BE(BigInt(i));
  return key;
};

async function roundTrip(entries: ReadonlyArray<readonly [Buffer, Buffer]>): Promise<void> {
  const path = join(folder, 'round-trip.db');
  await writeFile(
    path,
    bboltOf(
      new Map([
        ['empty', []],
        ['key', entries],
      ]),
    ),
  );
  const read = await readBack(path);
  assert.deepEqual(read.get('empty'), []);
  assert.deepEqual(
    read.get('key'),
    entries.map(([key, value]) => [key.toString('hex'), value.toString('hex')]),
  );
}

describe('a bbolt file', () => {
  const page = 4096;
  for (const valueBytes of [0, 1, 900, 960, 1024, 4039, 4040, 4041, 4064, 8190, 70_000, 1_500_000]) {
    test(`with one value of ${valueBytes} bytes`, () =>
      roundTrip([[Buffer.from('one'), Buffer.alloc(valueBytes, 'v')]]));
  }
  for (const count of [0, 1, 2, 3, 101, 127, 128, 129, 500, 20_000, 60_000])
    test(`with ${count} small entries`, () =>
      roundTrip(Array.from({ length: count }, (_, i) => [numbered(i), Buffer.from(String(i))] as const)));
  test('with thousands of pages, some of them overflowing', () =>
    roundTrip(
      Array.from(
        { length: 3000 },
        (_, i) => [numbered(i), Buffer.alloc((i * 7919) % (3 * page), i)] as const,
      ),
    ));
  test('with keys as long as a page', () =>
    roundTrip(
      Array.from(
        { length: 40 },
        (_, i) => [Buffer.concat([numbered(i), Buffer.alloc(i * 200, 'k')]), Buffer.from('v')] as const,
      ),
    ));

  test('of any buckets and entries is read back as it was written', async () => {
    console.log(`SEED=${seed}`);
    const blob = (maxLength: number) =>
      fc.uint8Array({ minLength: 1, maxLength }).map((bytes) => Buffer.from(bytes));
    const entries = fc.uniqueArray(fc.tuple(blob(300), blob(6000)), {
      selector: ([key]) => key.toString('hex'),
      maxLength: 200,
    });
    const names = ['a', 'key', 'zz'];
    await fc.assert(
      fc.asyncProperty(fc.array(entries, { minLength: 3, maxLength: 3 }), async (all) => {
        const buckets = new Map(
          all.map((some, i) => [names[i] as string, some.sort(([a], [b]) => Buffer.compare(a, b))]),
        );
        const path = join(folder, 'random.db');
        await writeFile(path, bboltOf(buckets));
        const read = await readBack(path);
        for (const [name, some] of buckets)
          assert.deepEqual(
            read.get(name),
            some.map((entry) => entry.map((bytes) => bytes.toString('hex'))),
          );
      }),
      random,
    );
  });
});

/** A random history, compacted somewhere, as an engine would keep it. */
const histories = fc
  .record({
    transactions: fc.array(
      fc.array(
        fc.record({
          key: fc.integer({ min: 0, max: 12 }),
          bytes: fc.oneof(fc.constant(-1), fc.integer({ min: 0, max: 9000 })),
          lease: fc.constantFrom(0n, 0n, 1n, 0x7fff_ffff_ffff_fffen),
        }),
        { minLength: 1, maxLength: 4 },
      ),
      { maxLength: 80 },
    ),
    compactedShare: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ transactions, compactedShare }) => {
    const live = new Map<number, { createRevision: number; version: number }>();
    const records: LogRecord[] = [];
    let revision = 1;
    for (const writes of transactions) {
      revision++;
      for (const { key, bytes, lease } of new Map(writes.map((write) => [write.key, write])).values()) {
        const before = live.get(key);
        const position = records.length + 1;
        const named = { position, revision, key: Buffer.from(`/registry/k${key}`) };
        if (bytes < 0) {
          live.delete(key);
          records.push({ ...named, createRevision: 0, version: 0, lease: 0n, value: undefined });
          continue;
        }
        const now = {
          createRevision: before?.createRevision ?? revision,
          version: (before?.version ?? 0) + 1,
        };
        live.set(key, now);
        records.push({ ...named, ...now, lease, value: Buffer.alloc(bytes, revision) });
      }
    }
    return historyOf(revision, Math.floor(revision * compactedShare), records);
  });

function historyOf(revision: number, compactRevision: number, records: LogRecord[]): MeasuredHistory {
  return {
    name: 'a random history',
    revision,
    compactRevision,
    leases: [
      { id: 1n, ttlSeconds: 60 },
      { id: 0x7fff_ffff_ffff_fffen, ttlSeconds: 9_000_000_000 },
    ],
    recordCount: records.length,
    async *records() {
      for (let i = 0; i < records.length; i += 7) yield records.slice(i, i + 7);
    },
    async *sizes() {
      yield records.map(({ key, value, ...rest }) => ({
        ...rest,
        keyBytes: key.byteLength,
        valueBytes: value?.byteLength ?? -1,
      }));
    },
    close: async () => undefined,
  };
}

async function save(history: MeasuredHistory, path: string): Promise<void> {
  await writeFile(path, streamSnapshot(history));
}

async function all(history: History): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for await (const piece of history.records()) records.push(...piece);
  return records;
}

const plain = ({ key, value, ...rest }: LogRecord) => ({
  ...rest,
  key: Buffer.from(key).toString(),
  value: value === undefined ? undefined : Buffer.from(value).toString('hex'),
});

describe('an etcd snapshot', () => {
  test('gives back any history as it was', async () => {
    await fc.assert(
      fc.asyncProperty(histories, async (history) => {
        const path = join(folder, 'history.db');
        await save(history, path);
        const read = await openSnapshot(path);
        assert.equal(read.revision, history.revision);
        assert.equal(read.compactRevision, history.compactRevision);
        assert.deepEqual(read.leases, history.leases);
        assert.equal(read.recordCount, history.recordCount);
        assert.deepEqual((await all(read)).map(plain), (await all(history)).map(plain));
        await read.close();
      }),
      random,
    );
  });

  test('with any byte changed is refused, and the error names the file', async () => {
    const path = join(folder, 'damaged.db');
    const [history] = fc.sample(histories, { numRuns: 1, seed: 7 }) as [MeasuredHistory];
    await save(history, path);
    const file = await open(path, 'r+');
    const { size } = await file.stat();
    const flip = async (at: number): Promise<void> => {
      const byte = Buffer.alloc(1);
      await file.read(byte, 0, 1, at);
      await file.write(Buffer.of((byte[0] as number) ^ 0x41), 0, 1, at);
    };
    for (const at of [0, 17, 5000, 12_288, size >> 1, size - 33, size - 1]) {
      await flip(at);
      await assert.rejects(openSnapshot(path), (error: unknown) => {
        assert.ok(error instanceof SnapshotFileError, String(error));
        assert.match(error.message, /damaged\.db is damaged: its SHA-256 is/);
        return true;
      });
      await flip(at);
    }
    await file.close();
    await (await openSnapshot(path)).close();
  });

  test('damaged behind a checksum that is not looked at is found by its pages, never by a crash', async () => {
    const [history] = fc.sample(histories, { numRuns: 1, seed: 11 }) as [MeasuredHistory];
    const path = join(folder, 'pages.db');
    await save(history, path);
    const file = await open(path, 'r+');
    const { size } = await file.stat();
    let found = 0;
    await fc.assert(
      fc.asyncProperty(
        // Anywhere, or in the header of a page: a value says nothing of its bytes.
        fc.oneof(
          fc.integer({ min: 0, max: size - 1 }),
          fc
            .integer({ min: 0, max: Math.floor(size / 4096) * 16 - 1 })
            .map((n) => (n >> 4) * 4096 + (n & 15)),
        ),
        fc.integer({ min: 1, max: 255 }),
        async (at, mask) => {
          const byte = Buffer.alloc(1);
          await file.read(byte, 0, 1, at);
          await file.write(Buffer.of((byte[0] as number) ^ mask), 0, 1, at);
          try {
            const read = await openSnapshot(path, { skipHashCheck: true });
            await all(read);
            await read.close();
          } catch (error) {
            assert.ok(error instanceof SnapshotFileError, String((error as Error).stack));
            found++;
          } finally {
            await file.write(byte, 0, 1, at);
          }
        },
      ),
      { ...random, numRuns: numRuns * 8 },
    );
    await file.close();
    assert.ok(found > 0);
  });

  const refusals: Array<[string, Buffer, RegExp]> = [
    ['a text', Buffer.from('hello'.repeat(1000)), /no checksum at its end/],
    ['an empty file', Buffer.alloc(0), /no checksum at its end \(0 bytes\)/],
    ['another database', bboltOf(new Map([['things', []]])), /not etcd's: it has the buckets things/],
  ];
  for (const [what, bytes, message] of refusals) {
    test(`is not ${what}`, async () => {
      const path = join(folder, 'other.db');
      await writeFile(path, bytes);
      await assert.rejects(openSnapshot(path, { skipHashCheck: what === 'another database' }), message);
    });
  }
});
