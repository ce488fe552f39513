import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { KubeClient } from '@cloudless/kube/client/client';
import { systemClock } from '@cloudless/kube/clock';
import { prefixEnd } from '@cloudless/kube/etcd/store';
import { core, networking } from '@cloudless/kube/resources';
import { isInvalid, StatusError } from '@cloudless/kube/status';
import type { Service } from '@cloudless/kube/types/core-v1';
import { serviceCidrHook } from '../../../hooks/service-cidr.ts';
import { namespacesHook } from '../../../hooks/namespaces.ts';
import { MemoryStore } from '../../../testing/memory-store.ts';
import { startTestServer, type TestServer } from '../../../testing/test-server.ts';
import { parseCidr } from '../../validation/addresses.ts';
import { addressRange, findFree } from './address-range.ts';

const byText = (a = '', b = ''): number => (a < b ? -1 : 1);

const seed = process.env['SEED'] === undefined ? {} : { seed: Number(process.env['SEED']) };
const admin = { name: 'admin', groups: ['system:masters', 'system:authenticated'] };
const namespace = 'default';
const ports = [{ port: 80 }];

const service = (name: string, spec: Service['spec'] = {}): Service => ({
  metadata: { name, namespace },
  spec: { ports, ...spec },
});

async function start(
  cidrs: string[],
  store = new MemoryStore(),
): Promise<{ test: TestServer; client: KubeClient }> {
  const test = await startTestServer({ store, hooks: [namespacesHook, serviceCidrHook(cidrs)] });
  await test.server.ready;
  return { test, client: test.server.clientFor(admin) };
}

const messageOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof StatusError, String(error));
    return error.message;
  }
  return assert.fail('was not refused');
};

describe('ranges of addresses', () => {
  it('leave out the network and the broadcast address, and keep the lower part for last', () => {
    const range = addressRange(parseCidr('10.0.0.0/24')!);
    assert.deepEqual([range.size, range.reserved], [254n, 16n]);
    assert.equal(addressRange(parseCidr('10.0.0.0/12')!).reserved, 256n);
    assert.equal(addressRange(parseCidr('10.0.0.0/28')!).reserved, 0n);
    assert.equal(addressRange(parseCidr('fd00::/112')!).size, 65_535n);
  });

  it('hand out every address exactly once before they are full', () => {
    const lengths = fc.integer({ min: 24, max: 30 });
    fc.assert(
      fc.property(
        lengths,
        fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })),
        (length, numbers) => {
          const range = addressRange(parseCidr(`10.0.0.0/${length}`)!);
          const taken = new Set<string>();
          const random = (): number => numbers.next().value;
          for (let i = 0n; i < range.size; i++) {
            const ip = findFree(range, (one) => taken.has(one), taken.size, random);
            assert.ok(ip !== undefined && !taken.has(ip));
            const isReserved = BigInt(ip.split('.')[3] as string) <= range.reserved;
            assert.equal(isReserved, i >= range.size - range.reserved, `${ip} as number ${i}`);
            taken.add(ip);
          }
          assert.equal(
            findFree(range, (one) => taken.has(one), taken.size, random),
            undefined,
          );
        },
      ),
      { ...seed, numRuns: 20 },
    );
  });
});

describe('addresses of Services', () => {
  let test: TestServer;
  let client: KubeClient;
  before(async () => ({ test, client } = await start(['10.96.0.0/16'])));
  after(() => test[Symbol.asyncDispose]());

  const addresses = async (): Promise<string[]> =>
    (await client.list(networking.ipaddresses)).items.map((one) => one.metadata.name as string);

  it('come with an IPAddress in the same revision, from the upper part', async () => {
    const created = await client.create(core.services, service('a'));
    const ip = created.spec?.clusterIP as string;
    assert.deepEqual(created.spec?.clusterIPs, [ip]);
    assert.deepEqual(created.spec?.ipFamilies, ['IPv4']);
    assert.equal(created.spec?.ipFamilyPolicy, 'SingleStack');
    const address = await client.get(networking.ipaddresses, ip);
    assert.equal(address.metadata.resourceVersion, created.metadata.resourceVersion);
    assert.equal(address.metadata.labels?.['ipaddress.kubernetes.io/managed-by'], 'ipallocator.k8s.io');
    assert.equal(address.metadata.labels?.['ipaddress.kubernetes.io/ip-family'], 'IPv4');
    await client.delete(core.services, 'a', { namespace });
    assert.deepEqual(await addresses(), []);
  });

  it('may be asked for, once', async () => {
    await client.create(core.services, service('first', { clusterIP: '10.96.0.10' }));
    const message = await messageOf(
      client.create(core.services, service('second', { clusterIP: '10.96.0.10' })),
    );
    assert.equal(
      message,
      'Service "second" is invalid: spec.clusterIPs: Invalid value: ["10.96.0.10"]: failed to allocate IP 10.96.0.10: provided IP is already allocated',
    );
    const outside = await messageOf(client.create(core.services, service('third', { clusterIP: '1.1.1.1' })));
    assert.equal(
      outside,
      'Service "third" is invalid: spec.clusterIPs: Invalid value: ["1.1.1.1"]: failed to allocate IP 1.1.1.1: the provided IP (1.1.1.1) is not in the valid range. The range of valid IPs is 10.96.0.0/16',
    );
    await client.delete(core.services, 'first', { namespace });
  });

  it('are not for headless and external Services', async () => {
    const headless = await client.create(
      core.services,
      service('none', { clusterIP: 'None', selector: { a: 'b' } }),
    );
    assert.deepEqual(headless.spec?.clusterIPs, ['None']);
    await client.create(
      core.services,
      service('ext', { type: 'ExternalName', externalName: 'example.com', ports: [] }),
    );
    assert.deepEqual(await addresses(), []);
    for (const name of ['none', 'ext']) await client.delete(core.services, name, { namespace });
  });

  it('are given back when the type changes, and taken when it changes back', async () => {
    await client.create(core.services, service('turn'));
    assert.equal((await addresses()).length, 1);
    const out = { spec: { type: 'ExternalName', externalName: 'example.com' } };
    const turned = await client.patch(core.services, 'turn', 'merge', out, { namespace });
    assert.equal(turned.spec?.clusterIP, undefined);
    assert.deepEqual(await addresses(), []);
    const back = { spec: { type: 'ClusterIP', externalName: null } };
    const returned = await client.patch(core.services, 'turn', 'merge', back, { namespace });
    assert.deepEqual(await addresses(), [returned.spec?.clusterIP]);
    const put = await client.update(core.services, {
      metadata: { name: 'turn', namespace, resourceVersion: returned.metadata.resourceVersion },
      spec: { ports: [{ port: 81 }] },
    });
    assert.equal(put.spec?.clusterIP, returned.spec?.clusterIP, 'a PUT without the address keeps it');
    const other = { spec: { clusterIP: '10.96.9.9', clusterIPs: ['10.96.9.9'] } };
    assert.match(
      await messageOf(client.patch(core.services, 'turn', 'merge', other, { namespace })),
      /spec\.clusterIPs\[0\]: Invalid value: .* may not change once set/,
    );
    await client.delete(core.services, 'turn', { namespace });
  });

  it('are not taken by a dry run', async () => {
    const dry = await client.create(core.services, service('dry'), { dryRun: true });
    assert.ok(dry.spec?.clusterIP);
    assert.deepEqual(await addresses(), []);
  });

  it('come without node ports unless asked for', async () => {
    const plain = await client.create(core.services, service('lb', { type: 'LoadBalancer' }));
    assert.equal(plain.spec?.allocateLoadBalancerNodePorts, false);
    assert.equal(plain.spec?.ports?.[0]?.nodePort, undefined);
    const asking = service('lb-ports', { type: 'LoadBalancer', allocateLoadBalancerNodePorts: true });
    const asked = await client.create(core.services, asking);
    assert.ok((asked.spec?.ports?.[0]?.nodePort ?? 0) >= 30_000);
    const named = service('lb-port', { type: 'LoadBalancer', ports: [{ port: 80, nodePort: 30_001 }] });
    assert.equal((await client.create(core.services, named)).spec?.ports?.[0]?.nodePort, 30_001);
    const local = service('lb-local', { type: 'LoadBalancer', externalTrafficPolicy: 'Local' });
    assert.ok(((await client.create(core.services, local)).spec?.healthCheckNodePort ?? 0) >= 30_000);
    const taken = service('np', { type: 'NodePort', ports: [{ port: 80, nodePort: 30_001 }] });
    assert.match(
      await messageOf(client.create(core.services, taken)),
      /spec\.ports\[0\]\.nodePort: Invalid value: 30001: provided port is already allocated/,
    );
    assert.match(
      await messageOf(
        client.create(
          core.services,
          service('np', { type: 'NodePort', ports: [{ port: 80, nodePort: 80 }] }),
        ),
      ),
      /provided port is not in the valid range. The range of valid ports is 30000-32767/,
    );
    await client.delete(core.services, 'lb-port', { namespace });
    const free = await client.create(core.services, taken);
    assert.equal(free.spec?.ports?.[0]?.nodePort, 30_001);
    const { items } = await client.list(core.services, { namespace });
    for (const one of items) await client.delete(core.services, one.metadata.name as string, { namespace });
  });

  it('are given back when the last finalizer goes', async () => {
    const held = service('held', { type: 'NodePort' });
    held.metadata.finalizers = ['example.com/hold'];
    const created = await client.create(core.services, held);
    await client.delete(core.services, 'held', { namespace });
    assert.deepEqual(await addresses(), [created.spec?.clusterIP], 'kept while the Service is there');
    await client.patch(core.services, 'held', 'merge', { metadata: { finalizers: null } }, { namespace });
    assert.deepEqual(await addresses(), []);
    const key = new TextEncoder().encode('/registry/cloudless/');
    const { count } = await test.store.range({ key, rangeEnd: prefixEnd(key) });
    assert.equal(count, 0, 'no port is left behind');
  });

  it('go to one of those who ask for the same at the same time', async () => {
    const names = Array.from({ length: 12 }, (_, i) => `same-${i}`);
    const results = await Promise.allSettled(
      names.map((name) => client.create(core.services, service(name, { clusterIP: '10.96.7.7' }))),
    );
    assert.equal(results.filter((result) => result.status === 'fulfilled').length, 1);
    for (const result of results)
      if (result.status === 'rejected') assert.ok(isInvalid(result.reason), String(result.reason));
    await client.deleteCollection(core.services, { namespace });
    assert.deepEqual(await addresses(), []);
  });
});

describe('two families', () => {
  let test: TestServer;
  let client: KubeClient;
  before(async () => ({ test, client } = await start(['10.96.0.0/24', 'fd00:96::/112'])));
  after(() => test[Symbol.asyncDispose]());

  it('are given to who prefers or requires them', async () => {
    const both = await client.create(core.services, service('both', { ipFamilyPolicy: 'PreferDualStack' }));
    assert.deepEqual(both.spec?.ipFamilies, ['IPv4', 'IPv6']);
    assert.equal(both.spec?.clusterIPs?.length, 2);
    const six = await client.create(core.services, service('six', { ipFamilies: ['IPv6'] }));
    assert.match(six.spec?.clusterIP ?? '', /^fd00:96::/);
    const one = { spec: { ipFamilyPolicy: 'SingleStack' } };
    const reduced = await client.patch(core.services, 'both', 'merge', one, { namespace });
    assert.deepEqual(reduced.spec?.clusterIPs, [both.spec?.clusterIP]);
    const again = { spec: { ipFamilyPolicy: 'RequireDualStack' } };
    const raised = await client.patch(core.services, 'both', 'merge', again, { namespace });
    assert.equal(raised.spec?.clusterIPs?.length, 2);
    const { items } = await client.list(networking.ipaddresses);
    const held = [...(raised.spec?.clusterIPs ?? []), six.spec?.clusterIP].toSorted(byText);
    assert.deepEqual(items.map((address) => address.metadata.name).toSorted(byText), held);
  });
});

describe('racing servers on one store', () => {
  it('never hand out an address twice, use up the range, and say when it is full', async () => {
    const store = new MemoryStore();
    const cidrs = ['10.9.0.0/26'];
    const { test: first, client: a } = await start(cidrs, store);
    const { test: second, client: b } = await start(cidrs, store);
    try {
      const size = 62;
      const results = await Promise.allSettled(
        Array.from({ length: size + 8 }, (_, i) =>
          (i % 2 === 0 ? a : b).create(core.services, service(`s${i}`)),
        ),
      );
      const { items } = await a.list(core.services, { namespace });
      const ips = items.map((one) => one.spec?.clusterIP as string);
      assert.equal(new Set(ips).size, ips.length, 'every address once');
      const { items: objects } = await b.list(networking.ipaddresses);
      assert.deepEqual(objects.map((one) => one.metadata.name).toSorted(byText), ips.toSorted(byText));
      // A few may have lost too many races near the end; the range still fills up.
      for (let i = 0; i < size && (await a.list(core.services, { namespace })).items.length < size; i++) {
        await a.create(core.services, service(`more${i}`)).catch(() => {});
      }
      assert.equal((await b.list(core.services, { namespace })).items.length, size);
      const full = await messageOf(b.create(core.services, service('one-too-many')));
      assert.equal(full, 'Internal error occurred: failed to allocate a serviceIP: range is full');
      assert.ok(results.filter((result) => result.status === 'fulfilled').length > size / 2);
      await a.deleteCollection(core.services, { namespace });
      assert.deepEqual((await a.list(networking.ipaddresses)).items, []);
    } finally {
      await first[Symbol.asyncDispose]();
      await second[Symbol.asyncDispose]();
    }
  });
});

describe('a server on a store that is in use', () => {
  it('knows the addresses and ports handed out before it started', async () => {
    const store = new MemoryStore();
    const cidrs = ['10.9.0.0/29'];
    const nodePort = 30_500;
    const first = await start(cidrs, store);
    await first.client.create(
      core.services,
      service('old', { type: 'NodePort', ports: [{ port: 80, nodePort }] }),
    );
    for (let i = 0; i < 4; i++) await first.client.create(core.services, service(`old${i}`));
    await first.test[Symbol.asyncDispose]();
    const later = Date.now() + 10 * 60_000;
    const clock = { ...systemClock, nowMs: () => later };
    const test = await startTestServer({ store, clock, hooks: [namespacesHook, serviceCidrHook(cidrs)] });
    try {
      await test.server.ready;
      const client = test.server.clientFor(admin);
      const other = { type: 'NodePort', ports: [{ port: 80, nodePort }] } as const;
      const taken = await messageOf(
        client.create(core.services, service('new', { ...other, ports: [...other.ports] })),
      );
      assert.match(taken, /provided port is already allocated/);
      await client.create(core.services, service('last'));
      const full = await messageOf(client.create(core.services, service('one-too-many')));
      assert.match(full, /range is full/);
    } finally {
      await test[Symbol.asyncDispose]();
    }
  });

  it('uses again the port of a Service that somebody else removed', async () => {
    const store = new MemoryStore();
    const { test, client } = await start(['10.9.0.0/28'], store);
    const nodePort = 30_600;
    const wanted = { type: 'NodePort' as const, ports: [{ port: 80, nodePort }] };
    await client.create(core.services, service('gone', wanted));
    await test[Symbol.asyncDispose]();
    await store.deleteRange({ key: Buffer.from('/registry/services/specs/default/gone') });
    const later = Date.now() + 10 * 60_000;
    const clock = { ...systemClock, nowMs: () => later };
    const next = await startTestServer({ store, clock, hooks: [namespacesHook] });
    try {
      await next.server.ready;
      const created = await next.server.clientFor(admin).create(core.services, service('next', wanted));
      assert.equal(created.spec?.ports?.[0]?.nodePort, nodePort);
    } finally {
      await next[Symbol.asyncDispose]();
    }
  });
});
