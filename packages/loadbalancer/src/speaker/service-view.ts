import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { type Informer, keyOf, startInformer } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { core, discovery } from '@cloudless/kube/resources';
import type { Node, Service } from '@cloudless/kube/types/core-v1';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import type { LoadBalancerConfig } from '../config/config.ts';
import { planService, type ServicePlan, type SpeakerRules } from './announcements.ts';

/** A Service whose plan changed; `plan` is undefined when it is gone. */
export interface PlanChange {
  key: string;
  plan: ServicePlan | undefined;
  before: ServicePlan | undefined;
  /** As last seen. */
  service: Service;
}

export interface ServiceViewOptions {
  client: KubeClient;
  rules: SpeakerRules;
  clock: Clock;
  log: Logger;
  /** All that changed since the last call; none where only the configuration did. */
  onChanges(changes: readonly PlanChange[]): void;
  /** The nodes' labels, addresses or conditions that count here have changed. */
  onNodes(nodes: ReadonlyMap<string, Node>): void;
}

const serviceIndex = 'service';

/**
 * The cluster as a speaker sees it: Services of type LoadBalancer, their endpoints and the nodes, made into plans as they
 * or the configuration change. When the API goes away everything stays as it was.
 */
export class ServiceView implements Running {
  readonly #options: ServiceViewOptions;
  readonly #services: Informer<Service>;
  readonly #slices: Informer<EndpointSlice>;
  readonly #nodes: Informer<Node>;
  readonly #known = new Map<string, Node>();
  readonly #plans = new Map<string, { plan: ServicePlan; service: Service }>();
  readonly #dirty = new Set<string>();
  readonly #running: Running;
  #config: LoadBalancerConfig | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #nodesChanged = false;
  #configChanged = false;
  #synced = false;
  /** Resolves when Services, endpoints and nodes were listed once; rejects when stopped before. */
  readonly synced: Promise<void>;

  constructor(options: ServiceViewOptions) {
    this.#options = options;
    const { client, clock, log } = options;
    this.#services = startInformer({ client, resource: core.services, clock, log });
    this.#slices = startInformer({
      client,
      resource: discovery.endpointslices,
      clock,
      log,
      indexers: { [serviceIndex]: (slice) => [serviceOf(slice)] },
    });
    this.#nodes = startInformer({ client, resource: core.nodes, clock, log });
    this.#listen();
    this.synced = Promise.all([this.#services.synced, this.#slices.synced, this.#nodes.synced]).then(() => {
      this.#synced = true;
      this.#schedule();
    });
    this.synced.catch(() => undefined);
    this.#running = running(async () => {
      clearImmediate(this.#immediate);
      await Promise.all([this.#services.stop(), this.#slices.stop(), this.#nodes.stop()]);
    });
  }

  get nodes(): ReadonlyMap<string, Node> {
    return this.#known;
  }

  plan(key: string): ServicePlan | undefined {
    return this.#plans.get(key)?.plan;
  }

  plans(): Iterable<ServicePlan> {
    return [...this.#plans.values()].map(({ plan }) => plan);
  }

  service(key: string): Service | undefined {
    return this.#services.store.get(key);
  }

  /** Every Service is looked at again. */
  setConfig(config: LoadBalancerConfig): void {
    this.#config = config;
    this.#configChanged = true;
    this.#everything();
  }

  stop(): Promise<void> {
    return this.#running.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#running.stop();
  }

  #listen(): void {
    const service = (one: Service): void => this.#touch(keyOf(one));
    this.#services.addHandler({ add: service, update: service, delete: service });
    const slice = (one: EndpointSlice): void => this.#touch(serviceOf(one));
    this.#slices.addHandler({
      add: slice,
      update: (now, old) => {
        slice(now);
        if (serviceOf(old) !== serviceOf(now)) slice(old);
      },
      delete: slice,
    });
    this.#nodes.addHandler({
      add: (node) => this.#node(node, undefined),
      update: (node, old) => this.#node(node, old),
      delete: (node) => {
        this.#known.delete(node.metadata.name ?? '');
        this.#nodesChanged = true;
        this.#everything();
      },
    });
  }

  #node(node: Node, old: Node | undefined): void {
    this.#known.set(node.metadata.name ?? '', node);
    // A kubelet's status comes every few seconds, and says nothing new.
    if (old && relevant(old) === relevant(node)) return;
    this.#nodesChanged = true;
    this.#everything();
  }

  #touch(key: string): void {
    this.#dirty.add(key);
    this.#schedule();
  }

  #everything(): void {
    for (const one of this.#services.store.list()) this.#dirty.add(keyOf(one));
    this.#schedule();
  }

  #schedule(): void {
    if (!this.#synced) return;
    this.#immediate ??= setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#immediate = undefined;
    if (this.#nodesChanged) {
      this.#nodesChanged = false;
      this.#options.onNodes(this.#known);
    }
    // As upstream, nothing is decided before there is a configuration.
    if (!this.#config) return;
    const changes: PlanChange[] = [];
    for (const key of this.#dirty) {
      const change = this.#replan(key, this.#config);
      if (change) changes.push(change);
    }
    this.#dirty.clear();
    if (changes.length > 0 || this.#configChanged) this.#options.onChanges(changes);
    this.#configChanged = false;
  }

  #replan(key: string, config: LoadBalancerConfig): PlanChange | undefined {
    const before = this.#plans.get(key);
    const service = this.#services.store.get(key);
    if (!service || service.spec?.type !== 'LoadBalancer') {
      if (!before) return undefined;
      this.#plans.delete(key);
      return { key, plan: undefined, before: before.plan, service: service ?? before.service };
    }
    const { rules } = this.#options;
    const slices = this.#slices.store.byIndex(serviceIndex, key);
    const plan = planService({ service, slices, nodes: this.#known, config, rules });
    this.#plans.set(key, { plan, service });
    if (before && textOf(before.plan) === textOf(plan) && samePolicy(before.service, service))
      return undefined;
    return { key, plan, before: before?.plan, service };
  }
}

const serviceOf = (slice: EndpointSlice): string =>
  `${slice.metadata.namespace}/${slice.metadata.labels?.['kubernetes.io/service-name'] ?? ''}`;

/** What of a node counts for an announcement, as text. */
function relevant(node: Node): string {
  const network = node.status?.conditions?.find(({ type }) => type === 'NetworkUnavailable')?.status;
  return JSON.stringify([node.metadata.labels, network, node.status?.addresses]);
}

const textOf = (plan: ServicePlan): string =>
  JSON.stringify(plan, (_, value: unknown) => (value instanceof Map ? [...value] : value));

/** Labels choose advertisements of BGP beyond what a plan tells. */
const samePolicy = (a: Service, b: Service): boolean =>
  JSON.stringify(a.metadata.labels) === JSON.stringify(b.metadata.labels);
