import type { KubeClient } from '@cloudless/kube/client/client';
import { startInformer } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { core, discovery } from '@cloudless/kube/resources';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import type { ClusterRecords } from './records.ts';

const serviceNameLabel = 'kubernetes.io/service-name';

export interface RecordsWatch extends Running {
  readonly synced: Promise<void>;
  readonly hasSynced: boolean;
}

/** Keeps `records` equal to the cluster's Services and EndpointSlices. With the API away they stay as they were. */
export function watchRecords(client: KubeClient, records: ClusterRecords, log: Logger): RecordsWatch {
  const services = startInformer({ client, resource: core.services, log });
  const ownerOf = (slice: EndpointSlice): string | undefined => {
    const name = slice.metadata.labels?.[serviceNameLabel];
    return name === undefined ? undefined : `${slice.metadata.namespace}/${name}`;
  };
  const slices = startInformer({
    client,
    resource: discovery.endpointslices,
    indexers: { service: (slice) => [ownerOf(slice) ?? ''] },
    log,
  });
  const update = (key: string | undefined): void => {
    if (key === undefined) return;
    const [namespace, name] = key.split('/') as [string, string];
    const service = services.store.get(key);
    // Only headless Services have records of their endpoints.
    const endpoints = service?.spec?.clusterIP === 'None' ? slices.store.byIndex('service', key) : [];
    records.set(namespace, name, service, endpoints);
  };
  const keyOf = (object: { metadata: { namespace?: string; name?: string } }): string =>
    `${object.metadata.namespace}/${object.metadata.name}`;
  services.addHandler({
    add: (service) => update(keyOf(service)),
    update: (service) => update(keyOf(service)),
    delete: (service) => update(keyOf(service)),
  });
  const ofHeadless = (slice: EndpointSlice): void => {
    const key = ownerOf(slice);
    if (key !== undefined && services.store.get(key)?.spec?.clusterIP === 'None') update(key);
  };
  slices.addHandler({
    add: ofHeadless,
    update: (slice, old) => {
      if (ownerOf(old) !== ownerOf(slice)) ofHeadless(old);
      ofHeadless(slice);
    },
    delete: ofHeadless,
  });
  const synced = Promise.all([services.synced, slices.synced]).then(() => undefined);
  synced.catch(() => {});
  return {
    synced,
    get hasSynced() {
      return services.hasSynced && slices.hasSynced;
    },
    ...running(async () => {
      await Promise.all([services.stop(), slices.stop()]);
    }),
  };
}
