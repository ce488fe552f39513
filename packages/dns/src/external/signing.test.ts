import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { FakeCluster } from '@cloudless/kube/testing/fake-cluster';
import type { Secret } from '@cloudless/kube/types/core-v1';
import { changeKeys, keysSecret, zoneKeys } from '../dnssec/key-secret.ts';
import { beginRollover } from '../dnssec/rollover.ts';
import { startSigning, type ZoneSignings } from './signing.ts';

const log = logger('test').child({}, { level: process.env['TEST_LOG'] ?? 'silent' });
const namespace = 'cloudless-dns';
const ends: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

function start(cluster: FakeCluster, origins: readonly string[]): ZoneSignings {
  const dnssec = new Map(origins.map((origin) => [origin, { denial: 'compact' as const }]));
  const signings = startSigning({
    config: () => ({ dnssec }),
    keys: { client: cluster.client, namespace },
    onChange: () => {},
    log,
  });
  ends.push(() => signings.stop());
  return signings;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const limitMs = Date.now() + 10_000;
  while (!(await condition())) {
    assert.ok(Date.now() < limitMs, 'it did not come to be');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const tagsOf = (signings: ZoneSignings, origin: string): number[] =>
  signings.of(origin)?.policy?.keys.map(({ keyTag }) => keyTag) ?? [];

describe('the keys of signed zones', () => {
  it('are made once for all replicas, and a rollover shows on each', async () => {
    const cluster = new FakeCluster();
    const replicas = [start(cluster, ['a.test', 'b.test']), start(cluster, ['a.test', 'b.test'])] as const;
    for (const replica of replicas) await until(() => replica.waitingFor === undefined);
    assert.deepEqual(tagsOf(replicas[0], 'a.test'), tagsOf(replicas[1], 'a.test'));
    assert.equal(replicas[0].of('b.test')?.digest, replicas[1].of('b.test')?.digest);
    const options = { client: cluster.client, namespace };
    await changeKeys(options, 'a.test', (keys) => beginRollover(keys, 'csk', Date.now()));
    for (const replica of replicas) await until(() => tagsOf(replica, 'a.test').length === 2);
    assert.equal(tagsOf(replicas[0], 'b.test').length, 1);
  });

  it('go on when somebody damages them, and come back when somebody deletes them', async () => {
    const cluster = new FakeCluster();
    const signings = start(cluster, ['a.test', 'b.test']);
    await until(() => signings.waitingFor === undefined);
    const before = tagsOf(signings, 'a.test');
    const { data = {} } = await cluster.client.get(core.secrets, keysSecret, { namespace });
    const entry = Object.keys(data).find((name) => name.startsWith('a.test.')) as string;
    cluster.change<Secret>(core.secrets, keysSecret, namespace, (secret) => {
      secret.data = { ...secret.data, [entry]: 'bm90aGluZw==' };
    });
    await until(() => signings.problems.length > 0);
    assert.deepEqual(tagsOf(signings, 'a.test'), before);
    assert.equal(signings.waitingFor, undefined);

    await cluster.client.delete(core.secrets, keysSecret, { namespace });
    const options = { client: cluster.client, namespace };
    await until(
      async () => (await zoneKeys(options, 'a.test').catch(() => ({ keys: [] }))).keys.length === 1,
    );
    const { keys } = await zoneKeys(options, 'a.test');
    assert.deepEqual(
      keys.map(({ keyTag }) => keyTag),
      before,
    );
    await until(() => signings.problems.length === 0);
    assert.deepEqual(tagsOf(signings, 'a.test'), before);
  });
});
