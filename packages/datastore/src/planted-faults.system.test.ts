import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { openMemoryDatastore } from './memory.ts';
import { CrashingServers } from './testing/linearizability/crash-history.ts';
import { crashFaults, faultyStore, type StoreFault, storeFaults } from './testing/linearizability/faults.ts';
import { runHistory } from './testing/linearizability/history.ts';
import { random } from '@cloudless/kube/testing/random';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
/** Histories within which each fault must show. */
const maxHistories = 10;

/** What the checker says of the first history that it refuses. */
async function caught(run: (i: number) => Promise<unknown>): Promise<{ after: number; why: string }> {
  for (let i = 0; i < maxHistories; i++) {
    try {
      await run(i);
    } catch (error) {
      assert.ok(error instanceof assert.AssertionError, String(error));
      return { after: i + 1, why: error.message.split('\n')[0] ?? '' };
    }
  }
  return assert.fail(`not noticed in ${maxHistories} histories`);
}

describe(`the checker, of a store (SEED=${seed})`, () => {
  for (const fault of Object.keys(storeFaults) as StoreFault[]) {
    it(`that ${fault}`, async (t) => {
      const { after, why } = await caught(async (i) => {
        const next = random(seed + i);
        await using store = await openMemoryDatastore();
        await runHistory({ stores: [faultyStore(store, fault, random(seed + 77 + i))], next });
      });
      t.diagnostic(`history ${after}: ${why}`);
    });
  }
});

describe(`the checker, of a server killed in the middle (SEED=${seed})`, () => {
  for (const fault of crashFaults) {
    it(`that ${fault}`, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'datastore-planted-'));
      try {
        const endpoint = `sqlite://${join(folder, 'state.db')}`;
        await using servers = await CrashingServers.launch([
          { endpoint, socket: join(folder, 'socket'), fault },
        ]);
        const { after, why } = await caught((i) => servers.run({ next: random(seed + i), kills: 3 }));
        t.diagnostic(`history ${after}: ${why}`);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }
});
