import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { X509Certificate } from 'node:crypto';
import { systemClock } from '@cloudless/kube/clock';
import type { EtcdStore } from '@cloudless/kube/etcd/store';
import { logger } from '@cloudless/kube/logger';
import type { Authenticator } from '../authn/authenticator.ts';
import { startApiServer } from '../server/start.ts';
import type { ApiServer, ApiServerOptions } from '../server/options.ts';
import { strategies } from '../registry/strategies/index.ts';
import { MemoryStore } from './memory-store.ts';

/** Certificates of one test run, made by openssl: a CA, a server for 127.0.0.1, an administrator. */
export interface TestPki {
  folder: string;
  ca: string;
  server: { cert: string; key: string };
  admin: { cert: string; key: string };
  /** One more certificate of the CA; `extension` in openssl's words, such as `subjectAltName=DNS:x`. */
  issue(name: string, subject: string, extension: string): { cert: string; key: string };
  remove(): void;
}

export function makePki(): TestPki {
  const folder = mkdtempSync(join(tmpdir(), 'cloudless-apiserver-'));
  const at = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: 'pipe' });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...newKey,
    '-keyout',
    at('ca.key'),
    '-out',
    at('ca.crt'),
    '-days',
    '2',
    '-subj',
    '/CN=test-ca',
  );
  const issue = (name: string, subject: string, extension: string): { cert: string; key: string } => {
    writeFileSync(at(`${name}.ext`), extension);
    openssl('req', ...newKey, '-keyout', at(`${name}.key`), '-out', at(`${name}.csr`), '-subj', subject);
    const ca = ['-CA', at('ca.crt'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '1'];
    openssl(
      'x509',
      '-req',
      '-in',
      at(`${name}.csr`),
      ...ca,
      '-out',
      at(`${name}.crt`),
      '-extfile',
      at(`${name}.ext`),
    );
    return { cert: readFileSync(at(`${name}.crt`), 'utf8'), key: readFileSync(at(`${name}.key`), 'utf8') };
  };
  return {
    folder,
    server: issue('server', '/CN=server', 'subjectAltName=IP:127.0.0.1,DNS:localhost'),
    admin: issue('admin', '/O=system:masters/CN=admin', 'extendedKeyUsage=clientAuth'),
    ca: readFileSync(at('ca.crt'), 'utf8'),
    issue,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Reads CN and O of a verified certificate; enough for tests. */
export const certificateNames: Authenticator = {
  authenticate({ peerCertificate, peerVerified }) {
    if (!peerCertificate || !peerVerified) return undefined;
    const subject = new X509Certificate(peerCertificate).subject
      .split('\n')
      .map((line) => line.split('=', 2));
    const all = (name: string): string[] =>
      subject.filter(([key]) => key === name).map(([, value]) => value ?? '');
    return { user: { name: all('CN')[0] ?? '', groups: all('O') } };
  },
};

export interface TestServer extends AsyncDisposable {
  server: ApiServer;
  store: EtcdStore;
  pki: TestPki;
  url: string;
  /** Path of a kubeconfig of the administrator. */
  kubeconfig: string;
}

/** An API server on a free port of loopback, without policy: whoever has a certificate may do everything. */
export async function startTestServer(options: Partial<ApiServerOptions> = {}): Promise<TestServer> {
  const pki = makePki();
  const store = options.store ?? new MemoryStore();
  const server = await startApiServer({
    store,
    listen: { host: '127.0.0.1', port: 0 },
    tls: { cert: () => pki.server.cert, key: () => pki.server.key, clientCa: () => pki.ca },
    authenticators: () => [certificateNames],
    authorizer: () => ({
      authorizer: {
        authorize: ({ user }) => ({
          verdict: user.groups.includes('system:unauthenticated') ? 'no-opinion' : 'allow',
          reason: '',
        }),
      },
      ready: Promise.resolve(),
    }),
    admission: () => [],
    strategies,
    declarations: [],
    endpoints: () => [],
    streams: {
      respond: () => Promise.reject(new Error('no kubelet in this test')),
      upgrade: () => Promise.reject(new Error('no kubelet in this test')),
    },
    version: { gitVersion: 'v1.36.0+cloudless-test' },
    log: logger('apiserver'),
    clock: systemClock,
    ...options,
  });
  const url = `https://127.0.0.1:${server.address.port}`;
  const kubeconfig = join(pki.folder, 'kubeconfig');
  writeFileSync(kubeconfig, kubeconfigText(pki, url));
  return {
    server,
    store,
    pki,
    url,
    kubeconfig,
    async [Symbol.asyncDispose]() {
      await server.stop();
      pki.remove();
    },
  };
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

const kubeconfigText = (pki: TestPki, server: string): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority-data': base64(pki.ca) } }],
    users: [
      {
        name: 'admin',
        user: {
          'client-certificate-data': base64(pki.admin.cert),
          'client-key-data': base64(pki.admin.key),
        },
      },
    ],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
    'current-context': 'test',
  });
