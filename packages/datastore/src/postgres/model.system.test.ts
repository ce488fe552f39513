import { after, before, describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { assert as assertProperty, asyncProperty } from 'fast-check';
import { runScript } from '../testing/model/run-script.ts';
import { script } from '../testing/model/steps.ts';
import { RealPostgres } from '../testing/real-postgres.ts';
import { openPostgresDatastore } from './open.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const numRuns = Number(process.env['ITERATIONS'] ?? 10);
const log = logger('model-test').child({}, { level: 'silent' });

describe(`the datastore on PostgreSQL does what the model does (SEED=${seed}, ${numRuns} scripts)`, () => {
  let database: RealPostgres;
  before(async () => {
    // What is tested here is answers, not durability: nothing waits for a disk.
    database = await RealPostgres.start({ fsync: 'off' });
  });
  after(() => database.stop());

  it('through restarts and compactions', async () => {
    const property = asyncProperty(script(false, 60), async (steps) => {
      const url = await database.database();
      await runScript(steps, {
        open: () => openPostgresDatastore({ url, log }),
        close: (store) => store.close(),
      });
    });
    await assertProperty(property, { seed, numRuns, endOnFailure: true });
  });
});
