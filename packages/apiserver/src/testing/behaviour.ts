// Suites and tests are declared, not awaited.
/* oxlint-disable typescript/no-floating-promises */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { httpsClient } from '@cloudless/kube/client/https';
import type { KubeClient, ObjectEvent } from '@cloudless/kube/client/client';
import type { EtcdStore } from '@cloudless/kube/etcd/store';
import { apps, core } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import type { ConfigMap } from '@cloudless/kube/types/core-v1';
import { startTestServer, type TestServer } from './test-server.ts';

/** What every client sees, in this process and over TLS: one behaviour (ARCHITECTURE.md, wall 7). */
const clients: Record<string, (test: TestServer) => KubeClient> = {
  'in process': ({ server }) => server.clientFor({ name: 'admin', groups: ['system:masters'] }),
  'over HTTPS': ({ url, pki }) =>
    httpsClient({ server: url, ca: pki.ca, clientCert: pki.admin.cert, clientKey: pki.admin.key }),
};

const configMap = (name: string, data: Record<string, string> = {}, more: object = {}): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default', ...more },
  data,
});

const refused = (code: number, text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof StatusError, String(error));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, text);
  return true;
};

async function take<T>(events: AsyncIterable<ObjectEvent<T>>, count: number): Promise<Array<ObjectEvent<T>>> {
  const taken: Array<ObjectEvent<T>> = [];
  for await (const event of events) {
    taken.push(event);
    if (taken.length === count) break;
  }
  return taken;
}

/** The behaviour of the API over a store, by every client; one suite for every implementation of either. */
export function describeApi(
  over: string,
  startStore: () => Promise<{ store: EtcdStore; stop(): Promise<void> }>,
): void {
  for (const [how, make] of Object.entries(clients)) {
    describe(`the API ${how}, ${over}`, () => {
      let test: TestServer;
      let client: KubeClient;
      let stopStore: () => Promise<void>;
      before(async () => {
        const started = await startStore();
        stopStore = () => started.stop();
        test = await startTestServer({ store: started.store });
        client = make(test);
      });
      after(async () => {
        await (client as Partial<AsyncDisposable>)[Symbol.asyncDispose]?.();
        await test[Symbol.asyncDispose]();
        await stopStore();
      });

      it('creates with what only the server sets, and gives the same object back', async () => {
        const made = await client.create(core.configmaps, configMap('made', { a: '1' }));
        assert.equal(made.kind, 'ConfigMap');
        assert.match(made.metadata.uid ?? '', /^[0-9a-f-]{36}$/);
        assert.match(made.metadata.creationTimestamp ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
        assert.match(made.metadata.resourceVersion ?? '', /^\d+$/);
        assert.deepEqual(await client.get(core.configmaps, 'made', { namespace: 'default' }), made);
        await assert.rejects(
          client.create(core.configmaps, configMap('made')),
          refused(409, /^configmaps "made" already exists$/),
        );
      });

      it('generates names from safe characters', async () => {
        const made = await client.create(core.configmaps, {
          ...configMap('x'),
          metadata: { generateName: 'gen-', namespace: 'default' },
        });
        assert.match(made.metadata.name ?? '', /^gen-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
      });

      it('refuses bad metadata in upstream words', async () => {
        await assert.rejects(
          client.create(core.configmaps, configMap('Bad_Name')),
          refused(
            422,
            /^ConfigMap "Bad_Name" is invalid: metadata\.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain/,
          ),
        );
        await assert.rejects(
          client.create(core.configmaps, configMap('v', {}, { resourceVersion: '5' })),
          refused(400, /resourceVersion should not be set on objects to be created/),
        );
        await assert.rejects(
          client.create(core.configmaps, configMap('n', {}, { namespace: 'default' }), {
            namespace: 'other',
          }),
          refused(
            400,
            /the namespace of the provided object does not match the namespace sent on the request/,
          ),
        );
      });

      it('updates by resourceVersion, and without one where the kind allows', async () => {
        const made = await client.create(core.configmaps, configMap('upd', { a: '1' }));
        const next = await client.update(core.configmaps, { ...made, data: { a: '2' } });
        assert.notEqual(next.metadata.resourceVersion, made.metadata.resourceVersion);
        assert.equal(next.metadata.uid, made.metadata.uid);
        await assert.rejects(
          client.update(core.configmaps, { ...made, data: { a: '3' } }),
          refused(
            409,
            /^Operation cannot be fulfilled on configmaps "upd": the object has been modified; please apply your changes to the latest version and try again$/,
          ),
        );
        const forced = await client.update(core.configmaps, configMap('upd', { a: '4' }));
        assert.deepEqual(forced.data, { a: '4' });
        const same = await client.update(core.configmaps, configMap('upd', { a: '4' }));
        assert.equal(
          same.metadata.resourceVersion,
          forced.metadata.resourceVersion,
          'nothing changed, nothing written',
        );
        await assert.rejects(
          client.update(core.configmaps, configMap('upd', {}, { uid: 'other' })),
          refused(409, /Precondition failed: UID in precondition: other, UID in object meta: /),
        );
        await assert.rejects(
          client.update(core.configmaps, configMap('none')),
          refused(404, /^configmaps "none" not found$/),
        );
      });

      it('deletes with preconditions, finalizers and propagation', async () => {
        const made = await client.create(
          core.configmaps,
          configMap('del', {}, { finalizers: ['example.com/hold'] }),
        );
        await assert.rejects(
          client.delete(core.configmaps, 'del', { namespace: 'default', preconditions: { uid: 'other' } }),
          refused(409, /the UID in the precondition \(other\) does not match the UID in record/),
        );
        const marked = (await client.delete(core.configmaps, 'del', { namespace: 'default' })) as ConfigMap;
        assert.ok(marked.metadata.deletionTimestamp);
        assert.equal(marked.metadata.deletionGracePeriodSeconds, 0);
        await assert.rejects(
          client.create(core.configmaps, configMap('del')),
          refused(409, /^object is being deleted: configmaps "del" already exists$/),
        );
        await client.update(core.configmaps, configMap('del', {}, { uid: made.metadata.uid }));
        await assert.rejects(
          client.get(core.configmaps, 'del', { namespace: 'default' }),
          refused(404, /not found/),
        );

        await client.create(core.configmaps, configMap('fg'));
        const foreground = (await client.delete(core.configmaps, 'fg', {
          namespace: 'default',
          propagationPolicy: 'Foreground',
        })) as ConfigMap;
        assert.deepEqual(foreground.metadata.finalizers, ['foregroundDeletion']);
        await client.update(core.configmaps, configMap('fg'));

        await client.create(core.configmaps, configMap('gone'));
        const status = (await client.delete(core.configmaps, 'gone', { namespace: 'default' })) as {
          status?: string;
        };
        assert.equal(status.status, 'Success');
      });

      it('lists pages at one revision while objects come and go', async () => {
        for (let i = 0; i < 5; i++) {
          await client.create(core.secrets, {
            apiVersion: 'v1',
            kind: 'Secret',
            metadata: { name: `s${i}`, namespace: 'pages', labels: { odd: String(i % 2) } },
          });
        }
        const first = await client.list(core.secrets, { namespace: 'pages', limit: 2 });
        assert.deepEqual(
          first.items.map((item) => item.metadata.name),
          ['s0', 's1'],
        );
        assert.equal(first.metadata.remainingItemCount, 3);
        await client.delete(core.secrets, 's2', { namespace: 'pages' });
        const token = first.metadata.continue as string;
        const second = await client.list(core.secrets, { namespace: 'pages', limit: 2, continue: token });
        assert.deepEqual(
          second.items.map((item) => item.metadata.name),
          ['s2', 's3'],
        );
        assert.equal(second.metadata.resourceVersion, first.metadata.resourceVersion);
        const last = await client.list(core.secrets, {
          namespace: 'pages',
          limit: 2,
          continue: second.metadata.continue as string,
        });
        assert.deepEqual(
          last.items.map((item) => item.metadata.name),
          ['s4'],
        );
        assert.equal(last.metadata.continue ?? '', '');
        const odd = await client.list(core.secrets, { namespace: 'pages', labelSelector: 'odd=1' });
        assert.deepEqual(
          odd.items.map((item) => item.metadata.name),
          ['s1', 's3'],
        );
        const exact = await client.list(core.secrets, {
          namespace: 'pages',
          resourceVersion: first.metadata.resourceVersion as string,
          resourceVersionMatch: 'Exact',
        });
        assert.equal(exact.items.length, 5);
        await assert.rejects(
          client.list(core.configmaps, { fieldSelector: 'spec.x=1' }),
          refused(400, /"spec\.x" is not a known field selector|field label not supported: spec\.x/),
        );
      });

      it('watches: what is there, what changes, and objects that move into and out of a selector', async () => {
        const make = (labels: Record<string, string>, data: Record<string, string> = {}) =>
          configMap('moving', data, { namespace: 'watched', labels });
        await client.create(core.configmaps, make({ on: 'yes' }));
        const watched = client.watch(core.configmaps, { namespace: 'watched', labelSelector: 'on=yes' });
        const events = watched[Symbol.asyncIterator]();
        const next = async (): Promise<string> => {
          const { value } = (await events.next()) as { value: ObjectEvent<ConfigMap> };
          return `${value.type} ${value.object.data?.['a'] ?? ''}`;
        };
        assert.equal(await next(), 'ADDED ');
        await client.update(core.configmaps, make({ on: 'yes' }, { a: '1' }));
        await client.update(core.configmaps, make({ on: 'no' }, { a: '2' }));
        await client.update(core.configmaps, make({ on: 'no' }, { a: '3' }));
        await client.update(core.configmaps, make({ on: 'yes' }, { a: '4' }));
        await client.delete(core.configmaps, 'moving', { namespace: 'watched' });
        // An object that leaves is shown as it was while it matched.
        const seen = [await next(), await next(), await next(), await next()];
        assert.deepEqual(seen, ['MODIFIED 1', 'DELETED 1', 'ADDED 4', 'DELETED 4']);
        await events.return?.();
      });

      it('resumes a watch from a version, misses and doubles nothing, and ends initial events with a bookmark', async () => {
        const { metadata } = await client.list(core.configmaps, { namespace: 'resume' });
        for (let i = 0; i < 3; i++) {
          await client.create(core.configmaps, configMap(`r${i}`, {}, { namespace: 'resume' }));
        }
        const resourceVersion = metadata.resourceVersion as string;
        const events = await take(client.watch(core.configmaps, { namespace: 'resume', resourceVersion }), 3);
        assert.deepEqual(
          events.map(({ type, object }) => `${type} ${object.metadata.name ?? ''}`),
          ['ADDED r0', 'ADDED r1', 'ADDED r2'],
        );
        const options = {
          namespace: 'resume',
          sendInitialEvents: true,
          allowWatchBookmarks: true,
          resourceVersionMatch: 'NotOlderThan' as const,
        };
        const initial = await take(client.watch(core.configmaps, options), 4);
        assert.deepEqual(
          initial.map(({ type }) => type),
          ['ADDED', 'ADDED', 'ADDED', 'BOOKMARK'],
        );
        assert.equal(initial[3]?.object.metadata.annotations?.['k8s.io/initial-events-end'], 'true');
      });

      it('scales through the scale subresource and counts generations', async () => {
        const deployment = {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          metadata: { name: 'web', namespace: 'default' },
          spec: {
            replicas: 2,
            selector: { matchLabels: { app: 'web' } },
            template: {
              metadata: { labels: { app: 'web' } },
              spec: { containers: [{ name: 'c', image: 'i' }] },
            },
          },
          status: { replicas: 9 },
        };
        const made = await client.create(apps.deployments, deployment);
        assert.equal(made.metadata.generation, 1);
        assert.deepEqual(made.status, {}, 'status is not for creators');
        const scale = (await client.get(apps.deployments, 'web', {
          namespace: 'default',
          subresource: 'scale',
        })) as never as {
          spec: { replicas: number };
          status: { selector: string };
          metadata: object;
        };
        assert.equal(scale.spec.replicas, 2);
        assert.equal(scale.status.selector, 'app=web');
        scale.spec = { replicas: 5 };
        await client.update(apps.deployments, structuredClone(scale) as never, {
          namespace: 'default',
          subresource: 'scale',
        });
        const scaled = await client.get(apps.deployments, 'web', { namespace: 'default' });
        assert.equal(scaled.spec?.replicas, 5);
        assert.equal(scaled.metadata.generation, 2);
        const status = await client.update(
          apps.deployments,
          { ...scaled, spec: { ...scaled.spec, replicas: 99 }, status: { replicas: 5 } },
          { namespace: 'default', subresource: 'status' },
        );
        assert.equal(status.spec?.replicas, 5, 'spec is not for status');
        assert.equal(status.status?.replicas, 5);
        assert.equal(status.metadata.generation, 2);
      });

      it('patches: json, merge and strategic', async () => {
        const at = { namespace: 'default' };
        await client.create(core.configmaps, configMap('patched', { a: '1', b: '2' }));
        const json = await client.patch(
          core.configmaps,
          'patched',
          'json',
          [{ op: 'replace', path: '/data/a', value: '9' }],
          at,
        );
        assert.deepEqual(json.data, { a: '9', b: '2' });
        const merged = await client.patch(
          core.configmaps,
          'patched',
          'merge',
          { data: { b: null, c: '3' } },
          at,
        );
        assert.deepEqual(merged.data, { a: '9', c: '3' });
        const deployment = await client.patch(
          apps.deployments,
          'web',
          'strategic',
          {
            spec: {
              template: {
                spec: {
                  containers: [
                    { name: 'c', image: 'new' },
                    { name: 'd', image: 'x' },
                  ],
                },
              },
            },
          },
          at,
        );
        const containers = deployment.spec?.template.spec?.containers.map(
          ({ name, image }) => `${name}=${image ?? ''}`,
        );
        assert.deepEqual(containers?.sort(), ['c=new', 'd=x']);
        await assert.rejects(
          client.patch(
            core.configmaps,
            'patched',
            'merge',
            { metadata: { resourceVersion: '1' }, data: {} },
            at,
          ),
          refused(409, /the object has been modified/),
        );
        await assert.rejects(
          client.patch(
            core.configmaps,
            'patched',
            'json',
            [{ op: 'test', path: '/data/a', value: 'no' }],
            at,
          ),
          refused(422, /the server rejected our request due to an error in our request/),
        );
        await assert.rejects(
          client.patch(core.configmaps, 'patched', 'apply', configMap('patched', { a: 'mine' }), {
            ...at,
            fieldManager: 'me',
          }),
          refused(409, /^Apply failed with 1 conflict: conflict with ".*" using v1: \.data\.a$/),
        );
        await assert.rejects(
          client.patch(core.configmaps, 'absent', 'merge', { data: {} }, at),
          refused(404, /configmaps "absent" not found/),
        );
      });

      it('dry runs without writing', async () => {
        const made = await client.create(core.configmaps, configMap('dry'), { dryRun: true });
        assert.equal(made.metadata.resourceVersion, undefined);
        await assert.rejects(
          client.get(core.configmaps, 'dry', { namespace: 'default' }),
          refused(404, /not found/),
        );
      });

      it('deletes collections by selector', async () => {
        for (const name of ['c1', 'c2']) {
          await client.create(
            core.configmaps,
            configMap(name, {}, { namespace: 'many', labels: { group: name } }),
          );
        }
        await client.deleteCollection(core.configmaps, { namespace: 'many', labelSelector: 'group=c1' });
        const left = await client.list(core.configmaps, { namespace: 'many' });
        assert.deepEqual(
          left.items.map((item) => item.metadata.name),
          ['c2'],
        );
      });

      it('answers paths that are no resources', async () => {
        const version = JSON.parse(await client.raw('GET', '/version')) as { major: string; minor: string };
        assert.deepEqual([version.major, version.minor], ['1', '36']);
        assert.equal(await client.raw('GET', '/healthz'), 'ok');
        const groups = JSON.parse(await client.raw('GET', '/apis')) as { groups: Array<{ name: string }> };
        assert.ok(groups.groups.some((group) => group.name === 'apps'));
      });
    });
  }
}
