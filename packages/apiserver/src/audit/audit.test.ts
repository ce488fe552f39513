import assert from 'node:assert/strict';
import { request } from 'node:https';
import { after, before, beforeEach, describe, it } from 'node:test';
import { core } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import { impersonate } from '../authn/impersonation.ts';
import { certificateNames, startTestServer, type TestServer } from '../testing/test-server.ts';
import { auditBy } from './index.ts';

// oxlint-disable-next-line typescript/no-explicit-any -- events are looked at field by field
type Event = Record<string, any>;

const events: Event[] = [];
/** Called once for each event that is written. */
let heard: () => void = () => {};
let test: TestServer;

before(async () => {
  const audit = auditBy(
    {
      apiVersion: 'audit.k8s.io/v1',
      kind: 'Policy',
      rules: [
        { level: 'None', namespaces: ['quiet'] },
        { level: 'Metadata', resources: [{ group: '', resources: ['secrets'] }] },
        {
          level: 'Request',
          resources: [{ group: '', resources: ['pods'] }],
          omitStages: ['RequestReceived'],
        },
        { level: 'RequestResponse', omitStages: ['RequestReceived'] },
      ],
    },
    {
      write(bytes) {
        events.push(JSON.parse(bytes.toString()) as Event);
        heard();
      },
    },
    Date.now,
  );
  test = await startTestServer({
    audit: { ...audit, metrics: () => '', close: () => Promise.resolve() },
    impersonate,
    authenticators: () => [
      certificateNames,
      {
        authenticate({ headers }) {
          if (headers['authorization']) throw errors.unauthorized();
          return undefined;
        },
      },
    ],
  });
});
after(() => test[Symbol.asyncDispose]());
beforeEach(() => void (events.length = 0));

/** Waits until so many events are there. */
async function written(count: number): Promise<Event[]> {
  while (events.length < count) await new Promise<void>((resolve) => (heard = resolve));
  return events;
}

/** A request by hand; the status code. */
function send(
  method: string,
  path: string,
  options: { headers?: Record<string, string>; body?: unknown; anonymous?: boolean } = {},
): Promise<{ code: number; auditId: string }> {
  const { pki, server } = test;
  return new Promise((resolve, reject) => {
    const body = options.body === undefined ? '' : JSON.stringify(options.body);
    const sent = request(
      {
        port: server.address.port,
        host: '127.0.0.1',
        ca: pki.ca,
        ...(options.anonymous === true ? {} : pki.admin),
        method,
        path,
        headers: {
          'user-agent': 'test/1',
          'content-type': 'application/json',
          'content-length': body.length,
          ...options.headers,
        },
        agent: false,
      },
      (response) => {
        response.resume();
        response.on('end', () =>
          resolve({ code: response.statusCode ?? 0, auditId: response.headers['audit-id'] as string }),
        );
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

describe('the audit log', () => {
  it('tells of a create at Metadata in both stages, and nothing of its content', async () => {
    const body = { metadata: { name: 's' }, stringData: { password: 'hunter2' } };
    const { code, auditId } = await send('POST', '/api/v1/namespaces/n/secrets?fieldManager=x', { body });
    assert.equal(code, 201);
    const [received, complete] = await written(2);
    assert.ok(received && complete);
    const { requestReceivedTimestamp, stageTimestamp, ...rest } = received;
    assert.match(requestReceivedTimestamp as string, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    assert.equal(stageTimestamp, requestReceivedTimestamp);
    const common = {
      kind: 'Event',
      apiVersion: 'audit.k8s.io/v1',
      level: 'Metadata',
      auditID: auditId,
      requestURI: '/api/v1/namespaces/n/secrets?fieldManager=x',
      verb: 'create',
      user: { username: 'admin', groups: ['system:masters', 'system:authenticated'] },
      sourceIPs: ['127.0.0.1'],
      userAgent: 'test/1',
    };
    const objectRef = { resource: 'secrets', namespace: 'n', apiVersion: 'v1' };
    assert.deepEqual(rest, { ...common, stage: 'RequestReceived', objectRef });
    const { requestReceivedTimestamp: _received, stageTimestamp: _stage, ...answer } = complete;
    assert.deepEqual(answer, {
      ...common,
      stage: 'ResponseComplete',
      objectRef: { ...objectRef, name: 's' },
      responseStatus: { metadata: {}, code: 201 },
      annotations: { 'authorization.k8s.io/decision': 'allow', 'authorization.k8s.io/reason': '' },
    });
    assert.equal(JSON.stringify(events).includes('hunter2'), false);
  });

  it('brings the objects where the policy asks for them', async () => {
    await send('POST', '/api/v1/namespaces/n/configmaps', {
      body: { metadata: { name: 'c' }, data: { a: '1' } },
    });
    await send('PATCH', '/api/v1/namespaces/n/configmaps/c', {
      headers: { 'content-type': 'application/merge-patch+json' },
      body: { data: { a: '2' } },
    });
    await send('GET', '/api/v1/namespaces/n/configmaps');
    await send('DELETE', '/api/v1/namespaces/n/configmaps/c', { body: { propagationPolicy: 'Background' } });
    const [created, patched, listed, deleted] = await written(4);
    assert.deepEqual(created?.['requestObject'].data, { a: '1' });
    assert.deepEqual(created?.['requestObject'].kind, 'ConfigMap');
    assert.equal(created?.['responseObject'].metadata.name, 'c');
    assert.equal(created?.['responseObject'].metadata.managedFields[0].manager, 'test');
    assert.match(created?.['responseObject'].metadata.resourceVersion, /^\d+$/);
    assert.deepEqual(patched?.['requestObject'], { data: { a: '2' } });
    assert.deepEqual(patched?.['responseObject'].data, { a: '2' });
    assert.equal(listed?.['responseObject'].kind, 'ConfigMapList');
    assert.equal(listed?.['responseObject'].items[0].data.a, '2');
    assert.equal(deleted?.['requestObject'].propagationPolicy, 'Background');
    assert.deepEqual(deleted?.['responseStatus'].status, 'Success');
    assert.equal(deleted?.['responseObject'].kind, 'Status');
  });

  it('keeps answers out at Request', async () => {
    await send('POST', '/api/v1/namespaces/n/pods', {
      body: { metadata: { name: 'p' }, spec: { containers: [{ name: 'c', image: 'i' }] } },
    });
    const [created] = await written(1);
    assert.equal(created?.['requestObject'].spec.containers[0].image, 'i');
    assert.equal('responseObject' in (created ?? {}), false);
  });

  it('tells of refusals in their own words', async () => {
    const { code } = await send('GET', '/api/v1/namespaces/n/configmaps/none');
    assert.equal(code, 404);
    const [failed] = await written(1);
    assert.deepEqual(failed?.['responseStatus'], {
      metadata: {},
      status: 'Failure',
      message: 'configmaps "none" not found',
      reason: 'NotFound',
      details: { name: 'none', kind: 'configmaps' },
      code: 404,
    });
  });

  it('names who is impersonated, and by which right', async () => {
    await send('GET', '/version', { headers: { 'impersonate-user': 'jo', 'impersonate-group': 'devs' } });
    const [event] = await written(1);
    assert.equal(event?.['user'].username, 'admin');
    assert.deepEqual(event?.['impersonatedUser'], {
      username: 'jo',
      groups: ['devs', 'system:authenticated'],
    });
    assert.deepEqual(event?.['authenticationMetadata'], { impersonationConstraint: 'impersonate:user-info' });
  });

  it('tells of those whom nobody knows', async () => {
    const { code } = await send('GET', '/api/v1/nodes', {
      headers: { authorization: 'Bearer x' },
      anonymous: true,
    });
    assert.equal(code, 401);
    const [event] = await written(1);
    assert.deepEqual([event?.['stage'], event?.['user']], ['ResponseStarted', {}]);
    assert.equal(event?.['responseStatus'].message, 'Authentication failed, attempted: bearer');
    assert.equal(event?.['responseStatus'].code, 401);
  });

  it('tells of a watch when it begins and when it ends', async () => {
    await send('GET', '/api/v1/namespaces/n/configmaps?watch=1&timeoutSeconds=1');
    const [started, complete] = await written(2);
    assert.deepEqual([started?.['stage'], complete?.['stage']], ['ResponseStarted', 'ResponseComplete']);
    assert.deepEqual([started?.['verb'], started?.['responseStatus'].code], ['watch', 200]);
  });

  it('counts clients in this process like any other, and leaves out what it shall', async () => {
    const client = test.server.clientFor({ name: 'controller', groups: ['system:masters'] });
    await client.create(core.configmaps, { metadata: { name: 'x', namespace: 'quiet' } });
    await client.create(core.configmaps, { metadata: { name: 'y', namespace: 'n' }, data: { b: '2' } });
    await assert.rejects(client.get(core.configmaps, 'none', { namespace: 'n' }));
    const [created, failed] = await written(2);
    assert.deepEqual([created?.['user'].username, created?.['verb']], ['controller', 'create']);
    assert.equal(created?.['requestURI'], '/api/v1/namespaces/n/configmaps');
    assert.deepEqual(created?.['responseObject'].data, { b: '2' });
    assert.equal(failed?.['responseStatus'].reason, 'NotFound');
  });

  it('tells where a request came from', async () => {
    await send('GET', '/version', {
      headers: { 'x-forwarded-for': '192.0.2.1, nonsense, 192.0.2.2', 'x-real-ip': '192.0.2.1' },
    });
    const [event] = await written(1);
    assert.deepEqual(event?.['sourceIPs'], ['192.0.2.1', '192.0.2.2', '127.0.0.1']);
  });
});
