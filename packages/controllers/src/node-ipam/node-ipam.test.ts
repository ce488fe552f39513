import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { core } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import * as fc from 'fast-check';
import type { Controller } from '../runtime/context.ts';
import { Bench } from '../testing/bench.ts';
import { CidrSet, formatCidr, overlap, parseCidr } from './cidr-set.ts';
import { type NodeIpamOptions, startNodeIpamController } from './node-ipam.ts';

const start = async (bench: Bench, options: Partial<NodeIpamOptions> = {}): Promise<Controller> => {
  const [controller] = await bench.start((context) =>
    startNodeIpamController(context, { clusterCidrs: ['10.244.0.0/16'], ...options }),
  );
  return controller as Controller;
};
const cidrs = (bench: Bench): Record<string, string> =>
  Object.fromEntries(
    bench.cluster
      .objects(core.nodes)
      .map((node) => [node.metadata.name, node.spec?.podCIDRs?.join(' ') ?? '']),
  );

describe('node IPAM', () => {
  it('gives each node its part, of both families', async () => {
    await using bench = new Bench();
    await start(bench, { clusterCidrs: ['10.244.0.0/16', 'fd00:10:244::/56'] });
    bench.cluster.seed(core.nodes, { metadata: { name: 'a' } }, { metadata: { name: 'b' } });
    await bench.settle();
    assert.deepEqual(cidrs(bench), {
      a: '10.244.0.0/24 fd00:10:244::/64',
      b: '10.244.1.0/24 fd00:10:244:1::/64',
    });
    assert.equal(bench.cluster.object(core.nodes, 'a')?.spec?.podCIDR, '10.244.0.0/24');
  });

  it('after a restart gives nobody what a node has', async () => {
    await using bench = new Bench();
    bench.cluster.seed(
      core.nodes,
      { metadata: { name: 'new' } },
      { metadata: { name: 'old' }, spec: { podCIDR: '10.244.0.0/24', podCIDRs: ['10.244.0.0/24'] } },
    );
    await start(bench);
    await bench.settle();
    assert.deepEqual(cidrs(bench), { new: '10.244.1.0/24', old: '10.244.0.0/24' });
  });

  it('keeps off the Services, tells when nothing is left, and gives what a deleted node had', async () => {
    await using bench = new Bench();
    await start(bench, { clusterCidrs: ['10.0.0.0/22'], serviceCidrs: ['10.0.0.0/23'] });
    bench.cluster.seed(core.nodes, ...['a', 'b', 'c'].map((name) => ({ metadata: { name } })));
    await bench.settle();
    assert.deepEqual(cidrs(bench), { a: '10.0.2.0/24', b: '10.0.3.0/24', c: '' });
    assert.deepEqual(bench.events(), ['Normal CIDRNotAvailable Node c status is now: CIDRNotAvailable']);
    bench.cluster.remove(core.nodes, 'a');
    await bench.pass(2);
    assert.equal(cidrs(bench)['c'], '10.0.2.0/24');
  });

  it('gives no part twice, whatever answers are lost', async () => {
    await using bench = new Bench();
    await start(bench);
    let n = 0;
    bench.cluster.intercept((call) => {
      if (call.verb !== 'patch') return undefined;
      if (++n % 3 === 0) return errors.unavailable('lost before');
      if (n % 3 === 1) {
        const spec = (call.body as { spec: { podCIDRs: string[]; podCIDR: string } }).spec;
        bench.cluster.change(
          core.nodes,
          call.name ?? '',
          undefined,
          (node) => (node.spec = { ...node.spec, ...spec }),
        );
        return errors.timeout('lost after');
      }
      return undefined;
    });
    bench.cluster.seed(
      core.nodes,
      ...Array.from({ length: 30 }, (_, i) => ({ metadata: { name: `n${i}` } })),
    );
    await bench.pass(15);
    const given = Object.values(cidrs(bench));
    assert.ok(given.every((cidr) => cidr !== ''));
    assert.equal(new Set(given).size, 30);
  });
});

describe('CIDR set', () => {
  it('reads and writes both families', () => {
    for (const text of ['10.244.0.0/16', 'fd00:10:244::/56', '::/0', '2001:db8::1:0:0:1/128', '0.0.0.0/0']) {
      assert.equal(formatCidr(parseCidr(text)), text);
    }
    assert.equal(formatCidr(parseCidr('10.1.2.3/8')), '10.0.0.0/8');
    for (const text of [
      '10.0.0/8',
      '10.0.0.0',
      '10.0.0.256/8',
      'fd00::/129',
      'x',
      '1:2:3/64',
      '10.0.0.0/33',
    ]) {
      assert.throws(() => parseCidr(text), /is no CIDR/);
    }
    assert.equal(overlap(parseCidr('10.0.0.0/8'), parseCidr('10.1.0.0/16')), true);
    assert.equal(overlap(parseCidr('10.0.0.0/16'), parseCidr('10.1.0.0/16')), false);
    assert.throws(() => new CidrSet(parseCidr('10.0.0.0/16'), 8), /does not fit/);
    assert.throws(() => new CidrSet(parseCidr('fd00::/32'), 64), /too far/);
  });

  it('gives each subnet to one at a time, and in the end all of them', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 200 }), (steps) => {
        const set = new CidrSet(parseCidr('10.0.0.0/20'), 24);
        const held: string[] = [];
        for (const take of steps) {
          if (take) {
            const cidr = set.allocate();
            if (held.length === 16) assert.equal(cidr, undefined);
            else {
              const text = formatCidr(cidr ?? assert.fail('there was one left'));
              assert.ok(!held.includes(text));
              held.push(text);
            }
          } else if (held.length > 0) set.release(parseCidr(held.shift() as string));
          assert.equal(set.free, 16 - held.length);
        }
      }),
    );
  });
});
