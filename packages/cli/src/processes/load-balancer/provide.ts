import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { startInformer } from '@cloudless/kube/informer/informer';
import type { Logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { installDefinitions } from '@cloudless/loadbalancer/config/definitions';
import { metallb } from '@cloudless/loadbalancer/config/kinds';
import { ensureMemberlistSecret } from '@cloudless/loadbalancer/gossip/secret';
import { type RoleGrant, applyRoleGrant } from '../role-grants.ts';
import { untilDone } from '../until-done.ts';
import { loadBalancerNamespace, speakersGroup } from './names.ts';

export interface ProvideOptions {
  /** The API server's own. */
  client: KubeClient;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}

/**
 * What the load balancer needs of the cluster: its namespace and definitions at once, so that MetalLB's manifests can be
 * applied as they stand, and with the first IPAddressPool the speakers' key and rights in the namespace. Tried again
 * until `signal` aborts.
 */
export async function provideLoadBalancer(options: ProvideOptions): Promise<void> {
  const { client, clock, log, signal } = options;
  await untilDone(options, `the load balancer's namespace ${loadBalancerNamespace}`, () =>
    ensureNamespace(client, signal),
  );
  await untilDone(options, 'the definitions of metallb.io', async () => {
    const { foreign } = await installDefinitions(client, { signal, clock });
    if (foreign.length > 0)
      log.info({ definitions: foreign }, "left as somebody else's manifests brought them");
  });
  if (signal.aborted) return;
  const pools = startInformer({ client, resource: metallb.ipAddressPools, signal, clock, log });
  await new Promise<void>((resolve) => {
    pools.addHandler({ add: () => resolve() });
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await pools.stop();
  await untilDone(options, "the speakers' key and rights", () => provideForSpeakers(client, signal));
}

/** Rights inside the namespace; those in the whole cluster are among the API server's own roles. */
const grants: readonly RoleGrant[] = [
  {
    name: 'cloudless:speaker',
    namespace: loadBalancerNamespace,
    rules: [
      { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'list', 'watch'] },
      {
        apiGroups: ['metallb.io'],
        resources: [
          'servicel2statuses',
          'servicel2statuses/status',
          'servicebgpstatuses',
          'servicebgpstatuses/status',
          'configurationstates',
          'configurationstates/status',
        ],
        verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
      },
    ],
    subject: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: speakersGroup },
  },
  {
    name: 'cloudless:loadbalancer-controller',
    namespace: loadBalancerNamespace,
    rules: [
      { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'list', 'watch'] },
      {
        apiGroups: ['metallb.io'],
        resources: ['configurationstates', 'configurationstates/status'],
        verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
      },
    ],
    subject: { kind: 'ServiceAccount', name: 'loadbalancer-controller', namespace: 'kube-system' },
  },
];

const manager = { fieldManager: 'cloudless-loadbalancer', force: true };

async function ensureNamespace(client: KubeClient, signal: AbortSignal): Promise<void> {
  const name = loadBalancerNamespace;
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
  await client.patch(core.namespaces, name, 'apply', namespace, { ...manager, signal });
}

async function provideForSpeakers(client: KubeClient, signal: AbortSignal): Promise<void> {
  for (const grant of grants) {
    // oxlint-disable-next-line no-await-in-loop -- two
    await applyRoleGrant(client, grant, { fieldManager: manager.fieldManager, signal });
  }
  await ensureMemberlistSecret({ client, namespace: loadBalancerNamespace, signal });
}
