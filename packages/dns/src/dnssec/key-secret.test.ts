import { test } from 'node:test';
import assert from 'node:assert/strict';
import { core } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import { FakeCluster } from '@cloudless/kube/testing/fake-cluster';
import type { Secret } from '@cloudless/kube/types/core-v1';
import { generateKey, KeyError, type StoredKey } from './key.ts';
import { changeKeys, keysSecret, zoneKeys } from './key-secret.ts';
import { secretData } from './key-store.ts';
import { describeKeys } from './key-status.ts';
import { beginRollover, retireReplaced } from './rollover.ts';

const nowMs = Date.UTC(2027, 0, 1);
const namespace = 'cloudless-dns';

function clusterWith(data: Record<string, string>): FakeCluster {
  const cluster = new FakeCluster();
  const secret: Secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: keysSecret, namespace },
    data,
  };
  cluster.seed(core.secrets, secret);
  return cluster;
}

test('a rollover is written into the Secret beside the keys of other zones, whoever else writes meanwhile', async () => {
  const [mine, other] = [generateKey({ origin: 'a.test', nowMs }), generateKey({ origin: 'b.test', nowMs })];
  // Somebody called an entry otherwise.
  const named = { 'my-key': Object.values(secretData([mine]))[0] as string };
  const cluster = clusterWith({ ...named, ...secretData([other]) });
  let conflicts = 2;
  cluster.intercept(({ verb }) =>
    verb === 'patch' && conflicts-- > 0
      ? errors.conflict(core.secrets, keysSecret, 'changed meanwhile')
      : undefined,
  );
  const options = { client: cluster.client, namespace };
  const changed = await changeKeys(options, 'a.test', (keys) => beginRollover(keys, 'csk', nowMs + 1000));
  assert.equal(changed.length, 2);
  const tags = (keys: readonly StoredKey[]): number[] =>
    keys.map(({ keyTag }) => keyTag).sort((a, b) => a - b);
  const stored = (await zoneKeys(options, 'a.test')).keys;
  assert.deepEqual(tags(stored), tags(changed));
  assert.ok(stored.some(({ times }) => times.syncDelete !== undefined));
  assert.deepEqual((await zoneKeys(options, 'b.test')).keys, [other]);

  await changeKeys(options, 'a.test', (keys) => keys.filter(({ keyTag }) => keyTag !== mine.keyTag));
  assert.equal((await zoneKeys(options, 'a.test')).keys.length, 1);
});

test('a zone without keys, or with a damaged one, is told and left alone', async () => {
  const key = generateKey({ origin: 'a.test', nowMs });
  const [name = ''] = Object.keys(secretData([key]));
  const cluster = clusterWith({ [name]: 'bm90aGluZw==' });
  const options = { client: cluster.client, namespace };
  await assert.rejects(zoneKeys(options, 'a.test'), KeyError);
  await assert.rejects(
    changeKeys(options, 'b.test', (keys) => keys),
    /b\.test\. has no keys in Secret cloudless-dns\/dnssec-keys/,
  );
  assert.deepEqual(await zoneKeys({ client: new FakeCluster().client, namespace }, 'a.test'), {
    keys: [],
    entries: [],
    resourceVersion: undefined,
  });
});

test('what is said of keys follows a rollover', () => {
  const key = generateKey({ origin: 'a.test', nowMs, taken: new Set() });
  assert.deepEqual(describeKeys([key], nowMs), [`${key.keyTag}: combined, signs, in CDS`]);
  const hourMs = 3_600_000;
  const rolling = beginRollover([key], 'csk', nowMs);
  const fresh = rolling[1]?.keyTag;
  assert.deepEqual(describeKeys(rolling, nowMs), [
    `${key.keyTag}: combined, signs, in CDS; out of CDS from 2027-01-01T01:00:00.000Z`,
    `${fresh}: combined, signs; in CDS from 2027-01-01T01:00:00.000Z`,
    'next: from 2027-01-01T01:00:00.000Z on give the parent the new DS (cloudless dns ds), then --retire',
  ]);
  const retired = retireReplaced(rolling, nowMs + 2 * hourMs, 3600);
  assert.deepEqual(describeKeys(retired, nowMs + 3 * hourMs), [
    `${key.keyTag}: combined, gone: its entry may be deleted`,
    `${fresh}: combined, signs, in CDS`,
  ]);
});
