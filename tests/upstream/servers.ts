import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '@cloudless/kube/testing/free-port';
import { startDefaultApiServer } from '../../packages/apiserver/src/server/default.ts';
import { MemoryStore } from '../../packages/apiserver/src/testing/memory-store.ts';
import { makePki, type TestPki } from '../../packages/apiserver/src/testing/test-server.ts';
import { systemClock } from '../../packages/kube/src/clock.ts';
import { logger } from '../../packages/kube/src/logger.ts';
import { Peer } from './peer.ts';

const issuer = 'https://kubernetes.default.svc.cluster.local';
const serviceCidr = '10.96.0.0/16';
const advertiseAddress = '192.0.2.1';
/** What both servers have switched off: needs a controller that gives its finalizers back. */
const withoutPlugins = 'StorageObjectInUseProtection';

export interface Servers extends AsyncDisposable {
  readonly upstream: Peer;
  readonly ours: Peer;
  /** `v1.36.3`, as the upstream server names itself. */
  readonly upstreamVersion: string;
  /** Kubeconfigs of the administrator, for kubectl. */
  readonly kubeconfigs: { readonly upstream: string; readonly ours: string };
}

export function startProcess(command: string, args: readonly string[], log: string): ChildProcess {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const file = createWriteStream(log);
  child.stdout?.pipe(file, { end: false });
  child.stderr?.pipe(file, { end: false });
  child.once('close', () => file.end());
  child.once('error', () => undefined);
  return child;
}

export async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const gone = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGKILL');
  await gone;
}

/** Asks until the answer is 200; throws when the process ended or a minute has passed. */
async function waitReady(peer: Peer, child: ChildProcess, log: string): Promise<void> {
  const end = Date.now() + 120_000;
  while (Date.now() < end) {
    if (child.exitCode !== null || child.pid === undefined) break;
    const status = await peer.send({ method: 'GET', path: '/readyz' }).then(
      (answer) => answer.status,
      () => 0,
    );
    if (status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`the upstream server did not get ready; its words are in ${log}`);
}

export interface Common {
  folder: string;
  pki: TestPki;
  serviceAccountKey: string;
  runtimeConfig: Readonly<Record<string, boolean>>;
}

async function startUpstream(common: Common, kubeApiserver: string, etcd: string) {
  const { folder } = common;
  const at = (name: string): string => join(folder, name);
  const [clientPort, peerPort] = [await freePort(), await freePort()];
  const etcdUrl = `http://127.0.0.1:${clientPort}`;
  const store = startProcess(
    etcd,
    [
      `--data-dir=${at('etcd')}`,
      `--listen-client-urls=${etcdUrl}`,
      `--advertise-client-urls=${etcdUrl}`,
      `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
      '--unsafe-no-fsync',
    ],
    at('etcd.log'),
  );
  try {
    const server = await startKubeApiserver(common, kubeApiserver, [`--etcd-servers=${etcdUrl}`]);
    const stop = async (): Promise<void> => {
      await server.stop();
      await stopProcess(store);
    };
    return { peer: server.peer, stop };
  } catch (error) {
    await stopProcess(store);
    throw error;
  }
}

/** Upstream's server over the etcd that these flags name; resolves when it is ready. */
export async function startKubeApiserver(
  common: Common,
  kubeApiserver: string,
  etcdFlags: readonly string[],
): Promise<{ peer: Peer; stop: () => Promise<void> }> {
  const { folder, pki } = common;
  const at = (name: string): string => join(folder, name);
  const port = await freePort();
  writeFileSync(at('sa.key'), common.serviceAccountKey);
  const config = Object.entries(common.runtimeConfig).map(([name, on]) => `${name}=${on}`);
  const server = startProcess(
    kubeApiserver,
    [
      ...etcdFlags,
      `--secure-port=${port}`,
      '--bind-address=127.0.0.1',
      `--advertise-address=${advertiseAddress}`,
      `--tls-cert-file=${join(pki.folder, 'server.crt')}`,
      `--tls-private-key-file=${join(pki.folder, 'server.key')}`,
      `--client-ca-file=${join(pki.folder, 'ca.crt')}`,
      `--service-account-issuer=${issuer}`,
      `--service-account-key-file=${at('sa.key')}`,
      `--service-account-signing-key-file=${at('sa.key')}`,
      `--service-cluster-ip-range=${serviceCidr}`,
      '--authorization-mode=Node,RBAC',
      '--enable-admission-plugins=NodeRestriction',
      `--disable-admission-plugins=${withoutPlugins}`,
      '--allow-privileged=true',
      ...(config.length > 0 ? [`--runtime-config=${config.join(',')}`] : []),
    ],
    at('kube-apiserver.log'),
  );
  const peer = new Peer('upstream', `https://127.0.0.1:${port}`, { ca: pki.ca, ...pki.admin });
  const stop = async (): Promise<void> => {
    peer[Symbol.dispose]();
    await stopProcess(server);
  };
  try {
    await waitReady(peer, server, at('kube-apiserver.log'));
  } catch (error) {
    await stop();
    throw error;
  }
  return { peer, stop };
}

/** A kubeconfig of the administrator for kubectl; its path. */
export function writeKubeconfig(folder: string, pki: TestPki, { name, url }: Peer): string {
  const path = join(folder, `${name}.conf`);
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const cluster = { server: url, 'certificate-authority-data': base64(pki.ca) };
  const user = {
    'client-certificate-data': base64(pki.admin.cert),
    'client-key-data': base64(pki.admin.key),
  };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  };
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}

async function startOurs({ pki, serviceAccountKey, runtimeConfig }: Common) {
  const port = await freePort();
  const server = await startDefaultApiServer({
    store: new MemoryStore(),
    listen: { host: '127.0.0.1', port },
    tls: { cert: () => pki.server.cert, key: () => pki.server.key, clientCa: () => pki.ca },
    serviceAccountKey,
    serviceAccountIssuer: issuer,
    kubeletClient: { cert: pki.admin.cert, key: pki.admin.key, ca: pki.ca },
    advertiseAddress,
    serviceCidrs: [serviceCidr],
    runtimeConfig,
    version: { gitVersion: 'v1.36.3' },
    log: logger('apiserver'),
    clock: systemClock,
  });
  await server.ready;
  const peer = new Peer('ours', `https://127.0.0.1:${port}`, { ca: pki.ca, ...pki.admin });
  return {
    peer,
    stop: async (): Promise<void> => {
      peer[Symbol.dispose]();
      await server.stop();
    },
  };
}

/**
 * Starts upstream's kube-apiserver over an etcd and ours over a store in memory, with the same certificates, keys,
 * addresses, authorization and admission, and no controllers. Logs go to `folder`. Throws when a program is missing.
 */
export async function startServers(options: {
  kubeApiserver: string;
  etcd: string;
  folder: string;
  runtimeConfig: Readonly<Record<string, boolean>>;
}): Promise<Servers> {
  mkdirSync(options.folder, { recursive: true });
  const version = execFileSync(options.kubeApiserver, ['--version'], { encoding: 'utf8' });
  const pki = makePki();
  const serviceAccountKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
    type: 'pkcs1',
    format: 'pem',
  });
  const common = { folder: options.folder, pki, serviceAccountKey, runtimeConfig: options.runtimeConfig };
  const upstream = await startUpstream(common, options.kubeApiserver, options.etcd);
  const ours = await startOurs(common);
  const kubeconfig = (peer: Peer): string => writeKubeconfig(options.folder, pki, peer);
  return {
    upstream: upstream.peer,
    ours: ours.peer,
    kubeconfigs: { upstream: kubeconfig(upstream.peer), ours: kubeconfig(ours.peer) },
    upstreamVersion: version.trim().split(' ').at(-1) as string,
    async [Symbol.asyncDispose]() {
      await ours.stop();
      await upstream.stop();
      pki.remove();
    },
  };
}
