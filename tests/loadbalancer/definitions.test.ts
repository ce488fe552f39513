/** The kinds of `metallb.io` as the API server serves them: the same as MetalLB's, and bad objects refused in a sentence. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { apiextensions } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import type { CustomResourceDefinition } from '@cloudless/kube/types/apiextensions-v1';
import { customResourceDefinitions, installDefinitions } from '@cloudless/loadbalancer/config/definitions';
import { type Cluster, startCluster } from 'cloudless/testing';
import { badObjects, goodObjects, pool } from './objects.ts';

const published = JSON.parse(
  readFileSync(join(import.meta.dirname, '..', 'operators', 'testdata', 'crds', 'metallb.json'), 'utf8'),
) as CustomResourceDefinition[];

/** What a definition accepts and shows, without what ours may have of its own: texts, rules, bounds of length. */
function bare(value: unknown, isProperties = false): unknown {
  if (Array.isArray(value)) return value.map((item) => bare(item));
  if (typeof value !== 'object' || value === null) return value;
  const own = new Set([
    'description',
    'x-kubernetes-validations',
    'maxItems',
    'maxLength',
    'deprecationWarning',
  ]);
  return Object.fromEntries(
    Object.entries(value)
      .filter(
        ([key, inner]) =>
          isProperties ||
          !own.has(key) ||
          (key !== 'description' && typeof inner === 'object' && key !== 'x-kubernetes-validations'),
      )
      .map(([key, inner]) => [key, bare(inner, key === 'properties' && !isProperties)]),
  );
}

describe('the definitions of metallb.io', () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await startCluster({ nodes: 0, controllers: false, scheduler: false });
  });
  after(() => cluster.stop());

  it('are those of MetalLB: kinds, versions, fields, defaults, bounds and columns', () => {
    const ours = new Map(customResourceDefinitions().map((one) => [one.metadata?.name, one]));
    assert.deepEqual(new Set(ours.keys()), new Set(published.map(({ metadata }) => metadata?.name)));
    for (const theirs of published) {
      const own = ours.get(theirs.metadata?.name);
      for (const [i, version] of (own?.spec.versions ?? []).entries()) {
        const [mine, known] = [version, theirs.spec.versions[i]].map(
          (one) => one?.schema?.openAPIV3Schema?.properties?.['spec']?.properties,
        );
        // L2Advertisement: newer than the release whose definitions are kept here. BGPPeer v1beta1 has what v1beta2 has,
        // so that nothing is lost between the two without a conversion webhook.
        const more =
          own?.spec.names.kind === 'BGPPeer' && version.name === 'v1beta1'
            ? Object.keys(mine ?? {})
            : ['preferredNodeSelectors'];
        for (const field of more) if (known?.[field] === undefined) delete mine?.[field];
      }
      assert.deepEqual(own?.spec.names, theirs.spec.names);
      assert.deepEqual(bare(own?.spec.versions), bare(theirs.spec.versions));
    }
  });

  it('are installed, served when that resolves, and installed again without a change', async () => {
    const first = await installDefinitions(cluster.client);
    assert.equal(first.applied.length, 9);
    await cluster.apply(pool(['192.0.2.0/30']));
    const version = async (): Promise<string | undefined> =>
      (await cluster.client.get(apiextensions.customresourcedefinitions, 'ipaddresspools.metallb.io'))
        .metadata?.resourceVersion;
    const before = await version();
    assert.deepEqual(await installDefinitions(cluster.client), first);
    assert.equal(await version(), before);
  });

  it('are left alone where somebody else brought them', async () => {
    await using other = await startCluster({
      nodes: 0,
      controllers: false,
      scheduler: false,
      crds: published.filter(({ metadata }) => metadata?.name === 'bgppeers.metallb.io'),
    });
    const { applied, foreign } = await installDefinitions(other.client);
    assert.deepEqual(foreign, ['bgppeers.metallb.io']);
    assert.equal(applied.length, 8);
  });

  for (const [what, object] of goodObjects)
    it(`accept ${what}`, async () => {
      await cluster.apply(object);
    });

  for (const [what, object, sentence] of badObjects)
    it(`refuse ${what}`, async () => {
      await assert.rejects(cluster.apply(object), (error) => {
        assert.ok(error instanceof StatusError, String(error));
        assert.equal(error.reason, 'Invalid');
        assert.ok(error.message.includes(sentence), `${error.message}\nlacks: ${sentence}`);
        return true;
      });
    });
});
