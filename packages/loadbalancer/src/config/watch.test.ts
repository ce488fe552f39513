import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eventRecorder } from '@cloudless/kube/events/recorder';
import { core } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import { FakeCluster } from '@cloudless/kube/testing/fake-client';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import type { LoadBalancerConfig } from './config.ts';
import { type BgpPeerObject, metallb } from './kinds.ts';
import { watchConfiguration } from './watch.ts';

const namespace = 'metallb-system';
const pool = (name: string, address: string) => ({
  metadata: { name, namespace },
  spec: { addresses: [address] },
});
const peer = (name: string, spec: Partial<BgpPeerObject['spec']> = {}): BgpPeerObject => ({
  metadata: { name, namespace },
  spec: { myASN: 64_512, peerASN: 64_513, peerAddress: '192.0.2.1', ...spec },
});
const secret = (password: string, type = 'kubernetes.io/basic-auth') => ({
  metadata: { name: 'md5', namespace },
  type,
  data: { password: Buffer.from(password).toString('base64') },
});

/** What a logger is told, as text. */
function listener(): {
  lines: string[];
  log: Record<'info' | 'warn' | 'debug' | 'error', (...args: unknown[]) => void>;
} {
  const lines: string[] = [];
  const tell = (...args: unknown[]): void => void lines.push(JSON.stringify(args));
  return { lines, log: { info: tell, warn: tell, debug: tell, error: tell } };
}

describe('the watched configuration', () => {
  it('comes into force when all is there, and again with each change that matters', async () => {
    const cluster = new FakeCluster();
    cluster.seed(metallb.ipAddressPools, pool('p', '192.0.2.0/30'));
    await using watch = watchConfiguration({ client: cluster.client, namespace });
    await watch.synced;
    assert.deepEqual([...(watch.config?.pools.keys() ?? [])], ['p']);
    const seen: LoadBalancerConfig[] = [];
    watch.subscribe((config) => seen.push(config));
    const status = { assignedIPv4: 1, assignedIPv6: 0, availableIPv4: 3, availableIPv6: 0 };
    cluster.change(metallb.ipAddressPools, 'p', namespace, (copy) => Object.assign(copy, { status }));
    cluster.seed(metallb.ipAddressPools, {
      ...pool('other', '203.0.113.0/30'),
      metadata: { name: 'other', namespace: 'default' },
    });
    cluster.seed(metallb.l2Advertisements, { metadata: { name: 'l', namespace } });
    await cluster.until(() => seen.length > 0);
    assert.equal(seen.length, 1, 'counts in a status change nothing');
    assert.equal(seen[0]?.pools.get('p')?.l2Advertisements.length, 1);
    assert.equal(seen[0]?.pools.size, 1, 'other namespaces are not looked at');
  });

  it('keeps the last good one while something is wrong, and says what once, at the object, after a while', async () => {
    const cluster = new FakeCluster();
    const clock = new FakeClock();
    const { lines, log } = listener();
    const events = eventRecorder({ client: cluster.client, component: 'test' });
    cluster.seed(metallb.ipAddressPools, pool('p', '192.0.2.0/30'));
    await using watch = watchConfiguration({ client: cluster.client, events, clock, log });
    const settled = (condition: () => boolean): Promise<void> =>
      cluster.until(() => {
        clock.advance(10);
        return condition();
      });
    await settled(() => watch.config !== undefined);
    const [bad] = cluster.seed(metallb.ipAddressPools, pool('q', '192.0.2.1/32'));
    await settled(() => watch.problems.length > 0);
    assert.equal(watch.config?.pools.size, 1);
    assert.equal(cluster.objects(core.events).length, 0, 'not before a while has passed');
    await settled(() => cluster.objects(core.events).length > 0);
    const [event] = cluster.objects(core.events);
    assert.equal(event?.reason, 'ConfigurationInvalid');
    assert.equal(event.involvedObject.uid, bad?.metadata.uid);
    assert.match(event.message ?? '', /^spec.addresses\[0\]: 192.0.2.1\/32 overlaps 192.0.2.0\/30/);
    let judged = 0;
    watch.onJudged(() => judged++);
    // Something else changes: the same problem is not told again.
    cluster.seed(metallb.l2Advertisements, { metadata: { name: 'l', namespace } });
    await settled(() => judged > 0);
    clock.advance(5000);
    await events.flush();
    assert.equal(cluster.objects(core.events).length, 1);
    assert.equal(cluster.objects(core.events)[0]?.count, 1);
    assert.equal(lines.filter((line) => line.includes('overlaps')).length, 1);
    cluster.remove(metallb.ipAddressPools, 'q', namespace);
    await settled(() => watch.problems.length === 0);
    assert.equal(watch.config?.pools.get('p')?.l2Advertisements.length, 1);
    await events.stop();
  });

  it('waits for kinds that are not served yet', async () => {
    const cluster = new FakeCluster();
    const served = cluster.intercept(({ resource, verb }) =>
      resource.group === 'metallb.io' && (verb === 'list' || verb === 'watch')
        ? errors.notFound(resource, '')
        : undefined,
    );
    const clock = new FakeClock();
    await using watch = watchConfiguration({ client: cluster.client, clock });
    await cluster.until(() => cluster.calls.length >= 6);
    const before = watch.config;
    assert.equal(before, undefined);
    served();
    await cluster.until(() => {
      clock.advance(1000);
      return watch.config !== undefined;
    });
    assert.equal(watch.config?.pools.size, 0);
  });

  it('takes passwords from Secrets, follows them, looks at none without need, and never logs one', async () => {
    const cluster = new FakeCluster();
    const { lines, log } = listener();
    cluster.seed(metallb.bgpPeers, peer('plain', { password: 'geheim-0' }));
    await using watch = watchConfiguration({ client: cluster.client, log });
    await watch.synced;
    assert.ok(!cluster.calls.some(({ resource }) => resource.plural === 'secrets'));
    cluster.seed(
      metallb.bgpPeers,
      peer('secret', { peerAddress: '192.0.2.2', passwordSecret: { name: 'md5' } }),
    );
    await cluster.until(() => watch.problems.length > 0);
    assert.equal(watch.config?.peers.size, 1);
    cluster.seed(core.secrets, secret('geheim-1'));
    await cluster.until(() => watch.config?.peers.get('secret')?.password === 'geheim-1');
    cluster.change(core.secrets, 'md5', namespace, (copy) =>
      Object.assign(copy, { data: secret('geheim-2').data }),
    );
    await cluster.until(() => watch.config?.peers.get('secret')?.password === 'geheim-2');
    cluster.remove(core.secrets, 'md5', namespace);
    await cluster.until(() => watch.problems.length > 0);
    assert.equal(watch.config?.peers.get('secret')?.password, 'geheim-2', 'the last good one stays');
    assert.ok(!lines.join('\n').includes('geheim'));
    const asked = cluster.calls.filter(({ resource }) => resource.plural === 'secrets');
    assert.ok(asked.every((call) => call.namespace === namespace));
  });

  it('judges without Secrets that may not be read where passwords are optional, else says so', async () => {
    const cluster = new FakeCluster();
    cluster.intercept(({ resource }) =>
      resource.plural === 'secrets' ? errors.forbidden(resource, '', 'not yours') : undefined,
    );
    cluster.seed(metallb.bgpPeers, peer('p', { passwordSecret: { name: 'md5' } }));
    await using optional = watchConfiguration({ client: cluster.client, passwords: 'optional' });
    await using needed = watchConfiguration({ client: cluster.client });
    await Promise.all([optional.synced, needed.synced]);
    assert.equal(optional.config?.peers.size, 1);
    assert.equal(needed.config, undefined);
    assert.match(needed.problems[0]?.message ?? '', /^there is no Secret .* that may be read$/);
  });

  it('leaves no timer and no informer behind', async () => {
    const cluster = new FakeCluster();
    const clock = new FakeClock();
    const watch = watchConfiguration({ client: cluster.client, clock });
    cluster.seed(metallb.ipAddressPools, pool('p', 'nonsense'));
    await cluster.until(() => {
      clock.advance(10);
      return watch.problems.length > 0;
    });
    assert.ok(clock.pendingTimers > 0);
    await watch.stop();
    assert.equal(clock.pendingTimers, 0);
  });
});
