import { generateKeyPairSync } from 'node:crypto';
import { freePort } from '@cloudless/kube/testing/free-port';
import type { KubeClient } from '@cloudless/kube/client/client';
import { systemClock } from '@cloudless/kube/clock';
import { logger } from '@cloudless/kube/logger';
import type { UserInfo } from '@cloudless/kube/user';
import { startDefaultApiServer } from '../server/default.ts';
import type { ApiServer } from '../server/options.ts';
import { MemoryStore } from './memory-store.ts';
import { makePki, type TestPki } from './test-server.ts';

export const testIssuer = 'https://kubernetes.default.svc.cluster.local';

export interface DefaultTestServer extends AsyncDisposable {
  server: ApiServer;
  pki: TestPki;
  url: string;
  /** A member of system:masters. */
  admin: KubeClient;
  as(user: UserInfo): KubeClient;
}

/** An API server with the default policy and admission, over a store in memory, its hooks run. */
export async function startDefaultTestServer(): Promise<DefaultTestServer> {
  const pki = makePki();
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const port = await freePort();
  const server = await startDefaultApiServer({
    store: new MemoryStore(),
    listen: { host: '127.0.0.1', port },
    tls: { cert: () => pki.server.cert, key: () => pki.server.key, clientCa: () => pki.ca },
    serviceAccountKey: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    serviceAccountIssuer: testIssuer,
    kubeletClient: { cert: pki.admin.cert, key: pki.admin.key, ca: pki.ca },
    advertiseAddress: '192.0.2.1',
    serviceCidrs: ['10.96.0.0/16'],
    version: { gitVersion: 'v1.36.0+cloudless-test' },
    log: logger('apiserver'),
    clock: systemClock,
  });
  await server.ready;
  return {
    server,
    pki,
    url: `https://127.0.0.1:${port}`,
    admin: server.clientFor({ name: 'admin', groups: ['system:masters', 'system:authenticated'] }),
    as: (user) => server.clientFor(user),
    async [Symbol.asyncDispose]() {
      await server.stop();
      pki.remove();
    },
  };
}
