import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import type { EventRecorder } from '@cloudless/kube/events/recorder';
import { type Informer, keyOf } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { isNotFound } from '@cloudless/kube/status';
import type { Namespace, Service } from '@cloudless/kube/types/core-v1';
import { runWorkers, WorkQueue } from '@cloudless/kube/workqueue/workqueue';
import type { LoadBalancerConfig } from '../config/config.ts';
import type { Allocation, Allocator } from './allocator.ts';
import { allocatedFromPool, deprecatedAnnotations } from './annotations.ts';
import { converge, type Note } from './converge.ts';
import { statusAddresses } from './service-request.ts';

export interface ServiceAllocationOptions {
  client: KubeClient;
  allocator: Allocator;
  services: Informer<Service>;
  namespaces: Informer<Namespace>;
  events: EventRecorder;
  /** Of the Services that are ours; not given: those without a class (upstream: --lb-class). */
  loadBalancerClass?: string | undefined;
  /** Told after each Service, for what follows from changed pools. */
  onProcessed(): void;
  clock: Clock;
  log: Pick<Logger, 'info' | 'warn' | 'debug'>;
  signal: AbortSignal;
}

/** Writes in flight at a time; decisions are made one by one all the same. */
const concurrentWrites = 8;

/** Gives Services their addresses and writes them into their status. Begins with the first pools it is told. */
export class ServiceAllocation implements Running {
  updates = 0;
  updateErrors = 0;
  readonly #options: ServiceAllocationOptions;
  readonly #queue: WorkQueue;
  readonly #running: Running;
  readonly #waiting = new Set<string>();
  /** The last message for each Service that is told again and again while nothing changes. */
  readonly #told = new Map<string, string>();
  /** For each Service written, the version that was written over: until the informer has a newer one, it is behind. */
  readonly #writtenOver = new Map<string, string | undefined>();
  #hasBegun = false;

  constructor(options: ServiceAllocationOptions) {
    this.#options = options;
    const { clock, log, signal, services, namespaces } = options;
    this.#queue = new WorkQueue({ name: 'service', clock });
    const workers = runWorkers(this.#queue, concurrentWrites, (key) => this.#process(key), { log, signal });
    const changed = (service: Service): void => {
      if (this.#hasBegun) this.#queue.add(keyOf(service));
    };
    const handlers = [
      services.addHandler({ add: changed, update: changed, delete: changed }),
      namespaces.addHandler({ add: (one) => this.#relabelled(one), update: (one) => this.#relabelled(one) }),
    ];
    this.#running = running(async () => {
      for (const remove of handlers) remove();
      await workers.stop();
    });
  }

  stop(): Promise<void> {
    return this.#running.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#running.stop();
  }

  /** New pools: every Service is looked at again, those that have addresses first, so that none is taken from them. */
  setPools(pools: LoadBalancerConfig['pools']): void {
    const { allocator, services } = this.#options;
    allocator.setPools(pools);
    this.#hasBegun = true;
    const all = services.store.list().filter((service) => this.#concerns(service));
    all.sort((a, b) => statusAddresses(b).length - statusAddresses(a).length);
    for (const service of all) this.#queue.add(keyOf(service));
    this.#options.onProcessed();
  }

  #relabelled(namespace: Namespace): void {
    if (!this.#hasBegun) return;
    for (const service of this.#options.services.store.list(namespace.metadata.name))
      if (this.#concerns(service)) this.#queue.add(keyOf(service));
  }

  /** Ours by its class, or once was. */
  #concerns(service: Service): boolean {
    if (this.#options.allocator.allocationOf(keyOf(service))) return true;
    return service.spec?.type === 'LoadBalancer' && this.#isOurs(service);
  }

  #isOurs(service: Service): boolean {
    return (service.spec?.loadBalancerClass ?? '') === (this.#options.loadBalancerClass ?? '');
  }

  async #process(key: string): Promise<void> {
    const { allocator, services, namespaces } = this.#options;
    const service = services.store.get(key);
    // Its update is on the way and brings it here again; deciding by the old status could undo what was written.
    if (service && this.#writtenOver.get(key) === service.metadata.resourceVersion) return;
    this.#writtenOver.delete(key);
    const freedBefore = allocator.freed;
    this.#waiting.delete(key);
    try {
      if (!service) {
        this.#told.delete(key);
        allocator.release(key);
        return;
      }
      // A Service that is another implementation's now keeps what that one wrote.
      if (service.spec?.type === 'LoadBalancer' && !this.#isOurs(service)) {
        allocator.release(key);
        return;
      }
      const isKnown = allocator.allocationOf(key) !== undefined || hasOurTrace(service);
      if (service.spec?.type !== 'LoadBalancer' && !isKnown) return;
      // Without any pool, an address that we did not give is another implementation's.
      if (!isKnown && !allocator.hasPools && service.status?.loadBalancer?.ingress?.length) return;
      this.updates++;
      const labels = namespaces.store.get(service.metadata.namespace ?? '')?.metadata.labels ?? {};
      const { assigned, isWaiting, notes } = converge(allocator, service, labels);
      if (isWaiting) {
        this.#waiting.add(key);
        this.updateErrors++;
      }
      this.#tell(service, notes);
      await this.#write(service, assigned);
    } catch (error) {
      this.updateErrors++;
      throw error;
    } finally {
      if (allocator.freed !== freedBefore)
        for (const other of this.#waiting) if (other !== key) this.#queue.add(other);
      this.#options.onProcessed();
    }
  }

  async #write(service: Service, assigned: Allocation | undefined): Promise<void> {
    const { client, events, log, signal } = this.#options;
    const next = withAllocation(service, assigned);
    if (!next) return;
    try {
      const { metadata } = await client.update(core.services, next, { subresource: 'status', signal });
      if (metadata.resourceVersion !== service.metadata.resourceVersion)
        this.#writtenOver.set(keyOf(service), service.metadata.resourceVersion);
    } catch (error) {
      // Gone: the informer will say so, and the address comes back.
      if (!isNotFound(error)) throw error;
      return;
    }
    for (const name of deprecatedAnnotations(service.metadata.annotations))
      events.event(
        withKind(service),
        'Warning',
        'deprecatedAnnotation',
        `Service uses deprecated annotation ${name}`,
      );
    const addresses = assigned?.addresses.map(({ text }) => text) ?? [];
    log.info({ service: keyOf(service), addresses, pool: assigned?.pool }, 'addresses written');
  }

  /** One that repeats itself while others come and go is told once. */
  #tell(service: Service, notes: readonly Note[]): void {
    const key = keyOf(service);
    const text = notes.map(({ message }) => message).join('\n');
    if (text === '') this.#told.delete(key);
    else if (this.#told.get(key) === text && notes.every(({ reason }) => reason !== 'IPAllocated')) return;
    else this.#told.set(key, text);
    for (const { type, reason, message } of notes) {
      this.#options.events.event(withKind(service), type, reason, message);
      this.#options.log[type === 'Warning' ? 'warn' : 'info']({ service: key, reason }, message);
    }
  }
}

const withKind = (service: Service): Service => ({ ...service, apiVersion: 'v1', kind: 'Service' });

const hasOurTrace = (service: Service): boolean =>
  service.metadata.annotations?.[allocatedFromPool] !== undefined;

/** The Service with its allocation in status and annotation; undefined when it has it already. */
function withAllocation(service: Service, assigned: Allocation | undefined): Service | undefined {
  const wanted = assigned?.addresses.map(({ text }) => text) ?? [];
  const stated = (service.status?.loadBalancer?.ingress ?? []).map(
    ({ ip, hostname }) => ip ?? hostname ?? '',
  );
  const { [allocatedFromPool]: pool, ...others } = service.metadata.annotations ?? {};
  if (pool === assigned?.pool && wanted.length === stated.length && wanted.every((ip, i) => ip === stated[i]))
    return undefined;
  return {
    ...service,
    metadata: {
      ...service.metadata,
      annotations: assigned ? { ...others, [allocatedFromPool]: assigned.pool } : others,
    },
    status: {
      ...service.status,
      loadBalancer: assigned ? { ingress: wanted.map((ip) => ({ ip })) } : {},
    },
  };
}
