import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { startEngine } from './datastore.ts';
import { openDatastore } from './index.ts';
import { runHistory } from './testing/linearizability/history.ts';
import { random } from '@cloudless/kube/testing/random';
import { SharedLog } from './testing/shared-log.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const histories = Number(process.env['ITERATIONS'] ?? 10);

describe('what clients are told', () => {
  it(`is linearizable on SQLite (SEED=${seed}, ${histories} histories)`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'datastore-linearizable-'));
    let operations = 0;
    try {
      for (let i = 0; i < histories; i++) {
        const path = join(folder, `${i}.db`);
        await using store = await openDatastore({ path, cacheBytes: i % 3 === 0 ? 0 : undefined });
        operations += await runHistory({ stores: [store], next: random(seed + i) });
        rmSync(path);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
    t.diagnostic(`${operations} operations`);
  });

  it(`is linearizable with three engines on one log (SEED=${seed}, ${histories} histories)`, async (t) => {
    let [operations, conflicts] = [0, 0];
    for (let i = 0; i < histories; i++) {
      const shared = new SharedLog();
      const stores = await Promise.all(
        [0, 1, 2].map((n) =>
          startEngine({ name: 'shared log', log: shared.connect(), cacheBytes: n === i % 3 ? 0 : undefined }),
        ),
      );
      try {
        operations += await runHistory({ stores, next: random(seed + i) });
      } finally {
        await Promise.all(stores.map((store) => store.close()));
      }
      conflicts += shared.conflicts;
    }
    t.diagnostic(`${operations} operations, ${conflicts} appends that came second`);
  });
});
