import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HttpsKubeClient } from '@cloudless/kube/client/https';
import { clientFromKubeconfig } from '@cloudless/kube/client/kubeconfig';
import { core } from '@cloudless/kube/resources';
import { isolate } from '../../packages/network/src/testing/namespaces.ts';
import { addUplink, eventually } from '../e2e/cluster.ts';
import { ControlPlane } from './control-plane.ts';
import { isOfLedger, Ledger } from './ledger.ts';
import { Load } from './load.ts';
import { randomFrom, seedOfRun } from './random.ts';
import { WatchRecord } from './watch-record.ts';

isolate();
addUplink();

const kills = Number(process.env['ITERATIONS'] ?? 10);
const namespace = 'default';
const writers = 16;
const longestLoadMs = 1_000;
const longestStartMs = 800;

describe('the control plane under kill -9', () => {
  const random = randomFrom(seedOfRun);
  let plane: ControlPlane;
  let client: HttpsKubeClient;
  before(async () => {
    plane = await ControlPlane.prepare();
    client = clientFromKubeconfig(plane.kubeconfig);
  });
  after(async () => {
    await client.close();
    await plane.remove();
  });

  it(`loses nothing acknowledged, halves nothing, and resumes watches (SEED=${seedOfRun}, ${kills} kills)`, async (t) => {
    const ledger = new Ledger();
    plane.start();
    await plane.ready();
    const begin = await client.list(core.configmaps, { namespace, limit: 1 });
    const watch = new WatchRecord(client, namespace, begin.metadata.resourceVersion ?? '');
    const load = new Load({ client, namespace, ledger, writers, random });
    const verify = async (): Promise<void> => {
      await load.pause();
      const list = await client.list(core.configmaps, { namespace });
      const items = list.items.filter(isOfLedger);
      load.giveBack(ledger.settle(items, Number(list.metadata.resourceVersion)));
      await eventually('the watch has seen what happened', async () => {
        watch.verify(ledger);
        return true;
      });
      watch.forget(ledger.forgetDeleted());
    };
    try {
      for (let kill = 1; kill <= kills; kill++) {
        load.resume();
        const answered = ledger.acknowledged;
        await eventually('writes are acknowledged', async () => {
          if (load.failure !== undefined) await load.pause();
          return ledger.acknowledged > answered;
        });
        await sleep(random() * longestLoadMs);
        await plane.kill();
        if (random() < 0.25) {
          plane.start();
          await sleep(random() * longestStartMs);
          await plane.kill();
        }
        plane.start();
        await plane.ready();
        await verify();
      }
      t.diagnostic(
        `${ledger.acknowledged} acknowledged changes, ${watch.events} events through ${watch.resumed} breaks`,
      );
      assert.ok(ledger.acknowledged >= kills * 10, `only ${ledger.acknowledged} changes were acknowledged`);
    } finally {
      await load.stop();
      await watch.stop();
    }
  });
});
