import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connectEtcd } from '@cloudless/kube/etcd/client/client';
import { logger } from '@cloudless/kube/logger';
import { selfSigned } from '@cloudless/kube/testing/certificate';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import type { Datastore } from '../datastore.ts';
import { openMemoryDatastore } from '../memory.ts';
import { ListenError } from './listen.ts';
import { serveDatastore } from './serve.ts';
import { TlsFileError } from './tls.ts';

const log = logger('tls-test').child({}, { level: 'silent' });
const listen = { host: '127.0.0.1', port: 0 };

describe('certificates and addresses of a datastore', () => {
  let folder: string;
  let store: Datastore;
  const file = (name: string): string => join(folder, name);
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'datastore-tls-'));
    store = await openMemoryDatastore({ log });
  });
  after(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });
  const write = async (): Promise<{ cert: string; key: string }> => {
    const pair = await selfSigned();
    writeFileSync(file('cert.pem'), pair.cert);
    writeFileSync(file('key.pem'), pair.key);
    return pair;
  };
  const tls = (): { certFile: string; keyFile: string } => ({
    certFile: file('cert.pem'),
    keyFile: file('key.pem'),
  });

  it('lets nobody in without a certificate of the trusted CA', async () => {
    const { cert, key } = await write();
    const trustedCaFile = file('cert.pem');
    const server = await serveDatastore({ store, listen, tls: { ...tls(), trustedCaFile }, log });
    const endpoints = [server.url];
    const stranger = await selfSigned();
    await assert.rejects(connectEtcd({ endpoints, ca: cert, log }), /no etcd endpoint answers/);
    await assert.rejects(connectEtcd({ endpoints, ca: cert, ...stranger, log }), /no etcd endpoint answers/);
    const client = await connectEtcd({ endpoints, ca: cert, cert, key, log });
    await client.close();
    await server.stop();
  });

  it('takes up renewed files without a restart, and keeps the old ones when they cannot be used', async () => {
    const old = await write();
    const clock = new FakeClock();
    const server = await serveDatastore({ store, listen, tls: tls(), log, clock });
    const endpoints = [server.url];
    const trusts = async (ca: string): Promise<void> => (await connectEtcd({ endpoints, ca, log })).close();
    await trusts(old.cert);
    writeFileSync(file('cert.pem'), 'nonsense');
    clock.advance(10_000);
    await trusts(old.cert);
    const renewed = await write();
    clock.advance(10_000);
    await trusts(renewed.cert);
    await assert.rejects(trusts(old.cert), /no etcd endpoint answers/);
    const stopping = server.stop();
    clock.advance(60_000);
    await stopping;
  });

  it('names files that cannot be used', async () => {
    await write();
    const refusal = (more: object, message: RegExp): Promise<void> =>
      assert.rejects(serveDatastore({ store, listen, tls: { ...tls(), ...more }, log }), (error: unknown) => {
        assert.ok(error instanceof TlsFileError);
        assert.match(error.message, message);
        return true;
      });
    await refusal({ certFile: '/none.pem' }, /the certificate \/none\.pem cannot be read: ENOENT/);
    writeFileSync(file('other.pem'), (await selfSigned()).key);
    await refusal({ keyFile: file('other.pem') }, /cannot be used: .*key values mismatch/i);
    await refusal({ trustedCaFile: file('key.pem') }, /the trusted CA .*: no certificate is in it/);
  });

  it('names an address that is taken, and takes over a socket that nobody listens on', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as { port: number };
    await assert.rejects(serveDatastore({ store, listen: { ...listen, port }, log }), ListenError);
    await new Promise((resolve) => taken.close(resolve));
    const path = file('left.sock');
    const left = createServer();
    await new Promise<void>((resolve) => left.listen(path, resolve));
    await assert.rejects(serveDatastore({ store, listen: { path }, log }), /is in use: another server/);
    const server = await serveDatastore({ store, listen: { path: file('own.sock') }, log });
    await server.stop();
    await new Promise((resolve) => left.close(resolve));
    writeFileSync(file('text'), '');
    await assert.rejects(serveDatastore({ store, listen: { path: file('text') }, log }), /is no socket/);
  });
});
