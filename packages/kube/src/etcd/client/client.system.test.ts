import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { etcdCompliance, Receiver } from '../compliance.ts';
import { EtcdError, grpcCode } from '../store.ts';
import { logger } from '../../logger.ts';
import { selfSigned } from '../../testing/certificate.ts';
import { connectEtcd } from './client.ts';
import { fenced, progressMeansOf } from './progress.ts';
import { RealEtcd } from '../../testing/real-etcd.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const log = logger('etcd-test').child({}, { level: 'silent' });

etcdCompliance("Debian's etcd over TLS", async () => {
  const etcd = await RealEtcd.start();
  const store = await etcd.connect();
  return {
    store,
    async stop() {
      await store.close();
      await etcd.stop();
    },
  };
});

describe('the etcd client', () => {
  let etcd: RealEtcd;
  before(async () => {
    etcd = await RealEtcd.start();
  });
  after(() => etcd.stop());

  it('says which endpoint does not answer, and why', async () => {
    const dead = 'https://127.0.0.1:1';
    await assert.rejects(connectEtcd({ endpoints: [dead], ...etcd.credentials, log }), (error: unknown) => {
      assert.ok(error instanceof EtcdError);
      assert.equal(error.code, grpcCode.unavailable);
      assert.match(
        error.message,
        /no etcd endpoint answers: etcd https:\/\/127\.0\.0\.1:1 cannot be reached.*Check the addresses, the certificates and that etcd runs/,
      );
      return true;
    });
    await assert.rejects(connectEtcd({ endpoints: [], log }), /no etcd endpoint given/);
    await assert.rejects(
      connectEtcd({ endpoints: ['nonsense'], log }),
      /"nonsense" is no endpoint; write https/,
    );
    await assert.rejects(connectEtcd({ endpoints: [dead], cert: 'x', log }), /needs its key/);
  });

  it('is refused without a trusted certificate', async () => {
    (await etcd.connect()).close();
    const stranger = await selfSigned();
    const endpoints = [etcd.endpoint];
    await assert.rejects(connectEtcd({ endpoints, ca: etcd.credentials.ca, ...stranger, log }), EtcdError);
    await assert.rejects(connectEtcd({ endpoints, ...etcd.credentials, ca: stranger.cert, log }), EtcdError);
  });

  it('passes over servers that are away', async () => {
    const store = await etcd.connect(['https://127.0.0.1:1', etcd.endpoint]);
    for (let i = 0; i < 3; i++) await store.put({ key: bytes('a'), value: bytes(String(i)) });
    assert.equal((await store.range({ key: bytes('a') })).kvs[0]?.version, 3);
    await store.close();
  });

  it('cancels watches when the server goes, and works again when it is back', async () => {
    const store = await etcd.connect();
    const receiver = new Receiver();
    const watch = store.watch({ key: bytes('b') }, receiver.receive);
    await watch.created;
    const { revision } = await store.put({ key: bytes('b'), value: bytes('1') });
    await receiver.until('the event', () => receiver.events.length === 1);
    await etcd.kill();
    await receiver.until('the cancel', () => receiver.messages.at(-1)?.type === 'canceled');
    const last = receiver.messages.at(-1);
    assert.ok(last?.type === 'canceled' && last.error !== undefined && last.compactRevision === 0);
    await assert.rejects(store.put({ key: bytes('b'), value: bytes('2') }), (error: unknown) => {
      assert.ok(error instanceof EtcdError);
      assert.equal(error.code, grpcCode.unavailable);
      return true;
    });
    etcd.launch();
    await (await etcd.connect()).close();
    for (const deadline = Date.now() + 10_000; ;) {
      try {
        await store.put({ key: bytes('b'), value: bytes('3') });
        break;
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
    const again = new Receiver();
    store.watch({ key: bytes('b'), startRevision: revision }, again.receive);
    await again.until('what happened meanwhile', () => again.events.length === 2);
    await store.close();
    assert.equal(again.messages.at(-1)?.type, 'canceled');
    await assert.rejects(store.range({ key: bytes('b') }), EtcdError);
  });

  it('gives up when its caller does', async () => {
    const store = await etcd.connect();
    const options = { signal: AbortSignal.abort(new Error('enough')) };
    await assert.rejects(store.range({ key: bytes('a') }, options), (error: unknown) => {
      assert.ok(error instanceof EtcdError);
      assert.equal(error.code, grpcCode.canceled);
      return true;
    });
    await store.close();
  });

  it('keeps up with many watches and writes at once', async () => {
    const store = await etcd.connect();
    const receivers = Array.from({ length: 50 }, () => new Receiver());
    const watches = receivers.map((receiver, i) =>
      store.watch({ key: bytes(`/many/${i % 10}/`), rangeEnd: bytes(`/many/${i % 10}0`) }, receiver.receive),
    );
    await Promise.all(watches.map(({ created }) => created));
    await Promise.all(
      Array.from({ length: 500 }, (_, i) =>
        store.put({ key: bytes(`/many/${i % 10}/${i}`), value: bytes('x') }),
      ),
    );
    for (const watch of watches) watch.requestProgress();
    for (const receiver of receivers) {
      await receiver.until('progress', () => receiver.messages.some(({ type }) => type === 'progress'));
      assert.equal(receiver.events.length, 50);
      assert.ok(
        receiver.events.every(({ kv }) => kv.value.length === 1),
        'no fence is shown',
      );
    }
    await store.close();
  });
});

describe('progress of old and new servers', () => {
  it('is asked for where it can be trusted, and fenced elsewhere', () => {
    const means = ['3.4.23', '3.4.31', '3.5.0', '3.5.12', '3.5.13', '3.6.0', '4.0.0', 'nonsense'].map(
      progressMeansOf,
    );
    assert.deepEqual(means, ['fence', 'request', 'fence', 'fence', 'request', 'request', 'request', 'fence']);
  });

  it('puts the fence right behind the range', () => {
    const range = fenced(bytes('/registry/pods/'), bytes('/registry/pods0'));
    assert.equal(Buffer.from(range?.fence ?? []).toString(), '/registry/pods0');
    assert.equal(Buffer.from(range?.rangeEnd ?? []).toString(), '/registry/pods0\0');
    assert.equal(Buffer.from(fenced(bytes('a'), undefined)?.fence ?? []).toString(), 'a\0');
    assert.equal(fenced(bytes('a'), Uint8Array.of(0)), undefined);
  });
});
