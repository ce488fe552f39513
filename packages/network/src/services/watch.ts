import type { KubeClient } from '@cloudless/kube/client/client';
import { type Informer, startInformer } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { core, discovery } from '@cloudless/kube/resources';
import type { Service } from '@cloudless/kube/types/core-v1';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import { runProgram } from '../iproute.ts';
import type { NftTable } from '../nft/table.ts';
import { frontendsOf } from './model.ts';
import { ServiceProgram, type StaleFlow } from './program.ts';

const serviceNameLabel = 'kubernetes.io/service-name';

export interface ServiceWatch extends Running {
  /** Resolves when every Service known at the start has been read. */
  readonly synced: Promise<void>;
  /** Call once, when the table has been built from `program.content()`: from then on changes go into the kernel. */
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
  table: NftTable;
  /** Builds the whole table anew. */
  rebuild(): void;
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
  const dirty = new Set<string>();
  let scheduled: NodeJS.Immediate | undefined;
  let live = false;

  const flush = (): void => {
    scheduled = undefined;
    const scripts: string[] = [];
    const staleFlows: StaleFlow[] = [];
    let rebuild = false;
    for (const key of dirty) {
      const service = services.store.get(key);
      const frontends = service ? frontendsOf(service, slices.store.byIndex('service', key), options.nodeName) : [];
      const change = program.set(key, frontends);
      if (change.script !== '') scripts.push(change.script);
      staleFlows.push(...change.staleFlows);
      rebuild ||= change.rebuild;
    }
    dirty.clear();
    if (!live) return;
    try {
      if (rebuild) options.rebuild();
      else if (scripts.length > 0) table.change('services', scripts.join('\n'));
    } catch (error) {
      // Someone changed the table behind our back: what the program says is what must be.
      log.warn({ err: String(error) }, 'the service table was not as it was left; building it anew');
      options.rebuild();
    }
    for (const flow of staleFlows) void forget(flow, log);
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
    goLive: () => void (live = true),
    ...running(async () => {
      clearImmediate(scheduled);
      await Promise.all([services.stop(), slices.stop()]);
    }),
  };
}

/** Ends the kernel's memory of UDP flows that lead where nothing is. */
async function forget(flow: StaleFlow, log: Logger): Promise<void> {
  const args = ['-D', '-p', 'udp', '--orig-dst', flow.ip, '--orig-port-dst', String(flow.port)];
  if (flow.endpoint) args.push('--reply-src', flow.endpoint.ip);
  try {
    await runProgram('conntrack', args);
  } catch (error) {
    // conntrack ends with 1 when no flow matched.
    log.debug({ err: String(error) }, 'no stale UDP flow');
  }
}
