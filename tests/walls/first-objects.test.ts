import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { core, discovery, networking, rbac, scheduling } from '@cloudless/kube/resources';
import { isConflict, StatusError } from '@cloudless/kube/status';
import type { Service } from '@cloudless/kube/types/core-v1';
import {
  type DefaultTestServer,
  startDefaultTestServer,
} from '../../packages/apiserver/src/testing/default-server.ts';

// Wall 5: addresses of Services are objects, and what every cluster has is there from the first start.
describe('the first start of the default API server', () => {
  let test: DefaultTestServer;
  before(async () => {
    test = await startDefaultTestServer();
  });
  after(() => test[Symbol.asyncDispose]());
  const names = (items: ReadonlyArray<{ metadata: { name?: string } }>): string[] =>
    items.map(({ metadata }) => metadata.name ?? '');

  it('has the system namespaces, active and protected', async () => {
    const { items } = await test.admin.list(core.namespaces);
    assert.deepEqual(names(items), ['default', 'kube-node-lease', 'kube-public', 'kube-system']);
    for (const { metadata, spec, status } of items) {
      assert.deepEqual(spec?.finalizers, ['kubernetes'], metadata.name ?? '');
      assert.equal(status?.phase, 'Active', metadata.name ?? '');
    }
    for (const name of ['default', 'kube-system', 'kube-public'])
      await assert.rejects(test.admin.delete(core.namespaces, name), /may not be deleted/);
  });

  it('has the priorities of system pods', async () => {
    const { items } = await test.admin.list(scheduling.priorityclasses);
    assert.deepEqual(
      items.map(({ metadata, value }) => [metadata.name, value]),
      [
        ['system-cluster-critical', 2_000_000_000],
        ['system-node-critical', 2_000_001_000],
      ],
    );
  });

  it('has the kubernetes Service with its EndpointSlice', async () => {
    const service = await test.admin.get(core.services, 'kubernetes', { namespace: 'default' });
    assert.equal(service.spec?.clusterIP, '10.96.0.1');
    assert.deepEqual(
      service.spec?.ports?.map(({ name, port }) => [name, port]),
      [['https', 443]],
    );
    const slice = await test.admin.get(discovery.endpointslices, 'kubernetes', { namespace: 'default' });
    assert.equal(slice.metadata.labels?.['kubernetes.io/service-name'], 'kubernetes');
    assert.deepEqual(slice.endpoints?.[0]?.addresses, ['192.0.2.1']);
    assert.equal(`https://127.0.0.1:${slice.ports?.[0]?.port}`, test.url);
  });

  it('has the ServiceCIDR, ready, and an IPAddress that names its Service', async () => {
    const range = await test.admin.get(networking.servicecidrs, 'kubernetes');
    assert.deepEqual(range.spec?.cidrs, ['10.96.0.0/16']);
    assert.deepEqual(
      range.status?.conditions?.map(({ type, status }) => [type, status]),
      [['Ready', 'True']],
    );
    const { items } = await test.admin.list(networking.ipaddresses);
    assert.deepEqual(
      items.map(({ metadata, spec }) => [metadata.name, spec?.parentRef?.resource, spec?.parentRef?.name]),
      [['10.96.0.1', 'services', 'kubernetes']],
    );
  });

  it('has upstream’s roles, and cluster-admin is bound to system:masters alone', async () => {
    const roles = names((await test.admin.list(rbac.clusterroles)).items);
    for (const name of ['cluster-admin', 'admin', 'edit', 'view', 'system:node', 'system:kube-scheduler'])
      assert.ok(roles.includes(name), name);
    const binding = await test.admin.get(rbac.clusterrolebindings, 'cluster-admin');
    assert.deepEqual(
      binding.subjects?.map(({ kind, name }) => `${kind} ${name}`),
      ['Group system:masters'],
    );
  });

  it('a Service takes its address as an object in the same transaction, and gives it back', async () => {
    const service = (name: string, clusterIP?: string): Service => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: 'default' },
      spec: { ...(clusterIP === undefined ? {} : { clusterIP }), ports: [{ port: 80 }] },
    });
    const web = await test.admin.create(core.services, service('web'));
    const ip = web.spec?.clusterIP as string;
    const address = await test.admin.get(networking.ipaddresses, ip);
    assert.deepEqual(address.spec?.parentRef, {
      resource: 'services',
      namespace: 'default',
      name: 'web',
    });
    // One address asked for by ten at once: one has it, the others are told, and no address is left half taken.
    const racers = await Promise.allSettled(
      Array.from({ length: 10 }, (_, i) =>
        test.admin.create(core.services, service(`racer-${i}`, '10.96.77.7')),
      ),
    );
    const losers = racers.filter((racer) => racer.status === 'rejected');
    assert.equal(losers.length, 9);
    for (const { reason } of losers) {
      assert.ok(reason instanceof StatusError && !isConflict(reason), String(reason));
      assert.match(reason.message, /10\.96\.77\.7.*(already allocated|is not available)/);
    }
    const winner = racers.findIndex(({ status }) => status === 'fulfilled');
    assert.equal(
      (await test.admin.get(networking.ipaddresses, '10.96.77.7')).spec?.parentRef?.name,
      `racer-${winner}`,
    );
    await test.admin.delete(core.services, 'web', { namespace: 'default' });
    await test.admin.delete(core.services, `racer-${winner}`, { namespace: 'default' });
    assert.deepEqual(names((await test.admin.list(networking.ipaddresses)).items), ['10.96.0.1']);
    assert.deepEqual(names((await test.admin.list(core.services, { namespace: 'default' })).items), [
      'kubernetes',
    ]);
  });
});
