import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import { core, discovery } from '@cloudless/kube/resources';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import type { ClusterConfig } from '../../cluster-config.ts';
import { applyClusterRoleGrant, applyRoleGrant } from '../role-grants.ts';
import { untilDone } from '../until-done.ts';
import { dnsAccount, externalDnsManager, externalDnsNamespace, externalDnsService } from './names.ts';

export interface ProvideExternalOptions {
  /** The API server's own. */
  client: KubeClient;
  config: ClusterConfig;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}

/**
 * What the authoritative DNS needs of the cluster before anybody asks for it: its namespace, the kind DNSEndpoint, and the
 * dns process's right to see whether there is a configuration. With the first one come its other rights and the
 * endpoint of its Service. Tried again until `signal` aborts.
 */
export async function provideExternalDns(options: ProvideExternalOptions): Promise<void> {
  const { client, signal, clock, log } = options;
  await untilDone(options, `the namespace ${externalDnsNamespace}`, () => ensureNamespace(options));
  await untilDone(options, 'the kind DNSEndpoint', async () => {
    const { installDefinitions } = await import('@cloudless/dns/external/definitions');
    await installDefinitions(client, { signal, clock });
  });
  if (signal.aborted) return;
  const { awaitConfiguration } = await import('@cloudless/dns/external/await-configuration');
  await awaitConfiguration({ client, namespace: externalDnsNamespace, signal, clock, log });
  await untilDone(options, 'the rights and the endpoint of the authoritative DNS', () =>
    provideForServing(options),
  );
}

async function ensureNamespace({ client, signal }: ProvideExternalOptions): Promise<void> {
  const how = { fieldManager: externalDnsManager, signal };
  const name = externalDnsNamespace;
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
  await client.patch(core.namespaces, name, 'apply', namespace, { ...how, force: true });
  await applyRoleGrant(
    client,
    {
      name: 'cloudless:dns-configuration',
      namespace: name,
      rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'list', 'watch'] }],
      subject: dnsAccount,
    },
    how,
  );
}

async function provideForServing({ client, config, signal }: ProvideExternalOptions): Promise<void> {
  const how = { fieldManager: externalDnsManager, signal };
  const { clusterRules, namespaceRules } = await import('@cloudless/dns/external/rbac');
  await applyClusterRoleGrant(
    client,
    { name: 'cloudless:external-dns', rules: clusterRules, subject: dnsAccount },
    how,
  );
  await applyRoleGrant(
    client,
    {
      name: 'cloudless:external-dns',
      namespace: externalDnsNamespace,
      rules: namespaceRules,
      subject: dnsAccount,
    },
    how,
  );
  const slice = endpointSlice(config);
  await client.patch(discovery.endpointslices, slice.metadata.name ?? '', 'apply', slice, {
    ...how,
    namespace: externalDnsNamespace,
    force: true,
  });
}

/** The Service has no selector: the dns process is no pod. */
function endpointSlice(config: ClusterConfig): EndpointSlice {
  const port = config.ports.dnsExternal;
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${externalDnsService}-${config.nodeName}`,
      namespace: externalDnsNamespace,
      labels: {
        'kubernetes.io/service-name': externalDnsService,
        'endpointslice.kubernetes.io/managed-by': 'cloudless',
      },
    },
    addressType: config.nodeIp.includes(':') ? 'IPv6' : 'IPv4',
    ports: [
      { name: 'dns', protocol: 'UDP', port },
      { name: 'dns-tcp', protocol: 'TCP', port },
    ],
    endpoints: [
      {
        addresses: [config.nodeIp],
        nodeName: config.nodeName,
        conditions: { ready: true, serving: true, terminating: false },
      },
    ],
  };
}
