import assert from 'node:assert/strict';
import { request } from 'node:https';
import { after, before, describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { clientFromKubeconfig } from '@cloudless/kube/client/kubeconfig';
import { decodeProtobuf } from '@cloudless/kube/codec/protobuf';
import type { HttpsKubeClient } from '@cloudless/kube/client/https';
import type { KubeClient } from '@cloudless/kube/client/client';
import { core } from '@cloudless/kube/resources';
import type { ConfigMap } from '@cloudless/kube/types/core-v1';
import { startTestServer, type TestServer } from '../testing/test-server.ts';
import { maxUnreadBytes } from './watch-response.ts';

const namespace = 'many';
const objectBytes = 20_000;
/** More than a watcher may leave unread. */
const count = Math.ceil((1.5 * maxUnreadBytes) / objectBytes);
const nameOf = (i: number): string => `object-${String(i).padStart(5, '0')}`;

describe('lists and watches of more than fits at once', () => {
  let test: TestServer;
  let local: KubeClient;
  let remote: HttpsKubeClient;
  before(async () => {
    test = await startTestServer();
    local = test.server.clientFor({ name: 'admin', groups: ['system:masters'] });
    remote = clientFromKubeconfig(test.kubeconfig);
    const data = { text: 'x'.repeat(objectBytes) };
    for (let i = 0; i < count; i++) {
      await local.create<ConfigMap>(core.configmaps, { metadata: { name: nameOf(i), namespace }, data });
    }
  });
  after(async () => {
    remote.close();
    await test[Symbol.asyncDispose]();
  });

  it('a list comes whole', async () => {
    const { items, metadata } = await remote.list(core.configmaps, { namespace });
    assert.deepEqual(
      items.map(({ metadata: { name } }) => name),
      Array.from({ length: count }, (_, i) => nameOf(i)),
    );
    assert.ok(Number(metadata.resourceVersion) > 0);
    assert.equal(items[7]?.data?.['text']?.length, objectBytes);
    const text = await remote.raw('GET', `/api/v1/namespaces/${namespace}/configmaps`);
    assert.ok(text.length > maxUnreadBytes && text.endsWith(']}\n'));
  });

  /** The body, unpacked. */
  const get = async (accept: string, query = '', encoding = 'identity'): Promise<Buffer> => {
    const { ca, admin } = test.pki;
    const path = `${test.url}/api/v1/namespaces/${namespace}/configmaps${query}`;
    const headers = { accept, 'accept-encoding': encoding };
    return await new Promise((resolve, reject) => {
      const ask = request(path, { ca, ...admin, headers, agent: false }, (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('error', reject);
        answer.on('end', () => {
          const body = Buffer.concat(parts);
          assert.equal(answer.statusCode, 200, body.toString());
          resolve(answer.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body);
        });
      });
      ask.on('error', reject);
      ask.end();
    });
  };

  type List = Record<string, unknown[] | undefined>;
  const fromJson = (body: Buffer): List => JSON.parse(body.toString()) as List;
  const fromProtobuf = (body: Buffer): List => decodeProtobuf(body) as List;
  const meta = 'g=meta.k8s.io;v=v1;as=';
  const forms: Array<[string, string, (body: Buffer) => List]> = [
    [`application/json;${meta}Table`, 'rows', fromJson],
    [`application/json;${meta}PartialObjectMetadataList`, 'items', fromJson],
    ['application/vnd.kubernetes.protobuf', 'items', fromProtobuf],
    [`application/vnd.kubernetes.protobuf;${meta}PartialObjectMetadataList`, 'items', fromProtobuf],
  ];
  for (const [accept, member, read] of forms) {
    it(`a long list is like a short one, as ${accept}`, async () => {
      const long = read(await get(accept));
      const short = read(await get(accept, '?limit=10'));
      assert.equal(long[member]?.length, count);
      // Cells tell an age, which grows meanwhile.
      const shown = (list: List): unknown[] =>
        (list[member] ?? []).map((item) => ({ ...(item as object), cells: undefined }));
      assert.deepEqual(shown(long).slice(0, 10), shown(short));
      assert.deepEqual(Object.keys(long), Object.keys(short));
      const packed = read(await get(accept, '', 'gzip'));
      assert.deepEqual(shown(packed), shown(long));
    });
  }

  it('a watch that begins with objects is not taken for a slow one, and misses nothing that changes meanwhile', async () => {
    const known = new Map<string, string | undefined>();
    let initial = 0;
    let changes: Promise<void> | undefined;
    const stopping = new AbortController();
    const events = remote.watch(core.configmaps, {
      namespace,
      sendInitialEvents: true,
      resourceVersionMatch: 'NotOlderThan',
      allowWatchBookmarks: true,
      signal: stopping.signal,
    });
    const change = async (): Promise<void> => {
      for (let i = 0; i < count; i += 100) {
        await local.patch(core.configmaps, nameOf(i), 'merge', { data: { text: 'changed' } }, { namespace });
      }
      await local.delete(core.configmaps, nameOf(1), { namespace });
      await local.create(core.configmaps, { metadata: { name: 'last', namespace } });
    };
    for await (const { type, object } of events) {
      const { name = '', resourceVersion } = object.metadata;
      if (type === 'BOOKMARK') {
        initial = known.size;
        continue;
      }
      // While most of the first objects are still to come.
      changes ??= change();
      if (type === 'DELETED') assert.ok(known.delete(name));
      else {
        assert.equal(known.has(name), type === 'MODIFIED', `${type} ${name}`);
        known.set(name, resourceVersion);
      }
      if (name === 'last') break;
    }
    stopping.abort();
    await changes;
    assert.equal(initial, count);
    const { items } = await local.list(core.configmaps, { namespace });
    assert.deepEqual(
      known,
      new Map(items.map(({ metadata }) => [metadata.name ?? '', metadata.resourceVersion])),
    );
  });
});
