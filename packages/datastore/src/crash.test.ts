import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it } from 'node:test';
import { openDatastore } from './index.ts';
import { Ledger } from './testing/ledger.ts';
import { random } from '@cloudless/kube/testing/random';
import { WriterProcess } from './testing/writer-process.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const kills = Number(process.env['ITERATIONS'] ?? 10);

/** After compactions that were killed at any moment, one that ends leaves no row that nobody can read. */
async function verifyNothingIsLeft(path: string): Promise<void> {
  const store = await openDatastore({ path, reservePages: 16 });
  const { revision } = await store.put({ key: Buffer.from('last'), value: Buffer.from('1') });
  await store.compact(revision);
  await store.compacted();
  const { count } = await store.range({ key: Buffer.of(0), rangeEnd: Buffer.of(0), countOnly: true });
  await store.close();
  const db = new DatabaseSync(path);
  const rows = db.prepare('SELECT count(*) AS n FROM log').get()?.['n'];
  const damages = db.prepare('PRAGMA integrity_check').all();
  db.close();
  assert.equal(rows, count);
  assert.deepEqual(
    damages.map((row) => ({ ...row })),
    [{ integrity_check: 'ok' }],
  );
  assert.ok(statSync(path).size < 4096 * (count + 32), `${statSync(path).size} bytes for ${count} rows`);
}

describe('the datastore under kill -9', () => {
  it(`loses nothing acknowledged, halves nothing, leaves no gap (SEED=${seed}, ${kills} kills)`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'datastore-crash-'));
    const path = join(folder, 'state.db');
    const next = random(seed);
    const ledger = new Ledger();
    try {
      for (let i = 0; i < kills; i++) {
        const writer = new WriterProcess(path, ledger);
        await writer.until(1 + Math.floor(next() * 1500));
        await writer.kill();
        await using store = await openDatastore({ path });
        await ledger.verify(store);
      }
      await verifyNothingIsLeft(path);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
