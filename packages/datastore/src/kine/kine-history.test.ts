import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { checkHistory } from '../history/check.ts';
import { historyOfKine, type KineRow, type KineTable } from './kine-history.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const numRuns = Number(process.env['ITERATIONS'] ?? 50);

interface Alive {
  createRevision: number;
  revision: number;
  value: string;
  lease: number;
}

/** What kine would have written, and what exists at the end; then kine's compaction at some revision. */
const tables = fc
  .record({
    writes: fc.array(
      fc.record({
        key: fc.integer({ min: 0, max: 6 }),
        deletes: fc.boolean(),
        lease: fc.constantFrom(0, 0, 15, 3600),
        hole: fc.constantFrom<'none' | 'filled' | 'empty'>('none', 'none', 'none', 'filled', 'empty'),
      }),
      { maxLength: 60 },
    ),
    compactedShare: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ writes, compactedShare }) => {
    const rows: KineRow[] = [rowOf({ id: 1, name: 'compact_rev_key', created: true })];
    const alive = new Map<string, Alive>();
    let id = 1;
    for (const { key, deletes, lease, hole } of writes) {
      id++;
      if (hole === 'filled') rows.push(rowOf({ id, name: `gap-${id}`, deleted: true }));
      if (hole !== 'none') continue;
      const name = `/k/${key}`;
      const before = alive.get(name);
      const deleted = deletes && before !== undefined;
      const prevRevision = before?.revision ?? 0;
      // kine leaves the create revision of a created row at 0.
      const createRevision = before?.createRevision ?? 0;
      const value = Buffer.from(`v${id}`);
      rows.push(
        rowOf({
          id,
          name,
          created: before === undefined,
          deleted,
          createRevision,
          prevRevision,
          lease,
          value,
        }),
      );
      if (deleted) alive.delete(name);
      else
        alive.set(name, {
          createRevision: before?.createRevision ?? id,
          revision: id,
          value: `v${id}`,
          lease,
        });
    }
    return { rows: compact(rows, Math.floor(id * compactedShare)), alive, last: rows.at(-1)?.id ?? 1 };
  });

const rowOf = (row: { id: number; name: string } & Partial<Omit<KineRow, 'name'>>): KineRow => ({
  created: false,
  deleted: false,
  createRevision: 0,
  prevRevision: 0,
  lease: 0,
  value: undefined,
  ...row,
  name: Buffer.from(row.name),
});

/** kine removes rows that later ones up to the compaction replaced, and tombstones up to it. */
function compact(rows: readonly KineRow[], revision: number): KineRow[] {
  const replaced = new Set(rows.filter(({ id }) => id <= revision).map(({ prevRevision }) => prevRevision));
  return rows
    .filter(({ id, deleted }) => id === 1 || id > revision || (!replaced.has(id) && !deleted))
    .map((row) => (row.id === 1 ? { ...row, prevRevision: revision } : row));
}

const tableOf = (rows: readonly KineRow[]): KineTable => ({
  name: 'a random table',
  async *rows(withValues) {
    for (let i = 0; i < rows.length; i += 7)
      yield rows.slice(i, i + 7).map((row) => (withValues ? row : { ...row, value: undefined }));
  },
  close: async () => undefined,
});

test('any table of kine becomes a sound history that ends with what kine has', async () => {
  console.log(`SEED=${seed}`);
  await fc.assert(
    fc.asyncProperty(tables, async ({ rows, alive, last }) => {
      const history = await historyOfKine(tableOf(rows));
      assert.ok(
        history.revision >= Math.max(...rows.map(({ id }) => id)) &&
          history.revision <= Math.max(last, history.compactRevision),
      );
      assert.deepEqual((await checkHistory(history)).findings, []);
      const found = new Map<string, Alive>();
      for await (const piece of history.records()) {
        for (const { key, value, createRevision, revision, lease, version } of piece) {
          const name = Buffer.from(key).toString();
          if (value === undefined) found.delete(name);
          else
            found.set(name, {
              createRevision,
              revision,
              value: Buffer.from(value).toString(),
              lease: Number(lease),
            });
          assert.equal(
            value !== undefined && version === 1,
            value !== undefined && createRevision === revision,
          );
        }
      }
      assert.deepEqual(found, alive);
      const leases = new Set([...alive.values()].map(({ lease }) => lease).filter((lease) => lease > 0));
      assert.deepEqual(new Set(history.leases.map(({ ttlSeconds }) => ttlSeconds)), leases);
    }),
    { seed, numRuns, endOnFailure: false },
  );
});
