import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import type { KubeClient } from '@cloudless/kube/client/client';
import type { KubeObject } from '@cloudless/kube/object';
import { apps, core, events } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import type { AdmissionPlugin } from '../admission/plugin.ts';
import type { ApiServerOptions } from '../server/options.ts';
import { MemoryStore } from '../testing/memory-store.ts';
import { startTestServer, type TestServer } from '../testing/test-server.ts';
import type { Endpoint } from './endpoint.ts';
import type { Strategy } from './strategy.ts';

const user = { name: 'admin', groups: ['system:masters'] };
const anything = (object: unknown) => object as KubeObject & Record<string, unknown>;

describe('the walls of the request path (ARCHITECTURE.md)', () => {
  const open: TestServer[] = [];
  after(async () => {
    for (const test of open) await test[Symbol.asyncDispose]();
  });
  const start = async (
    options: Partial<ApiServerOptions>,
  ): Promise<{ test: TestServer; client: KubeClient }> => {
    const test = await startTestServer(options);
    open.push(test);
    return { test, client: test.server.clientFor(user) };
  };

  it('3: integers beyond 2^53 pass from request to store to answer exactly, in JSON over the wire', async () => {
    const { test, client } = await start({ strategies: new Map() });
    const revision = {
      metadata: { name: 'big', namespace: 'default' },
      revision: 9007199254740993n,
      data: { kept: 9223372036854775807n },
    };
    await client.create(apps.controllerrevisions, anything(revision) as never);
    const { kvs } = await test.store.range({ key: Buffer.from('/registry/controllerrevisions/default/big') });
    assert.match(Buffer.from(kvs[0]?.value as Uint8Array).toString(), /"revision":9007199254740993\b/);
    assert.match(Buffer.from(kvs[0]?.value as Uint8Array).toString(), /"kept":9223372036854775807\b/);
    const back = anything(await client.get(apps.controllerrevisions, 'big', { namespace: 'default' }));
    assert.equal(back['revision'], 9007199254740993n);
  });

  it('4: a hook before defaulting tells unset from set, and steps run in their order', async () => {
    const steps: string[] = [];
    const strategy: Strategy = {
      beforeDefaults: (_context, object) => void steps.push(`before:${'data' in object ? 'set' : 'unset'}`),
      defaults: (object) => {
        if ('data' in object) return;
        steps.push('defaults');
        anything(object)['data'] = { defaulted: 'yes' };
      },
      prepareForCreate: () => void steps.push('prepare'),
      allocate: () => void steps.push('allocate'),
      validate: () => (steps.push('validate'), []),
      warnings: () => (steps.push('warnings'), []),
      canonicalize: () => void steps.push('canonicalize'),
    };
    const plugin: AdmissionPlugin = {
      name: 'Recorder',
      handles: (_operation, resource) => resource.plural === 'configmaps',
      admit: ({ object }) => void steps.push(`admit:${JSON.stringify(anything(object)['data'])}`),
      validate: () => void steps.push('admission-validate'),
    };
    const { client } = await start({
      strategies: new Map([['/ConfigMap', strategy]]),
      admission: () => [plugin],
    });
    await client.create(core.configmaps, { metadata: { name: 'a', namespace: 'default' } });
    assert.deepEqual(steps, [
      'before:unset',
      'defaults',
      'admit:{"defaulted":"yes"}',
      'prepare',
      'allocate',
      'validate',
      'warnings',
      'canonicalize',
      'admission-validate',
    ]);
    steps.length = 0;
    await client.create(core.configmaps, {
      metadata: { name: 'b', namespace: 'default' },
      data: { x: 'y' },
    });
    assert.equal(steps[0], 'before:set');
  });

  it('4: the conversion slot: one stored Event, two versions of it', async () => {
    const { test, client } = await start({});
    const event = {
      metadata: { name: 'e', namespace: 'default' },
      involvedObject: { kind: 'Pod', name: 'p', namespace: 'default' },
      message: 'text',
      reason: 'Test',
      type: 'Normal',
      reportingComponent: 'me',
    };
    await client.create(core.events, anything(event) as never);
    const other = anything(await client.get(events.events, 'e', { namespace: 'default' }));
    assert.equal(other.apiVersion, 'events.k8s.io/v1');
    assert.equal(other['note'], 'text');
    assert.equal(other['reportingController'], 'me');
    assert.deepEqual((other['regarding'] as { name: string }).name, 'p');
    assert.equal(other['involvedObject'], undefined);
    const list = await client.list(events.events, {
      namespace: 'default',
      fieldSelector: 'regarding.name=p',
    });
    assert.equal(list.items.length, 1);
    const { kvs } = await test.store.range({ key: Buffer.from('/registry/events/default/e') });
    assert.match(Buffer.from(kvs[0]?.value as Uint8Array).toString(), /^{"apiVersion":"v1","kind":"Event",/);
    assert.notEqual(kvs[0]?.lease, 0n, 'events expire');
  });

  it('4: admission writes in the same transaction, at one revision, and again when it loses a race', async () => {
    const store = new MemoryStore();
    let races = 0;
    let admitted = 0;
    const counter: AdmissionPlugin = {
      name: 'Counter',
      handles: (operation, resource) => operation === 'CREATE' && resource.plural === 'pods',
      async admit({ transaction, namespace }) {
        admitted++;
        const quota = await client.get(core.resourcequotas, 'count', { namespace });
        const used = Number(quota.status?.used?.['pods'] ?? 0);
        if (used >= 2) throw new StatusError(403, 'Forbidden', 'exceeded quota: count');
        const object = structuredClone(quota);
        object.status = { ...object.status, used: { pods: String(used + 1) } };
        transaction?.add({ type: 'update', resource: core.resourcequotas, object });
        if (races-- > 0) {
          await client.patch(
            core.resourcequotas,
            'count',
            'merge',
            { metadata: { labels: { race: String(races) } } },
            { namespace },
          );
        }
      },
    };
    const started = await start({ store, admission: () => [counter], strategies: new Map() });
    const { client } = started;
    await client.create(core.resourcequotas, { metadata: { name: 'count', namespace: 'default' } });
    const pod = (name: string) =>
      ({ metadata: { name, namespace: 'default' }, spec: { containers: [] } }) as never;
    const made = await client.create(core.pods, pod('one'));
    const quota = await client.get(core.resourcequotas, 'count', { namespace: 'default' });
    assert.equal(
      quota.metadata.resourceVersion,
      made.metadata.resourceVersion,
      'one transaction, one revision',
    );
    races = 2;
    admitted = 0;
    await client.create(core.pods, pod('two'));
    assert.equal(admitted, 3, 'twice lost, then won');
    await assert.rejects(client.create(core.pods, pod('three')), /exceeded quota/);
    await assert.rejects(client.get(core.pods, 'three', { namespace: 'default' }), /not found/);
    const dry = await client.get(core.resourcequotas, 'count', { namespace: 'default' });
    assert.equal(dry.status?.used?.['pods'], '2');
  });

  it('7: the same client in this process: authorized like any other, objects frozen and shared', async () => {
    const { client, test } = await start({});
    await client.create(core.configmaps, {
      metadata: { name: 'a', namespace: 'default' },
      data: { x: 'y' },
    });
    await client.list(core.configmaps);
    const one = await client.get(core.configmaps, 'a', { namespace: 'default' });
    const [same] = (await client.list(core.configmaps, { namespace: 'default' })).items;
    assert.equal(one, same);
    assert.ok(Object.isFrozen(one) && Object.isFrozen(one.data));
    assert.equal(test.server.caches.of(core.configmaps).get('default', 'a'), one);
    const nobody = test.server.clientFor({ name: 'nobody', groups: ['system:unauthenticated'] });
    await assert.rejects(
      nobody.get(core.secrets, 's', { namespace: 'default' }),
      /^StatusError: secrets "s" is forbidden: User "nobody" cannot get resource "secrets" in API group "" in the namespace "default"$/,
    );
  });

  it('computed resources and subresources are served by endpoints, after authorization and admission', async () => {
    const token: Endpoint = {
      resource: core.serviceaccounts,
      subresource: 'token',
      body: { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' },
      handle: ({ name, namespace, user: { name: who } }, body) => ({
        ...body,
        status: { token: `${namespace}/${name} for ${who}` },
      }),
    };
    const { client } = await start({ endpoints: () => [token] });
    const answer = await client.createSubresource<object, { kind: string; status: { token: string } }>(
      core.serviceaccounts,
      'bob',
      'token',
      { spec: { audiences: ['x'] } },
      { namespace: 'default' },
    );
    assert.equal(answer.kind, 'TokenRequest');
    assert.equal(answer.status.token, 'default/bob for admin');
  });
});

describe('a WebSocket into a pod', () => {
  it('takes the permission to create, as SPDY does', async () => {
    await using test = await startTestServer({
      authorizer: () => ({
        authorizer: {
          authorize: ({ verb }) => ({ verdict: verb === 'get' ? 'allow' : 'deny', reason: 'reads only' }),
        },
        ready: Promise.resolve(),
      }),
    });
    const reader = test.server.clientFor({ name: 'reader', groups: [] });
    const exec = reader.get(core.pods, 'p', { namespace: 'default', subresource: 'exec' });
    await assert.rejects(exec, /User "reader" cannot create resource "pods\/exec" .*: reads only$/);
    await assert.rejects(reader.get(core.pods, 'p', { namespace: 'default' }), /pods "p" not found/);
  });
});

describe('what kinds need beyond the generic store', () => {
  it('binds pods once, evicts them within their budget, and finalizes namespaces', async () => {
    await using test = await startTestServer();
    const client = test.server.clientFor(user);
    const pod = {
      metadata: { name: 'p', namespace: 'default', labels: { app: 'x' } },
      spec: { containers: [{ name: 'c', image: 'i' }] },
    };
    await client.create(core.pods, anything(pod));
    const at = { namespace: 'default' };
    const binding = { metadata: { name: 'p' }, target: { kind: 'Node', name: 'n1' } };
    await client.createSubresource(core.pods, 'p', 'binding', binding, at);
    const bound = await client.get(core.pods, 'p', at);
    assert.equal(bound.spec?.nodeName, 'n1');
    assert.ok(
      bound.status?.conditions?.some(({ type, status }) => type === 'PodScheduled' && status === 'True'),
    );
    await assert.rejects(
      client.createSubresource(core.pods, 'p', 'binding', binding, at),
      /Operation cannot be fulfilled on pods\/binding "p": pod p is already assigned to node "n1"/,
    );

    const ready = [{ type: 'Ready', status: 'True' }];
    const running = { ...bound, status: { ...bound.status, phase: 'Running', conditions: ready } };
    await client.update(core.pods, running, { ...at, subresource: 'status' });
    const { policy } = await import('@cloudless/kube/resources');
    const budget = {
      metadata: { name: 'b', namespace: 'default' },
      spec: { minAvailable: 1, selector: { matchLabels: { app: 'x' } } },
    };
    const made = await client.create(policy.poddisruptionbudgets, anything(budget));
    const withStatus = (disruptionsAllowed: number) => ({
      ...made,
      metadata: { ...made.metadata, resourceVersion: undefined },
      status: {
        observedGeneration: 1,
        disruptionsAllowed,
        currentHealthy: 1,
        desiredHealthy: 1,
        expectedPods: 1,
      },
    });
    const setAllowed = async (allowed: number): Promise<void> => {
      const current = await client.get(policy.poddisruptionbudgets, 'b', at);
      const object = { ...withStatus(allowed), metadata: current.metadata };
      await client.update(policy.poddisruptionbudgets, object, { ...at, subresource: 'status' });
    };
    await setAllowed(0);
    const evict = () => client.createSubresource(core.pods, 'p', 'eviction', { metadata: { name: 'p' } }, at);
    await assert.rejects(evict(), (error) => error instanceof StatusError && error.code === 429);
    await setAllowed(1);
    await evict();
    const evicted = await client.get(core.pods, 'p', at);
    assert.ok(evicted.metadata.deletionTimestamp, 'the pod is being deleted, with its grace');
    assert.ok((evicted.metadata.deletionGracePeriodSeconds ?? 0) > 0);
    await client.delete(core.pods, 'p', { ...at, gracePeriodSeconds: 0 });
    await assert.rejects(client.get(core.pods, 'p', at), /not found/);

    const namespace = await client.create(core.namespaces, anything({ metadata: { name: 'team' } }));
    assert.deepEqual(namespace.spec?.finalizers, ['kubernetes']);
    const doomed = (await client.delete(core.namespaces, 'team')) as typeof namespace;
    assert.equal(doomed.status?.phase, 'Terminating');
    const emptied = { ...doomed, spec: { finalizers: [] } };
    await client.update(core.namespaces, emptied, { subresource: 'finalize' });
    await assert.rejects(client.get(core.namespaces, 'team'), /not found/);
  });
});
