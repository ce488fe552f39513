import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { etcdCompliance } from '@cloudless/kube/etcd/compliance';
import { logger } from '@cloudless/kube/logger';
import { selfSigned } from '@cloudless/kube/testing/certificate';
import { openDatastore } from '../index.ts';
import { openMemoryDatastore } from '../memory.ts';
import { servedStore } from './testing/served-store.ts';

const log = logger('serve-test').child({}, { level: 'silent' });
const folder = mkdtempSync(join(tmpdir(), 'datastore-serve-'));
after(() => rmSync(folder, { recursive: true }));
let count = 0;
const newPath = (name: string): string => join(folder, `${count++}-${name}`);

etcdCompliance('the engine over gRPC', async () =>
  servedStore(await openDatastore({ path: newPath('state.db'), log })),
);

etcdCompliance('the engine over gRPC with TLS and client certificates', async () => {
  const { cert, key } = await selfSigned();
  const [certFile, keyFile] = [newPath('cert.pem'), newPath('key.pem')];
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key);
  const tls = { certFile, keyFile, trustedCaFile: certFile };
  return servedStore(await openMemoryDatastore({ log }), { tls }, { ca: cert, cert, key });
});

etcdCompliance('the engine over gRPC on a unix socket', async () =>
  servedStore(await openMemoryDatastore({ log }), { listen: { path: newPath('datastore.sock') } }),
);
