import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import type { KubeObject } from '@cloudless/kube/object';
import { admissionregistration, apps, core, events } from '@cloudless/kube/resources';
import type { ConfigMap } from '@cloudless/kube/types/core-v1';
import { allow, patchOf, startWebhookServer, type WebhookServer } from '../../testing/webhook-server.ts';
import { type HookedServer, refused, startHookedServer } from '../../testing/hooked-server.ts';

let hooked: HookedServer;
let hook: WebhookServer;
let clientConfig: WebhookServer['clientConfig'];
before(async () => {
  hooked = await startHookedServer();
  hook = await startWebhookServer(hooked.test.pki);
  ({ clientConfig } = hook);
});
after(async () => {
  await hook[Symbol.asyncDispose]();
  await hooked[Symbol.asyncDispose]();
});
afterEach(async () => {
  await hooked.clear();
  hook.reviews.length = 0;
  hook.answer(allow);
});

let count = 0;
const map = (data: Record<string, string> = {}, metadata: KubeObject['metadata'] = {}): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: `map-${count++}`, namespace: 'space', ...metadata },
  data,
});
const create = (object: ConfigMap = map(), options = {}): Promise<ConfigMap> =>
  hooked.admin.create(core.configmaps, object, options);

describe('ValidatingAdmissionWebhook', () => {
  it('is asked in upstream’s form and lets pass', async () => {
    await hooked.validating('judge', { clientConfig });
    const made = await create(map({ a: '1' }));
    const [review] = hook.reviews;
    assert.ok(review);
    assert.equal(review.kind, 'AdmissionReview');
    assert.equal(review.apiVersion, 'admission.k8s.io/v1');
    const { uid, object, ...request } = review.request;
    assert.match(uid as string, /^[0-9a-f-]{36}$/);
    assert.equal((object as ConfigMap).metadata.uid, made.metadata.uid);
    assert.deepEqual((object as ConfigMap).data, { a: '1' });
    assert.deepEqual(request, {
      kind: { group: '', version: 'v1', kind: 'ConfigMap' },
      resource: { group: '', version: 'v1', resource: 'configmaps' },
      requestKind: { group: '', version: 'v1', kind: 'ConfigMap' },
      requestResource: { group: '', version: 'v1', resource: 'configmaps' },
      name: made.metadata.name,
      namespace: 'space',
      operation: 'CREATE',
      userInfo: { username: 'admin', groups: ['system:masters'] },
      oldObject: null,
      dryRun: false,
      options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
    });
  });

  it('shows old and new objects of updates, the old one of deletions, each of a collection', async () => {
    const made = await create(map({ a: '1' }));
    const other = await create(map({}, { labels: { go: 'now' } }));
    await hooked.validating('judge', { clientConfig });
    await hooked.admin.update(core.configmaps, { ...made, data: { a: '2' } });
    await hooked.admin.delete(core.configmaps, made.metadata.name as string, { namespace: 'space' });
    await hooked.admin.deleteCollection(core.configmaps, { namespace: 'space', labelSelector: 'go=now' });
    const seen = hook.reviews.map(({ request }) => [
      request['operation'],
      request['object']?.data?.a,
      request['oldObject']?.data?.a,
      request['options'].kind,
    ]);
    assert.deepEqual(seen, [
      ['UPDATE', '2', '1', 'UpdateOptions'],
      ['DELETE', undefined, '2', 'DeleteOptions'],
      ['DELETE', undefined, undefined, 'DeleteOptions'],
    ]);
    assert.equal(hook.reviews[2]?.request['oldObject'].metadata.name, other.metadata.name);
  });

  const denials: Array<[Record<string, unknown> | undefined, number, string]> = [
    [undefined, 400, 'admission webhook "hook.example.com" denied the request without explanation'],
    [{ message: 'no' }, 400, 'admission webhook "hook.example.com" denied the request: no'],
    [{ reason: 'Odd' }, 400, 'admission webhook "hook.example.com" denied the request: Odd'],
    [{ code: 418, message: 'tea' }, 418, 'admission webhook "hook.example.com" denied the request: tea'],
    [{ code: 200, message: 'ha' }, 400, 'admission webhook "hook.example.com" denied the request: ha'],
  ];
  for (const [status, code, text] of denials)
    it(`refuses with ${JSON.stringify(status)}`, async () => {
      await hooked.validating('judge', { clientConfig });
      hook.answer({ allowed: false, ...(status ? { status } : {}) });
      await assert.rejects(create(), refused(code, text));
    });

  it('hands reason and details on', async () => {
    await hooked.validating('judge', { clientConfig });
    const details = { causes: [{ field: 'data', message: 'bad', reason: 'FieldValueInvalid' }] };
    hook.answer({ allowed: false, status: { code: 422, reason: 'Invalid', message: 'no', details } });
    const error = await create().catch((caught: unknown) => caught as { reason: string; details: unknown });
    assert.deepEqual(
      [(error as { reason: string }).reason, (error as { details: unknown }).details],
      ['Invalid', details],
    );
  });

  it('asks only where rules, scope, selectors and names fit', async () => {
    const at = (path: string) => ({
      ...clientConfig,
      url: clientConfig.url?.replace('/review', path) as string,
    });
    const rule = { operations: ['CREATE'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'] };
    const named = (name: string) => ({ name: `${name}.example.com`, clientConfig: at(`/${name}`) });
    const paths: string[] = [];
    hook.answer((_review, response, request) => {
      paths.push(new URL(request.url as string, 'https://x').pathname);
      const uid: unknown = hook.reviews.at(-1)?.request['uid'];
      const body = {
        apiVersion: 'admission.k8s.io/v1',
        kind: 'AdmissionReview',
        response: { uid, allowed: true },
      };
      response.end(JSON.stringify(body));
    });
    await hooked.validating(
      'judge',
      { ...named('all'), rules: [rule] },
      { ...named('cluster'), rules: [{ ...rule, scope: 'Cluster' }] },
      { ...named('apps'), rules: [{ ...rule, apiGroups: ['apps'] }] },
      { ...named('status'), rules: [{ ...rule, operations: ['*'], resources: ['configmaps/status'] }] },
      { ...named('blue'), rules: [rule], namespaceSelector: { matchLabels: { team: 'blue' } } },
      { ...named('red'), rules: [rule], namespaceSelector: { matchLabels: { team: 'red' } } },
      { ...named('marked'), rules: [rule], objectSelector: { matchLabels: { mark: 'x' } } },
    );
    await create();
    assert.deepEqual(paths.splice(0).sort(), ['/all', '/blue']);
    await create(map({}, { labels: { mark: 'x' } }));
    assert.deepEqual(paths.splice(0).sort(), ['/all', '/blue', '/marked']);
    await hooked.admin.create(core.namespaces, { metadata: { name: 'new', labels: { team: 'red' } } });
    assert.deepEqual(paths.splice(0).sort(), ['/all', '/cluster', '/red']);
  });

  it('never judges the configuration of admission itself', async () => {
    const rules = [{ operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*'] }];
    await hooked.validating('judge', { clientConfig, rules });
    hook.answer({ allowed: false });
    await hooked.mutating('other', { clientConfig });
    await hooked.admin.delete(admissionregistration.mutatingwebhookconfigurations, 'other');
    assert.equal(hook.reviews.length, 0);
  });

  it('is shown another version of the same objects where its rules ask for that, unless they must be exact', async () => {
    const rules = [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['events'] }];
    await hooked.validating(
      'judge',
      { clientConfig, rules },
      { name: 'exact.example.com', clientConfig, rules, matchPolicy: 'Exact' },
    );
    await hooked.admin.create(events.events, {
      metadata: { name: 'e', namespace: 'space' },
      eventTime: '2026-01-01T00:00:00.000000Z',
      note: 'what happened',
      type: 'Normal',
      action: 'a',
      reason: 'r',
      reportingController: 'c.example.com/x',
      reportingInstance: 'i',
      regarding: { kind: 'Pod', namespace: 'space', name: 'p' },
    });
    assert.equal(hook.reviews.length, 1);
    const { kind, requestKind, resource, requestResource, object } = hook.reviews[0]?.request ?? {};
    assert.deepEqual([kind.group, requestKind.group], ['', 'events.k8s.io']);
    assert.deepEqual([resource.group, requestResource.group], ['', 'events.k8s.io']);
    assert.deepEqual([object.apiVersion, object.message, object.note], ['v1', 'what happened', undefined]);
  });

  it('sees a Scale where somebody scales', async () => {
    const labels = { app: 'x' };
    const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } };
    const spec = { replicas: 1, selector: { matchLabels: labels }, template };
    await hooked.admin.create(apps.deployments, { metadata: { name: 'd', namespace: 'space' }, spec });
    const rules = [
      { operations: ['*'], apiGroups: ['apps'], apiVersions: ['v1'], resources: ['deployments/scale'] },
    ];
    await hooked.mutating('judge', { clientConfig, rules });
    hook.answer(patchOf({ op: 'replace', path: '/spec/replicas', value: 5 }));
    const body = { spec: { replicas: 3 } };
    await hooked.admin.patch(apps.deployments, 'd', 'merge', body, {
      namespace: 'space',
      subresource: 'scale',
    });
    const { kind, subResource, object, oldObject } = hook.reviews[0]?.request ?? {};
    assert.deepEqual([kind, subResource], [{ group: 'autoscaling', version: 'v1', kind: 'Scale' }, 'scale']);
    assert.deepEqual([object.kind, object.spec.replicas, oldObject.spec.replicas], ['Scale', 3, 1]);
    const scaled = await hooked.admin.get(apps.deployments, 'd', { namespace: 'space' });
    assert.equal(scaled.spec?.replicas, 5);
  });

  it('is asked about a dry run only when it has no side effects then', async () => {
    await hooked.validating('judge', { clientConfig, sideEffects: 'NoneOnDryRun' });
    await create(map(), { dryRun: true });
    assert.equal(hook.reviews[0]?.request['dryRun'], true);
  });

  it('speaks v1beta1 where only that is understood', async () => {
    await hooked.validating('judge', { clientConfig, admissionReviewVersions: ['v2', 'v1beta1'] });
    hook.answer({ uid: 'whatever', allowed: true });
    await create();
    assert.equal(hook.reviews[0]?.apiVersion, 'admission.k8s.io/v1beta1');
  });

  it('is asked together with others, over connections that are kept', async () => {
    let waiting = 0;
    let most = 0;
    hook.answer(({ request }, response) => {
      most = Math.max(most, ++waiting);
      const answer = (): void => {
        waiting--;
        const body = {
          apiVersion: 'admission.k8s.io/v1',
          kind: 'AdmissionReview',
          response: { uid: request['uid'], allowed: true },
        };
        response.end(JSON.stringify(body));
      };
      // The first answers when the second is there, which only a parallel call brings.
      if (waiting === 2) release.forEach((each) => each());
      if (most < 2) release.push(answer);
      else answer();
    });
    const release: Array<() => void> = [];
    await hooked.validating('judge', { clientConfig }, { name: 'second.example.com', clientConfig });
    await create();
    assert.equal(most, 2);
    const before = hook.connections;
    hook.answer(allow);
    for (let i = 0; i < 5; i++) await create();
    assert.equal(hook.connections, before);
  });
});

describe('MutatingAdmissionWebhook', () => {
  it('changes objects one after the other, before names, defaults and validation', async () => {
    await hooked.mutating('b', { name: 'third.example.com', clientConfig });
    await hooked.mutating(
      'a',
      { name: 'first.example.com', clientConfig },
      { name: 'second.example.com', clientConfig },
    );
    let n = 0;
    hook.answer(() => patchOf({ op: 'add', path: `/data/n${n++}`, value: 'x' }));
    const made = await create(map({ z: '1' }, { generateName: 'gen-', name: '' }));
    assert.deepEqual(made.data, { z: '1', n0: 'x', n1: 'x', n2: 'x' });
    const [first, second, third] = hook.reviews.map(({ request }) => request);
    assert.equal(first?.['name'], undefined);
    assert.equal(first?.['object'].metadata.uid, undefined);
    assert.deepEqual(Object.keys(second?.['object'].data), ['z', 'n0']);
    assert.deepEqual(Object.keys(third?.['object'].data), ['z', 'n0', 'n1']);
  });

  it('calls again, once, those who asked for it when others changed the object after them', async () => {
    const asked: string[] = [];
    const at = (name: string) => ({
      name: `${name}.example.com`,
      clientConfig: { ...clientConfig, url: `${clientConfig.url}/${name}` },
    });
    hook.answer(({ request }, response, { url = '' }) => {
      const name = new URL(url, 'https://x').pathname.split('/').at(-1) as string;
      asked.push(name);
      const answer = patchOf({ op: 'add', path: `/data/${name}-${asked.length}`, value: 'x' });
      const body = {
        apiVersion: 'admission.k8s.io/v1',
        kind: 'AdmissionReview',
        response: { uid: request['uid'], ...answer },
      };
      response.end(JSON.stringify(body));
    });
    await hooked.mutating(
      'm',
      { ...at('once') },
      { ...at('again'), reinvocationPolicy: 'IfNeeded' },
      { ...at('last') },
    );
    await create(map({ a: '' }));
    assert.deepEqual(asked, ['once', 'again', 'last', 'again']);
  });

  it('drops what the kind does not have, and refuses what is no such object', async () => {
    await hooked.mutating('m', { clientConfig });
    hook.answer(patchOf({ op: 'add', path: '/nonsense', value: 1 }));
    assert.equal('nonsense' in (await create()), false);
    hook.answer(patchOf({ op: 'add', path: '/data', value: [1] }));
    await assert.rejects(create(), refused(500, /^Internal error occurred: .*ConfigMap/));
    hook.answer(patchOf({ op: 'replace', path: '/kind', value: 'Secret' }));
    await assert.rejects(create(), refused(500, /^Internal error occurred: /));
    hook.answer(patchOf({ op: 'replace', path: '/metadata/namespace', value: 'default' }));
    await assert.rejects(create(), refused(400, /the namespace of the provided object does not match/));
  });

  it('keeps integers beyond 2^53 exact', async () => {
    await hooked.mutating('m', {
      clientConfig,
      rules: [
        { operations: ['*'], apiGroups: ['apps'], apiVersions: ['v1'], resources: ['controllerrevisions'] },
      ],
    });
    const patch = Buffer.from('[{"op":"add","path":"/data/big","value":9007199254740993}]').toString(
      'base64',
    );
    hook.answer({ allowed: true, patchType: 'JSONPatch', patch });
    const made = await hooked.admin.create(apps.controllerrevisions, {
      metadata: { name: 'r', namespace: 'space' },
      revision: 1,
      data: {},
    } as KubeObject);
    assert.equal((made as unknown as { data: { big: bigint } }).data.big, 9007199254740993n);
  });

  it('cannot change what is deleted', async () => {
    const made = await create();
    await hooked.mutating('m', { clientConfig });
    hook.answer(patchOf({ op: 'add', path: '/x', value: 1 }));
    await assert.rejects(
      hooked.admin.delete(core.configmaps, made.metadata.name as string, { namespace: 'space' }),
      refused(
        500,
        'Internal error occurred: admission webhook "hook.example.com" attempted to modify the object, which is not supported for this operation',
      ),
    );
  });

  it('has its change and removal seen by the next request', async () => {
    for (let i = 0; i < 20; i++) {
      await hooked.validating('judge', { clientConfig });
      hook.answer({ allowed: false });
      await assert.rejects(create(), refused(400, /denied/));
      await hooked.clear();
      await create();
    }
  });
});

describe('match conditions of webhooks', () => {
  it('are asked before the webhook is, and may ask the authorizer', async () => {
    const matchConditions = [
      { name: 'not-system', expression: "!request.userInfo.groups.exists(g, g == 'system:nodes')" },
      { name: 'marked', expression: "'mark' in object.data" },
      { name: 'may', expression: "authorizer.requestResource.check('create').allowed()" },
    ];
    await hooked.validating('judge', { clientConfig, matchConditions });
    await create(map({ mark: 'x' }));
    await create(map({ other: 'x' }));
    assert.equal(hook.reviews.length, 1);
  });

  it('that fail refuse the request, or pass the webhook over', async () => {
    const matchConditions = [{ name: 'broken', expression: "object.data.none == 'x'" }];
    await hooked.validating('judge', { clientConfig, matchConditions });
    const text =
      /^configmaps "map-\d+" is forbidden: expression 'object.data.none == 'x'' resulted in error: no such key: none$/;
    await assert.rejects(create(map({ a: 'b' })), refused(403, text));
    await hooked.clear();
    await hooked.validating('judge', { clientConfig, matchConditions, failurePolicy: 'Ignore' });
    await create(map({ a: 'b' }));
    assert.equal(hook.reviews.length, 0);
  });
});

describe('the fields of a changed object', () => {
  it('keep the managers they had', async () => {
    await hooked.mutating('m', { clientConfig });
    hook.answer(patchOf({ op: 'add', path: '/metadata/labels', value: { hooked: 'yes' } }));
    const made = await create(map({ a: '1' }), { fieldManager: 'me' });
    assert.equal(hook.reviews[0]?.request['object'].metadata.managedFields[0].manager, 'me');
    assert.deepEqual(made.metadata.labels, { hooked: 'yes' });
    assert.equal(made.metadata.managedFields?.[0]?.manager, 'me');
  });
});
