import assert from 'node:assert/strict';
import { connect, type ClientHttp2Session } from 'node:http2';
import { after, before, describe, it } from 'node:test';
import { decodeProtobuf, encodeProtobuf } from '@cloudless/kube/codec/protobuf';
import { apiVersionOf, type KubeObject, pathOf, type Resource } from '@cloudless/kube/object';
import { startTestServer, type TestServer } from '../testing/test-server.ts';
import { Catalogue } from './catalogue.ts';

const config = { 'api/all': true };
const stored = [...new Catalogue([], config).all()].filter((served) => !served.computed);

interface Answer {
  code: number;
  body: Buffer;
}

describe('every built-in kind', () => {
  let test: TestServer;
  let session: ClientHttp2Session;
  before(async () => {
    // Without strategies: what is tested is the generic path, not what kinds add to it.
    test = await startTestServer({ strategies: new Map(), runtimeConfig: config });
    session = connect(test.url, { ca: test.pki.ca, ...test.pki.admin });
  });
  after(async () => {
    session.close();
    await test[Symbol.asyncDispose]();
  });

  const ask = (method: string, path: string, headers: Record<string, string>, body?: Uint8Array | string) =>
    new Promise<Answer>((resolve, reject) => {
      const stream = session.request({ ':method': method, ':path': path, ...headers });
      const chunks: Buffer[] = [];
      let code = 0;
      stream.on('response', (response) => (code = Number(response[':status'])));
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => resolve({ code, body: Buffer.concat(chunks) }));
      stream.on('error', reject);
      stream.end(body);
    });
  const protobuf = 'application/vnd.kubernetes.protobuf';

  /** Create in protobuf, read in JSON and as a Table, patch, list, delete. */
  async function roundTrip(resource: Resource): Promise<void> {
    const namespace = resource.namespaced ? 'default' : undefined;
    const name = resource.kind === 'IPAddress' ? '10.0.0.7' : 'every-kind';
    const object = { apiVersion: apiVersionOf(resource), kind: resource.kind, metadata: { name } };
    const collection = pathOf(resource, { namespace });
    const item = pathOf(resource, { namespace, name });
    const types = { 'content-type': protobuf, accept: protobuf };
    const made = await ask('POST', collection, types, encodeProtobuf(object));
    assert.equal(made.code, 201, made.body.toString());
    assert.equal((decodeProtobuf(made.body) as unknown as KubeObject).metadata.name, name);
    const read = JSON.parse((await ask('GET', item, {})).body.toString()) as KubeObject;
    assert.equal(read.kind, resource.kind);
    assert.equal(read.apiVersion, apiVersionOf(resource));
    const merge = { 'content-type': 'application/merge-patch+json' };
    const patched = await ask(
      'PATCH',
      item,
      merge,
      JSON.stringify({ metadata: { labels: { seen: 'yes' } } }),
    );
    assert.equal(patched.code, 200, patched.body.toString());
    const list = await ask('GET', `${collection}?labelSelector=seen%3Dyes`, {});
    const { kind, items } = JSON.parse(list.body.toString()) as { kind: string; items: KubeObject[] };
    assert.equal(kind, `${resource.kind}List`);
    assert.deepEqual(
      items.map(({ metadata }) => metadata.name),
      [name],
    );
    const table = await ask('GET', item, { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' });
    assert.equal((JSON.parse(table.body.toString()) as { rows: unknown[] }).rows.length, 1);
    const gone = await ask('DELETE', `${item}?propagationPolicy=Background`, {});
    assert.equal(gone.code, 200, gone.body.toString());
    assert.equal((await ask('GET', item, {})).code, 404);
  }

  for (const { resource } of stored) {
    it(`${apiVersionOf(resource)} ${resource.kind}`, () => roundTrip(resource));
  }
});
