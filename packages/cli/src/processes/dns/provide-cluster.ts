import { chownSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KubeClient } from '@cloudless/kube/client/client';
import { logger } from '@cloudless/kube/logger';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { core, discovery } from '@cloudless/kube/resources';
import { isAlreadyExists, isNotFound } from '@cloudless/kube/status';
import type { Service } from '@cloudless/kube/types/core-v1';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import type { TokenRequest } from '@cloudless/kube/types/authentication-v1';
import { type ClusterConfig, contextOf } from '../../cluster-config.ts';
import { dnsAccountName as account } from './names.ts';
import { dnsUid } from './user.ts';

const log = logger('cluster-dns');
const namespace = 'kube-system';
const tokenSeconds = 3600;

/** Creates the object, or brings an existing one to it; `same` tells whether that is needed. */
async function ensure<T extends KubeObject>(
  client: KubeClient,
  resource: Resource<T>,
  wanted: T,
  same: (current: T) => boolean,
): Promise<void> {
  try {
    const current = await client.get(resource, wanted.metadata.name as string, { namespace });
    if (same(current)) return;
    await client.update(resource, {
      ...wanted,
      metadata: { ...wanted.metadata, resourceVersion: current.metadata.resourceVersion },
    });
  } catch (error) {
    if (!isNotFound(error)) throw error;
    await client.create(resource, wanted).catch((failure: unknown) => {
      if (!isAlreadyExists(failure)) throw failure;
    });
  }
}

/**
 * The conventional Service `kube-dns` in front of the dns process, and its EndpointSlice. The Service has no selector:
 * the process is no pod.
 */
async function ensureDnsService(client: KubeClient, config: ClusterConfig): Promise<void> {
  const ports = [
    { name: 'dns', protocol: 'UDP', port: 53 },
    { name: 'dns-tcp', protocol: 'TCP', port: 53 },
  ];
  const service: Service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: 'kube-dns',
      namespace,
      labels: {
        'k8s-app': 'kube-dns',
        'kubernetes.io/cluster-service': 'true',
        'kubernetes.io/name': 'CoreDNS',
      },
    },
    spec: { clusterIP: config.dnsIp, ports },
  };
  const slice: EndpointSlice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: 'kube-dns-cloudless',
      namespace,
      labels: {
        'kubernetes.io/service-name': 'kube-dns',
        'endpointslice.kubernetes.io/managed-by': 'cloudless',
      },
    },
    addressType: 'IPv4',
    ports: ports.map(({ name, protocol }) => ({ name, protocol, port: config.ports.dns })),
    endpoints: [
      {
        addresses: [config.nodeIp],
        nodeName: config.nodeName,
        conditions: { ready: true, serving: true, terminating: false },
      },
    ],
  };
  await ensure(client, core.services, service, () => true);
  await ensure(
    client,
    discovery.endpointslices,
    slice,
    (current) =>
      JSON.stringify([current.ports?.map((port) => port.port), current.endpoints?.[0]?.addresses]) ===
      JSON.stringify([slice.ports?.map((port) => port.port), slice.endpoints?.[0]?.addresses]),
  );
  await ensure(
    client,
    core.serviceaccounts,
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: account, namespace } },
    () => true,
  );
}

/**
 * Everything the dns process needs of the API: its Service, and a token of its own service account where only it can
 * read it, renewed at half its life until `signal` aborts. `ca` is the CA of the API server's certificate.
 */
export async function provideClusterDns(options: {
  client: KubeClient;
  config: ClusterConfig;
  ca: string;
  signal: AbortSignal;
}): Promise<void> {
  const { client, config, signal } = options;
  await ensureDnsService(client, config);
  const context = contextOf(config);
  const folder = context.paths.dns;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (process.getuid?.() === 0) chownSync(folder, dnsUid, dnsUid);
  const place = (name: string, text: string): void => {
    const path = join(folder, name);
    writeFileSync(`${path}.tmp`, text, { mode: 0o600 });
    if (process.getuid?.() === 0) chownSync(`${path}.tmp`, dnsUid, dnsUid);
    renameSync(`${path}.tmp`, path);
  };
  const renew = async (): Promise<void> => place('token', await newToken(client));
  await renew();
  place('ca.crt', options.ca);
  place('kubeconfig', kubeconfigText(context.ports.apiserver));
  const timer = setInterval(
    () =>
      void renew().catch((error: unknown) =>
        log.warn({ err: String(error) }, 'could not renew the dns token'),
      ),
    (tokenSeconds / 2) * 1000,
  );
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
}

async function newToken(client: KubeClient): Promise<string> {
  const request: TokenRequest = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    metadata: {},
    spec: { audiences: [], expirationSeconds: tokenSeconds },
  };
  const answer = await client.createSubresource<TokenRequest, TokenRequest>(
    core.serviceaccounts,
    account,
    'token',
    request,
    { namespace },
  );
  if (!answer.status?.token) throw new Error(`the API gave no token for ${namespace}/${account}`);
  return answer.status.token;
}

/** Its references are relative: the process reads them from its working folder, without root. */
function kubeconfigText(port: number): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'cloudless',
        cluster: { server: `https://127.0.0.1:${port}`, 'certificate-authority': 'ca.crt' },
      },
    ],
    users: [{ name: account, user: { tokenFile: 'token' } }],
    contexts: [{ name: 'dns', context: { cluster: 'cloudless', user: account } }],
    'current-context': 'dns',
  });
}
