import type { KubeClient } from '@cloudless/kube/client/client';
import { type Informer, startInformer } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { core, discovery } from '@cloudless/kube/resources';
import type { Service } from '@cloudless/kube/types/core-v1';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import type { TableKeeper } from '../nft/keeper.ts';
import { FlowCleaner } from './conntrack.ts';
import { frontendsOf } from './model.ts';
import type { ServiceProgram, StaleFlow } from './program.ts';

const serviceNameLabel = 'kubernetes.io/service-name';

export interface ServiceWatch extends Running {
  /** Resolves when every Service known at the start is in the program. */
  readonly synced: Promise<void>;
  /** Builds the table from the program; from then on changes go into the kernel as they come. */
  goLive(): void;
}

/** `namespace/service` of a slice; undefined for slices that belong to no Service. */
function ownerOf(slice: EndpointSlice): string | undefined {
  const name = slice.metadata.labels?.[serviceNameLabel];
  return name === undefined ? undefined : `${slice.metadata.namespace}/${name}`;
}

/**
 * Keeps `program`, and through it the kernel, equal to the cluster's Services. Changes that arrive together become
 * one nft transaction.
 */
export function watchServices(options: {
  client: KubeClient;
  nodeName: string;
  program: ServiceProgram;
  table: Pick<TableKeeper, 'change' | 'rebuild'>;
  log: Logger;
}): ServiceWatch {
  const { client, program, table, log } = options;
  const services: Informer<Service> = startInformer({ client, resource: core.services, log });
  const slices: Informer<EndpointSlice> = startInformer({
    client,
    resource: discovery.endpointslices,
    indexers: { service: (slice) => [ownerOf(slice) ?? ''] },
    log,
  });
  const flows = new FlowCleaner(log);
  const dirty = new Set<string>();
  let scheduled: NodeJS.Immediate | undefined;
  let live = false;
  let cleaning: Promise<void> = Promise.resolve();

  const flush = (): void => {
    scheduled = undefined;
    const scripts: string[] = [];
    const staleFlows: StaleFlow[] = [];
    let rebuild = false;
    for (const key of dirty) {
      const service = services.store.get(key);
      const own = service ? slices.store.byIndex('service', key) : [];
      const change = program.set(key, service ? frontendsOf(service, own, options.nodeName) : []);
      if (change.script !== '') scripts.push(change.script);
      staleFlows.push(...change.staleFlows);
      rebuild ||= change.rebuild;
    }
    dirty.clear();
    if (!live) return;
    if (rebuild) table.rebuild();
    else if (scripts.length > 0) table.change('services', scripts.join('\n'));
    if (staleFlows.length > 0) cleaning = flows.forget(staleFlows);
  };
  const touch = (key: string | undefined): void => {
    if (key === undefined) return;
    dirty.add(key);
    scheduled ??= setImmediate(flush);
  };
  const keyOfService = (service: Service): string => `${service.metadata.namespace}/${service.metadata.name}`;
  services.addHandler({
    add: (service) => touch(keyOfService(service)),
    update: (service) => touch(keyOfService(service)),
    delete: (service) => touch(keyOfService(service)),
  });
  slices.addHandler({
    add: (slice) => touch(ownerOf(slice)),
    update: (slice, old) => {
      touch(ownerOf(old));
      touch(ownerOf(slice));
    },
    delete: (slice) => touch(ownerOf(slice)),
  });
  return {
    synced: Promise.all([services.synced, slices.synced]).then(flush),
    goLive() {
      flush();
      live = true;
      table.rebuild();
      cleaning = flows.reconcile(program.frontends());
    },
    ...running(async () => {
      await Promise.all([services.stop(), slices.stop()]);
      clearImmediate(scheduled);
      await cleaning;
    }),
  };
}
