import type { KubeClient } from '@cloudless/kube/client/client';
import { type Informer, startInformer } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { core, discovery } from '@cloudless/kube/resources';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import type { Pod } from '@cloudless/kube/types/core-v1';
import type { ClusterState } from './kubernetes.ts';
import type { Networks } from './networks.ts';
import { canonicalAddress, ServiceIndex } from './service-index.ts';

const serviceNameLabel = 'kubernetes.io/service-name';

export interface ClusterWatch extends Running {
  readonly state: ClusterState;
  readonly synced: Promise<void>;
  readonly hasSynced: boolean;
  /** Pods are watched from now on: they are looked for by `pods verified` alone. Resolves when they are known. */
  watchPods(): Promise<void>;
}

/** Keeps what DNS needs of the cluster in memory. With the API away it stays as it was. */
export function watchCluster(options: {
  client: KubeClient;
  log: Logger;
  networks: Networks;
  clusterIp: string;
}): ClusterWatch {
  const { client, log } = options;
  const index = new ServiceIndex();
  const services = startInformer({ client, resource: core.services, log });
  const slices = startInformer({
    client,
    resource: discovery.endpointslices,
    indexers: { service: (slice) => [ownerOf(slice) ?? ''] },
    log,
  });
  const namespaces = startInformer({ client, resource: core.namespaces, log });
  let pods: Informer<Pod> | undefined;
  const update = (key: string | undefined): void => {
    if (key === undefined) return;
    const [namespace, name] = key.split('/') as [string, string];
    const service = services.store.get(key);
    index.set(namespace, name, service, service ? slices.store.byIndex('service', key) : []);
  };
  services.addHandler({
    add: (service) => update(keyOf(service)),
    update: (service) => update(keyOf(service)),
    delete: (service) => update(keyOf(service)),
  });
  slices.addHandler({
    add: (slice) => update(ownerOf(slice)),
    update(slice, old) {
      if (ownerOf(old) !== ownerOf(slice)) update(ownerOf(old));
      update(ownerOf(slice));
    },
    delete: (slice) => update(ownerOf(slice)),
  });
  const parts = [services, slices, namespaces];
  const synced = Promise.all(parts.map((part) => part.synced)).then(() => undefined);
  synced.catch(() => {});
  return {
    synced,
    get hasSynced() {
      return parts.every((part) => part.hasSynced) && pods?.hasSynced !== false;
    },
    async watchPods() {
      pods ??= startInformer({ client, resource: core.pods, indexers: { address: podAddresses }, log });
      await pods.synced;
    },
    state: {
      services: index,
      namespaceLabels(name) {
        const namespace = namespaces.store.get(name);
        return namespace && (namespace.metadata.labels ?? {});
      },
      hasPod: (namespace, ip) => (pods?.store.byIndex('address', `${namespace} ${ip}`).length ?? 0) > 0,
      networks: options.networks,
      clusterIp: options.clusterIp,
    },
    ...running(async () => {
      await Promise.all([...parts, ...(pods ? [pods] : [])].map((part) => part.stop()));
    }),
  };
}

function ownerOf(slice: EndpointSlice): string | undefined {
  const name = slice.metadata.labels?.[serviceNameLabel];
  return name === undefined ? undefined : `${slice.metadata.namespace}/${name}`;
}

const keyOf = (object: { metadata: { namespace?: string; name?: string } }): string =>
  `${object.metadata.namespace}/${object.metadata.name}`;

/** Of pods that have ended the addresses may be somebody else's already. */
function podAddresses(pod: Pod): string[] {
  const { phase, podIPs, podIP } = pod.status ?? {};
  if (phase === 'Succeeded' || phase === 'Failed') return [];
  const ips = podIPs?.map(({ ip }) => ip) ?? [podIP];
  return ips.flatMap((ip) => (ip ? [`${pod.metadata.namespace} ${canonicalAddress(ip)}`] : []));
}
