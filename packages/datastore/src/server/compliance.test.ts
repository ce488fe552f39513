import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectEtcd } from '@cloudless/kube/etcd/client/client';
import { etcdCompliance, type StoreUnderTest } from '@cloudless/kube/etcd/compliance';
import { logger } from '@cloudless/kube/logger';
import { selfSigned } from '@cloudless/kube/testing/certificate';
import { openDatastore } from '../index.ts';
import { openMemoryDatastore } from '../memory.ts';
import { serveDatastore } from './serve.ts';

const log = logger('serve-test').child({}, { level: 'silent' });
const newFolder = (): string => mkdtempSync(join(tmpdir(), 'datastore-serve-'));

etcdCompliance('the engine over gRPC', async (): Promise<StoreUnderTest> => {
  const folder = newFolder();
  const engine = await openDatastore({ path: join(folder, 'state.db'), log });
  const server = await serveDatastore({ store: engine, listen: { host: '127.0.0.1', port: 0 }, log });
  const store = await connectEtcd({ endpoints: [server.url], log });
  return {
    store,
    async stop() {
      await store.close();
      await server.stop();
      await engine.close();
      rmSync(folder, { recursive: true });
    },
  };
});

etcdCompliance('the engine over gRPC with TLS and client certificates', async () => {
  const folder = newFolder();
  const { cert, key } = await selfSigned();
  const certFile = join(folder, 'cert.pem');
  const keyFile = join(folder, 'key.pem');
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key);
  const engine = await openMemoryDatastore({ log });
  const server = await serveDatastore({
    store: engine,
    listen: { host: '127.0.0.1', port: 0 },
    tls: { certFile, keyFile, trustedCaFile: certFile },
    log,
  });
  const store = await connectEtcd({ endpoints: [server.url], ca: cert, cert, key, log });
  return {
    store,
    async stop() {
      await store.close();
      await server.stop();
      await engine.close();
      rmSync(folder, { recursive: true });
    },
  };
});

etcdCompliance('the engine over gRPC on a unix socket', async () => {
  const folder = newFolder();
  const engine = await openMemoryDatastore({ log });
  const server = await serveDatastore({
    store: engine,
    listen: { path: join(folder, 'datastore.sock') },
    log,
  });
  const store = await connectEtcd({ endpoints: [server.url], log });
  return {
    store,
    async stop() {
      await store.close();
      await server.stop();
      await engine.close();
      rmSync(folder, { recursive: true });
    },
  };
});
