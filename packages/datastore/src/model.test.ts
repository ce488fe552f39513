import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { connectEtcd } from '@cloudless/kube/etcd/client/client';
import type { EtcdStore } from '@cloudless/kube/etcd/store';
import { logger } from '@cloudless/kube/logger';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import { assert as assertProperty, asyncProperty, check } from 'fast-check';
import { type Datastore, openDatastore } from './index.ts';
import { type DatastoreServer, serveDatastore } from './server/serve.ts';
import { faultyStore } from './testing/linearizability/faults.ts';
import { runScript, type StoreUnderScript } from './testing/model/run-script.ts';
import { random } from '@cloudless/kube/testing/random';
import { script } from './testing/model/steps.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const numRuns = Number(process.env['ITERATIONS'] ?? 15);
const log = logger('model-test').child({}, { level: 'silent' });

/** Runs `use` on a store in a new folder for each script. */
async function inFolder(use: (path: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'datastore-model-'));
  try {
    await use(join(folder, 'state.db'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Over gRPC: server and client come and go with the engine. */
function served(path: string): StoreUnderScript {
  let open: { engine: Datastore; server: DatastoreServer } | undefined;
  return {
    async open(): Promise<EtcdStore> {
      const engine = await openDatastore({ path, log });
      const server = await serveDatastore({ store: engine, listen: { host: '127.0.0.1', port: 0 }, log });
      open = { engine, server };
      return connectEtcd({ endpoints: [server.url], log });
    },
    async close(store) {
      await store.close();
      await open?.server.stop();
      await open?.engine.close();
    },
  };
}

describe(`the datastore does what the model does (SEED=${seed}, ${numRuns} scripts)`, () => {
  for (const [name, cacheBytes] of [
    ['through restarts, compactions and the time of leases', undefined],
    ['the same with every value cold', 0],
  ] as const) {
    it(name, async () => {
      const property = asyncProperty(script(true, 120), (steps) =>
        inFolder((path) => {
          const clock = new FakeClock();
          return runScript(steps, {
            clock,
            open: () => openDatastore({ path, clock, cacheBytes, log }),
            close: (store) => store.close(),
          });
        }),
      );
      await assertProperty(property, { seed, numRuns });
    });
  }

  it('over gRPC', async () => {
    const property = asyncProperty(script(false, 60), (steps) =>
      inFolder((path) => runScript(steps, served(path))),
    );
    const runs = Math.max(10, Math.ceil(numRuns / 2));
    await assertProperty(property, { seed, numRuns: runs, endOnFailure: true });
  });

  const faults = [
    'makes a put twice',
    'loses an event',
    'answers a read with what was there before',
  ] as const;
  for (const fault of faults) {
    it(`and would notice a store that ${fault}`, async () => {
      let runs = 0;
      const property = asyncProperty(script(true, 120), (steps) =>
        inFolder((path) => {
          const clock = new FakeClock();
          // Another moment of the fault in each run: with one for all, a seed may never reach it.
          const next = random(seed + runs++);
          return runScript(steps, {
            clock,
            open: async () => faultyStore(await openDatastore({ path, clock, log }), fault, next),
            close: (store) => store.close(),
          });
        }),
      );
      const { failed } = await check(property, { seed, numRuns: 200, endOnFailure: true });
      assert.ok(failed);
    });
  }
});
