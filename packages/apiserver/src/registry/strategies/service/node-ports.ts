/**
 * Node ports, handed out only when asked for. A port that is taken is an object of its own under
 * `/registry/cloudless/nodeports/PORT`, written in the Service's transaction, so that it is never handed out twice;
 * upstream's API server ignores these keys and derives its bitmap from the Services.
 */
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { core } from '@cloudless/kube/resources';
import type { Service } from '@cloudless/kube/types/core-v1';
import type { Caches, ResourceCache } from '../../../cache/cache.ts';
import type { Transaction } from '../../../storage/transaction.ts';
import { serviceName } from './address-book.ts';
import { Reservations } from './reservations.ts';

/** Never served; only the API server's own transactions write it. */
export interface NodePort extends KubeObject {
  spec: { namespace: string; name: string };
}

export const nodePorts: Resource<NodePort> = Object.freeze({
  group: 'cloudless',
  version: 'v1',
  plural: 'cloudless/nodeports',
  kind: 'NodePort',
  namespaced: false,
});

/** Upstream's default `--service-node-port-range`. */
export const nodePortRange = Object.freeze({ first: 30_000, size: 2_768 });
/** The lower ports, for those who ask for one by number (KEP-3668). */
const reservedPorts = 86;

/** How long the object of a port may precede what the cache knows of its Service. */
const graceMs = 60_000;

export type PortProblem = 'allocated' | 'out-of-range' | 'full';

export class PortError extends Error {
  readonly problem: PortProblem;

  constructor(problem: PortProblem, message: string) {
    super(message);
    this.name = 'PortError';
    this.problem = problem;
  }
}

/** Every node port of a Service, its health check's included. */
export function nodePortsOf(service: Service | undefined): Set<number> {
  const ports = new Set<number>();
  for (const port of service?.spec?.ports ?? []) if (port.nodePort) ports.add(port.nodePort);
  if (service?.spec?.healthCheckNodePort) ports.add(service.spec.healthCheckNodePort);
  return ports;
}

export const nodePortObject = (port: number, service: { namespace: string; name: string }): NodePort => ({
  apiVersion: 'cloudless/v1',
  kind: 'NodePort',
  metadata: { name: String(port) },
  spec: { namespace: service.namespace, name: service.name },
});

const sameService = (spec: NodePort['spec'], service: { namespace: string; name: string }): boolean =>
  spec.namespace === service.namespace && spec.name === service.name;

export class PortBook {
  readonly #ports: ResourceCache<NodePort>;
  readonly #services: ResourceCache<Service>;
  readonly #reserved = new Reservations();
  /** Ports that Services hold, for Services written by someone who does not keep port objects. */
  readonly #ofServices = new Map<number, { namespace: string; name: string }>();
  #isLoaded = false;

  constructor(caches: Caches) {
    this.#ports = caches.of(nodePorts);
    this.#services = caches.of(core.services);
    this.#ports.subscribe(({ type, object }) => {
      if (type === 'added') this.#reserved.delete(object.metadata.name as string);
    });
    this.#services.subscribe(({ type, object, old }) =>
      this.#note(type === 'deleted' ? object : old, type === 'deleted' ? undefined : object),
    );
  }

  #note(old: Service | undefined, now: Service | undefined): void {
    if (old) {
      const owner = serviceName(old);
      for (const port of nodePortsOf(old)) {
        const holder = this.#ofServices.get(port);
        if (holder && sameService(holder, owner)) this.#ofServices.delete(port);
      }
    }
    if (now) for (const port of nodePortsOf(now)) this.#ofServices.set(port, serviceName(now));
  }

  /** Resolves when the book knows every port. */
  async ready(): Promise<void> {
    await Promise.all([this.#ports.ready, this.#services.ready]);
    if (this.#isLoaded) return;
    // Listeners of a cache do not hear of its first load.
    this.#isLoaded = true;
    this.#ofServices.clear();
    for (const service of this.#services.list()) this.#note(undefined, service);
  }

  async fresh(): Promise<void> {
    await Promise.all([this.#ports.fresh(), this.#services.fresh()]);
  }

  /** Whether somebody has the port. The object of a Service that is long gone counts as nobody's. */
  #isTaken(port: number, nowMs: number): boolean {
    if (this.#ofServices.has(port)) return true;
    const object = this.#ports.get('', String(port));
    if (!object) return false;
    // It may be seen before its Service.
    return nowMs - Date.parse(object.metadata.creationTimestamp ?? '') < graceMs;
  }

  #find(isTaken: (port: number) => boolean): number | undefined {
    const { first, size } = nodePortRange;
    const sections: Array<[number, number]> = [
      [first + reservedPorts, size - reservedPorts],
      [first, reservedPorts],
    ];
    for (const [start, count] of sections) {
      const offset = Math.floor(Math.random() * count);
      for (let i = 0; i < count; i++) {
        const port = start + ((offset + i) % count);
        if (!isTaken(port)) return port;
      }
    }
    return undefined;
  }

  /** Takes any free port. Throws {@link PortError}. */
  async takeAny(service: Service, transaction: Transaction | undefined, nowMs: number): Promise<number> {
    let port = this.#find((one) => this.#isTaken(one, nowMs) || this.#reserved.has(String(one), nowMs));
    if (port === undefined) {
      await this.fresh();
      port = this.#find((one) => this.#isTaken(one, nowMs));
    }
    if (port === undefined) throw new PortError('full', 'range is full');
    this.#take(port, service, transaction, nowMs);
    return port;
  }

  /** Takes this very port; one that the Service holds already is fine. Throws {@link PortError}. */
  async takeThis(
    port: number,
    service: Service,
    transaction: Transaction | undefined,
    nowMs: number,
  ): Promise<void> {
    const { first, size } = nodePortRange;
    if (port < first || port >= first + size) {
      const why = `provided port is not in the valid range. The range of valid ports is ${first}-${first + size - 1}`;
      throw new PortError('out-of-range', why);
    }
    if (this.#reserved.has(String(port), nowMs)) await this.fresh();
    if (this.#isTaken(port, nowMs)) throw new PortError('allocated', 'provided port is already allocated');
    this.#take(port, service, transaction, nowMs);
  }

  #take(port: number, service: Service, transaction: Transaction | undefined, nowMs: number): void {
    if (!transaction) return;
    this.#reserved.add(String(port), nowMs);
    const object = nodePortObject(port, serviceName(service));
    const stale = this.#ports.get('', String(port));
    if (!stale) {
      transaction.add({ type: 'create', resource: nodePorts, object });
      return;
    }
    const creationTimestamp = `${new Date(nowMs).toISOString().slice(0, 19)}Z`;
    const metadata = { ...stale.metadata, creationTimestamp };
    transaction.add({ type: 'update', resource: nodePorts, object: { ...object, metadata } });
  }

  /** Gives a port back, if it is this Service's. */
  async release(port: number, service: Service, transaction: Transaction): Promise<void> {
    let held = this.#ports.get('', String(port));
    if (!held) {
      await this.#ports.fresh();
      held = this.#ports.get('', String(port));
    }
    if (!held || !sameService(held.spec, serviceName(service))) return;
    transaction.add({
      type: 'delete',
      resource: nodePorts,
      namespace: '',
      name: String(port),
      ...(held.metadata.resourceVersion ? { resourceVersion: held.metadata.resourceVersion } : {}),
    });
  }
}
