import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { openDatastore } from './index.ts';
import { Ledger } from './testing/ledger.ts';
import { random } from './testing/random.ts';
import { WriterProcess } from './testing/writer-process.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const kills = Number(process.env['ITERATIONS'] ?? 10);

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
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
