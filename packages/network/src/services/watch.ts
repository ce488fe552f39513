import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import type { EventRecorder } from '@cloudless/kube/events/recorder';
import { type Informer, startInformer } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { core, discovery } from '@cloudless/kube/resources';
import type { Service } from '@cloudless/kube/types/core-v1';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import type { TableKeeper } from '../nft/keeper.ts';
import { forgetClients } from './affinity.ts';
import { FlowCleaner } from './conntrack.ts';
import { startHealthChecks } from './health-check.ts';
import { frontendsOf, healthCheckOf, type NodeView, servedAddressesOf } from './model.ts';
import type { ServiceChange, ServiceProgram, StaleFlow } from './program.ts';

const serviceNameLabel = 'kubernetes.io/service-name';

export interface ServiceWatch extends Running {
  /** Resolves when every Service known at the start is in the program. */
  readonly synced: Promise<void>;
  /** Builds the table from the program; from then on changes go into the kernel as they come. */
  goLive(): void;
  /** Tells which addresses are nodes' now. */
  setNode(node: NodeView): void;
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
  node: NodeView;
  program: ServiceProgram;
  table: Pick<TableKeeper, 'attempt' | 'change' | 'healthy' | 'listMap' | 'rebuild'>;
  recorder: Pick<EventRecorder, 'event'>;
  clock: Clock;
  log: Logger;
}): ServiceWatch {
  const { client, program, table, log } = options;
  let { node } = options;
  const services: Informer<Service> = startInformer({ client, resource: core.services, log });
  const slices: Informer<EndpointSlice> = startInformer({
    client,
    resource: discovery.endpointslices,
    indexers: { service: (slice) => [ownerOf(slice) ?? ''] },
    log,
  });
  const flows = new FlowCleaner(log);
  const healthChecks = startHealthChecks({
    addresses: node.addresses,
    isHealthy: () => table.healthy,
    clock: options.clock,
    log,
    onFailure(owner, message) {
      log.error(
        { service: owner, err: message },
        'a health check port could not be opened; it is tried again',
      );
      const service = services.store.get(owner);
      if (service)
        options.recorder.event(
          { apiVersion: 'v1', kind: 'Service', ...service },
          'Warning',
          'FailedToStartServiceHealthcheck',
          `node ${node.name} failed to start healthcheck "${owner}" on ${message}`,
        );
    },
  });
  const dirty = new Set<string>();
  let scheduled: NodeJS.Immediate | undefined;
  let live = false;
  let cleaning: Promise<void> = Promise.resolve();

  const flush = (): void => {
    scheduled = undefined;
    const scripts: string[] = [];
    const staleFlows: StaleFlow[] = [];
    const moved: string[] = [];
    const staleClients: ServiceChange['staleClients'] = new Map();
    let rebuild = false;
    for (const key of dirty) {
      const service = services.store.get(key);
      const own = service ? slices.store.byIndex('service', key) : [];
      const change = service
        ? program.set(key, frontendsOf(service, own, node), servedAddressesOf(service, node))
        : program.set(key, []);
      const script = live ? change.script : '';
      if (script !== '') scripts.push(script);
      staleFlows.push(...change.staleFlows);
      moved.push(...change.movedAddresses);
      for (const [frontend, which] of change.staleClients)
        if (staleClients.get(frontend) !== 'all') staleClients.set(frontend, which);
      rebuild ||= change.rebuild;
      healthChecks.set(key, service && healthCheckOf(service, own, node.name));
    }
    dirty.clear();
    if (!live) return;
    if (rebuild) table.rebuild();
    else if (scripts.length > 0) table.change('services', scripts.join('\n'));
    if (staleClients.size > 0) forgetClients(table, staleClients, program);
    if (staleFlows.length > 0) cleaning = flows.forget(staleFlows);
    if (moved.length > 0) cleaning = flows.forgetEchoes(moved);
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
    setNode(next) {
      node = next;
      healthChecks.listenOn(next.addresses);
      for (const service of services.store.list()) touch(keyOfService(service));
    },
    ...running(async () => {
      await Promise.all([services.stop(), slices.stop()]);
      clearImmediate(scheduled);
      await healthChecks.stop();
      await cleaning;
    }),
  };
}
