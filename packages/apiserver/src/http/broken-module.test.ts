// Code that is loaded with the first request that needs it may be unreadable then: a disk that fails, an upgrade under
// way. That request ends with 500, the next ones are served, and no promise is left to end the process.
import assert from 'node:assert/strict';
import { registerHooks } from 'node:module';
import { after, before, beforeEach, describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { lazyStreams } from '../streams/lazy.ts';
import { startTestServer, type TestServer } from '../testing/test-server.ts';
import { connect, type ClientHttp2Session } from 'node:http2';

/** Modules by what their addresses contain, while they cannot be read. */
let unreadable: string | undefined;
const hooks = registerHooks({
  load(url, context, next) {
    if (unreadable !== undefined && url.includes(unreadable))
      throw new Error(`${unreadable} cannot be read from the disk`);
    return next(url, context);
  },
});

interface Answer {
  status: number;
  contentType: string;
  body: Buffer;
}

const json = 'application/json';
const protobuf = 'application/vnd.kubernetes.protobuf';
const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const configMaps = '/api/v1/namespaces/default/configmaps';

const definition = JSON.stringify({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'boats.example.org' },
  spec: {
    group: 'example.org',
    scope: 'Namespaced',
    names: { plural: 'boats', kind: 'Boat' },
    versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
  },
});

describe('what cannot be loaded', () => {
  const unguarded: unknown[] = [];
  const note = (error: unknown): void => void unguarded.push(error);
  let test: TestServer;
  let session: ClientHttp2Session;

  const ask = (path: string, headers: Record<string, string> = {}, body?: string): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const stream = session.request(
        { ':path': path, ':method': body === undefined ? 'GET' : 'POST', ...headers },
        { endStream: body === undefined },
      );
      const parts: Buffer[] = [];
      const answer: Answer = { status: 0, contentType: '', body: Buffer.alloc(0) };
      stream.on('response', (received) => {
        answer.status = Number(received[':status']);
        answer.contentType = String(received['content-type']);
      });
      stream.on('data', (part: Buffer) => parts.push(part));
      stream.on('error', reject);
      stream.on('end', () => resolve({ ...answer, body: Buffer.concat(parts) }));
      stream.end(body);
    });

  /** The request fails while the module cannot be read, others do not, and afterwards it is answered as it should be. */
  const outlives = async (module: string, request: () => Promise<Answer>, code: number): Promise<void> => {
    unreadable = module;
    const refused = await request();
    assert.equal(refused.status, 500, refused.body.toString());
    const status = JSON.parse(refused.body.toString()) as { reason: string; message: string };
    assert.equal(status.reason, 'InternalError');
    assert.ok(status.message.includes(`${module} cannot be read from the disk`), status.message);
    assert.equal((await ask(configMaps)).status, 200);
    unreadable = undefined;
    const answered = await request();
    assert.equal(answered.status, code, answered.body.toString());
  };

  before(async () => {
    for (const event of ['unhandledRejection', 'uncaughtException'] as const) process.on(event, note);
    const pki = { clientCert: '', clientKey: '' };
    const log = logger('apiserver');
    const kubeletEndpoint = () => Promise.resolve({ host: '127.0.0.1', port: 1 });
    test = await startTestServer({ streams: lazyStreams({ ...pki, kubeletEndpoint, log }) });
    const { ca, admin } = test.pki;
    session = connect(test.url, { ca, ...admin });
  });
  beforeEach(() => (unreadable = undefined));
  after(async () => {
    session.destroy();
    await test[Symbol.asyncDispose]();
    hooks.deregister();
    for (const event of ['unhandledRejection', 'uncaughtException'] as const) process.off(event, note);
    assert.deepEqual(unguarded, [], 'a promise or an exception that nobody looked after');
  });

  it('the reader of YAML', () =>
    outlives(
      '/codec/yaml.ts',
      () => ask(configMaps, { 'content-type': 'application/yaml' }, 'kind: ConfigMap\nmetadata: {name: a}\n'),
      201,
    ));

  it('the reader of protobuf', async () => {
    unreadable = '/codec/protobuf.ts';
    const { status } = await ask(configMaps, { 'content-type': protobuf }, 'k8s\0');
    assert.equal(status, 500);
  });

  it('the writer of protobuf: a failure is told in JSON, and a watch ends', async () => {
    const accept = { accept: protobuf };
    unreadable = '/codec/protobuf.ts';
    const missing = await ask(`${configMaps}/nosuch`, accept);
    assert.deepEqual([missing.status, missing.contentType], [404, json]);
    assert.equal((await ask(`${configMaps}?watch=1`, accept)).body.length, 0);
    await outlives('/codec/protobuf.ts', () => ask(configMaps, accept), 200);
  });

  it('the documents of OpenAPI', () =>
    outlives('/openapi/openapi.ts', () => ask('/openapi/v3', { accept: json }), 200));

  it('what checks definitions, and what serves them: they wait until it can be read', async () => {
    const create = () => ask(crds, { 'content-type': json }, definition);
    unreadable = '/crd/definition/validate.ts';
    assert.equal((await create()).status, 500);
    unreadable = '/crd/serving.ts';
    const created = await create();
    assert.equal(created.status, 201, created.body.toString());
    assert.equal((await ask('/apis/example.org/v1/boats')).status, 404);
    unreadable = undefined;
    const endMs = performance.now() + 10_000;
    while ((await ask('/apis/example.org/v1/boats')).status !== 200) {
      assert.ok(performance.now() < endMs, 'the definition is not served');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });

  it('the way to kubelets', async () => {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p' },
      spec: { nodeName: 'n', containers: [{ name: 'c', image: 'i' }] },
    };
    const pods = '/api/v1/namespaces/default/pods';
    const created = await ask(pods, { 'content-type': json }, JSON.stringify(pod));
    assert.equal(created.status, 201, created.body.toString());
    // Then the kubelet is what is missing.
    await outlives('/streams/create.ts', () => ask(`${pods}/p/log`), 503);
  });
});
