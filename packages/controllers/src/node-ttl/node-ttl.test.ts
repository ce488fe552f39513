import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { core } from '@cloudless/kube/resources';
import { Bench } from '../testing/bench.ts';
import { nextStep, startNodeTtlController } from './node-ttl.ts';

describe('node TTL', () => {
  it('is written on each node, and grows with the cluster', async () => {
    await using bench = new Bench();
    await bench.start(startNodeTtlController);
    const ttls = (): Set<string | undefined> =>
      new Set(
        bench.cluster
          .objects(core.nodes)
          .map((node) => node.metadata.annotations?.['node.alpha.kubernetes.io/ttl']),
      );
    bench.cluster.seed(core.nodes, { metadata: { name: 'a' } });
    await bench.until(() => ttls().has('0'), 'the annotation');
    bench.cluster.seed(
      core.nodes,
      ...Array.from({ length: 100 }, (_, i) => ({ metadata: { name: `n${i}` } })),
    );
    await bench.until(() => ttls().size === 1 && ttls().has('15'), 'the larger one');
  });

  it('does not flap at a border', () => {
    assert.deepEqual([nextStep(0, 100), nextStep(0, 101), nextStep(1, 95), nextStep(1, 89)], [0, 1, 1, 0]);
    assert.equal(nextStep(0, 5000), 4);
  });
});
