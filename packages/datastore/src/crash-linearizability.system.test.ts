import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { openPostgresDatastore } from './postgres/open.ts';
import { type CrashHistoryOptions, CrashingServers } from './testing/linearizability/crash-history.ts';
import { runHistory } from './testing/linearizability/history.ts';
import { random } from '@cloudless/kube/testing/random';
import { RealPostgres } from './testing/real-postgres.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const log = logger('datastore-test').child({}, { level: 'silent' });
const histories = Number(process.env['ITERATIONS'] ?? 10);

/** Histories on servers that are killed, until all are judged. */
async function runAll(
  t: TestContext,
  endpoints: readonly string[],
  options: Omit<CrashHistoryOptions, 'next'>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'datastore-sockets-'));
  let [operations, unknown] = [0, 0];
  try {
    await using servers = await CrashingServers.launch(
      endpoints.map((endpoint, i) => ({ endpoint, socket: join(folder, `socket-${i}`) })),
    );
    for (let i = 0; i < histories; i++) {
      const figures = await servers.run({ ...options, next: random(seed + i) });
      operations += figures.operations;
      unknown += figures.unknown;
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  t.diagnostic(`${operations} operations, ${unknown} writes of unknown outcome`);
}

describe(`what clients are told is linearizable (SEED=${seed}, ${histories} histories each)`, () => {
  it('on SQLite, while the server is killed and started again', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'datastore-crashes-'));
    try {
      await runAll(t, [`sqlite://${join(folder, 'state.db')}`], { kills: 1 });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('on PostgreSQL with three servers', async (t) => {
    const database = await RealPostgres.start();
    let operations = 0;
    try {
      for (let i = 0; i < histories; i++) {
        const url = await database.database();
        const cacheBytes = i % 3 === 0 ? 0 : undefined;
        const stores = await Promise.all(
          [0, 1, 2].map(() => openPostgresDatastore({ url, cacheBytes, log })),
        );
        try {
          operations += await runHistory({ stores, next: random(seed + i), operationsPerClient: 20 });
        } finally {
          await Promise.all(stores.map((store) => store.close()));
        }
      }
    } finally {
      await database.stop();
    }
    t.diagnostic(`${operations} operations`);
  });

  it('on PostgreSQL with three servers, while they and the database are killed and started again', async (t) => {
    const database = await RealPostgres.start();
    try {
      const url = await database.database();
      const accident = async (): Promise<void> => {
        await database.kill();
        await database.launch();
      };
      await runAll(t, [url, url, url], { kills: 1, accident, operationsPerClient: 25 });
    } finally {
      await database.stop();
    }
  });
});
