import assert from 'node:assert/strict';
import { connect } from 'node:http2';
import { after, before, describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { core } from '@cloudless/kube/resources';
import type { ConfigMap, ConfigMapList } from '@cloudless/kube/types/core-v1';
import { startTestServer, type TestServer } from '../testing/test-server.ts';
import { giveBackChunk, takeChunk } from './chunk-pool.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const namespaces = Array.from({ length: 8 }, (_, i) => `space-${i}`);
const objects = 60;
const textOf = (namespace: string, i: number): string => `${namespace} ${i} `.repeat(2_500);

describe('bodies of lists', () => {
  let test: TestServer;
  before(async () => {
    test = await startTestServer();
    const client = test.server.clientFor({ name: 'admin', groups: ['system:masters'] });
    for (const namespace of namespaces) {
      for (let i = 0; i < objects; i++) {
        const data = { text: textOf(namespace, i) };
        await client.create<ConfigMap>(core.configmaps, { metadata: { name: `o-${i}`, namespace }, data });
      }
    }
  });
  after(() => test[Symbol.asyncDispose]());

  /** Lists all namespaces `rounds` times at once, over as many connections. */
  const listAll = async (rounds: number, protocol: (url: string) => ReturnType<typeof connect>) => {
    const sessions = Array.from({ length: rounds }, () => protocol(test.url));
    const bodies = await Promise.all(
      sessions.flatMap((session) =>
        namespaces.map(
          (namespace) =>
            new Promise<{ namespace: string; body: string }>((resolve, reject) => {
              const stream = session.request({ ':path': `/api/v1/namespaces/${namespace}/configmaps` });
              let body = '';
              stream.setEncoding('utf8');
              stream.on('data', (text: string) => (body += text));
              stream.on('error', reject);
              stream.on('end', () => resolve({ namespace, body }));
            }),
        ),
      ),
    );
    for (const session of sessions) session.close();
    return bodies;
  };
  const http2 = (url: string): ReturnType<typeof connect> =>
    connect(url, { ca: test.pki.ca, ...test.pki.admin });

  it('take no memory once they are written, if they are asked for once', async () => {
    const settled = async (): Promise<number> => {
      // Memory outside of the heap is given back beside the program.
      for (let i = 0; i < 3; i++) {
        collect();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return process.memoryUsage().arrayBuffers;
    };
    const before = await settled();
    const bytes = (await listAll(1, http2)).reduce((sum, { body }) => sum + body.length, 0);
    const kept = (await settled()) - before;
    assert.ok(kept < bytes / 3, `${kept} bytes are kept for ${bytes} of lists`);
  });

  it('are whole and of their own list, however many are written at the same time', async () => {
    for (const { namespace, body } of [...(await listAll(3, http2)), ...(await listAll(3, http2))]) {
      const { items } = JSON.parse(body) as ConfigMapList;
      assert.equal(items.length, objects);
      for (const { metadata, data } of items) {
        assert.equal(data?.['text'], textOf(namespace, Number(metadata.name?.slice(2))));
      }
    }
  });
});

describe('memory for chunks', () => {
  it('is lent to one at a time', () => {
    const first = takeChunk(1_000);
    const second = takeChunk(1_000);
    assert.notEqual(first.buffer, second.buffer);
    giveBackChunk(first.subarray(0, 10));
    giveBackChunk(first);
    const third = takeChunk(2_000);
    assert.equal(third.buffer, first.buffer);
    assert.notEqual(takeChunk(1_000).buffer, first.buffer);
    giveBackChunk(Buffer.from('no chunk'));
    assert.equal(takeChunk(10_000_000).length, 10_000_000);
  });
});
