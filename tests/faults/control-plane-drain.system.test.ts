import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConnectionError, type HttpsKubeClient } from '@cloudless/kube/client/https';
import { clientFromKubeconfig } from '@cloudless/kube/client/kubeconfig';
import { core } from '@cloudless/kube/resources';
import { isolate } from '../../packages/network/src/testing/namespaces.ts';
import { addUplink } from '../e2e/cluster.ts';
import { ControlPlane } from './control-plane.ts';

isolate();
addUplink();

const namespace = 'default';
const rounds = 3;

describe('the control plane under SIGTERM and load', () => {
  let plane: ControlPlane;
  before(async () => void (plane = await ControlPlane.prepare()));
  after(() => plane.remove());

  it('answers what it has begun, loses nothing acknowledged, and is quick about it', async () => {
    const acknowledged = new Set<string>();
    let made = 0;
    for (let round = 0; round < rounds; round++) {
      plane.start();
      await plane.ready();
      const client = clientFromKubeconfig(plane.kubeconfig);
      const kept = (await client.list(core.configmaps, { namespace })).items.map(
        ({ metadata }) => metadata.name,
      );
      for (const name of acknowledged) assert.ok(kept.includes(name), `${name} was acknowledged and is gone`);
      const broken: unknown[] = [];
      let stopping = false;
      const write = async (): Promise<void> => {
        for (;;) {
          const name = `map-${made++}`;
          try {
            await client.create(core.configmaps, { metadata: { name, namespace } });
            acknowledged.add(name);
          } catch (error) {
            // Only connections that were never made may fail, and only at the end.
            if (
              !stopping ||
              !(error instanceof ConnectionError) ||
              !/ECONNREFUSED|refused/.test(`${error.message} ${String(error.cause)}`)
            )
              broken.push(error);
            return;
          }
        }
      };
      const watched = watchToEnd(client);
      const writers = Array.from({ length: 16 }, write);
      const before = acknowledged.size;
      while (acknowledged.size < before + 200) await sleep(5);
      stopping = true;
      const begunMs = performance.now();
      assert.equal(await plane.stop(), 0);
      const tookMs = performance.now() - begunMs;
      await Promise.all(writers);
      assert.deepEqual(broken, []);
      assert.equal(await watched, 'ended');
      assert.ok(tookMs < 8_000, `took ${tookMs} ms`);
      await client.close();
    }
  });
});

/** A watch of the server's own making ends; one that breaks throws. */
async function watchToEnd(client: HttpsKubeClient): Promise<string> {
  // oxlint-disable-next-line no-empty -- what it sees does not matter
  for await (const _event of client.watch(core.configmaps, { namespace })) {
  }
  return 'ended';
}
