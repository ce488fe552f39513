import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { type EventRecorder, eventRecorder } from '@cloudless/kube/events/recorder';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { Node } from '@cloudless/kube/types/core-v1';
import type { AnnouncementTable } from '../announcement.ts';
import type { LoadBalancerConfig } from '../config/config.ts';
import type { Ownership } from '../layer2/layer2.ts';
import type { ServicePlan, SpeakerRules } from './announcements.ts';
import type { BgpAnnouncer } from './bgp-announcer.ts';
import type { Layer2Announcer } from './layer2-announcer.ts';
import type { Membership } from './membership.ts';
import type { Announced } from './metrics.ts';
import { ServiceEvents } from './service-events.ts';
import { type PlanChange, ServiceView } from './service-view.ts';
import { type StatusProtocol, StatusObjects, type WantedStatus } from './status-objects.ts';

export interface ClusterSideOptions {
  client: KubeClient;
  namespace: string;
  rules: SpeakerRules;
  table: AnnouncementTable;
  layer2: Layer2Announcer;
  bgp: BgpAnnouncer;
  membership: Membership;
  /** No Service is announced before: until the other speakers are known, this one would think itself alone. */
  membersKnown: Promise<void>;
  onNodes(nodes: ReadonlyMap<string, Node>): void;
  clock: Clock;
  log: Logger;
}

/** Services of the API into the table and to BGP, and what becomes of them back to the API. */
export class ClusterSide implements Running {
  readonly #options: ClusterSideOptions;
  readonly #view: ServiceView;
  readonly #recorder: EventRecorder;
  readonly #events: ServiceEvents;
  readonly #objects: StatusObjects;
  readonly #servicesOf = new Map<string, Set<string>>();
  readonly #announced = new Set<string>();
  readonly #running: Running;
  #held: PlanChange[] | undefined = [];
  #updates = 0;
  /** Services, endpoints and nodes are known, and so are the other speakers. */
  readonly ready: Promise<void>;

  constructor(options: ClusterSideOptions) {
    this.#options = options;
    const { client, namespace, rules, clock, log } = options;
    const { nodeName } = rules;
    this.#recorder = eventRecorder({ client, component: 'metallb-speaker', host: nodeName, clock, log });
    this.#events = new ServiceEvents({ recorder: this.#recorder, nodeName });
    this.#objects = new StatusObjects({
      client,
      namespace,
      nodeName,
      node: () => this.#view.nodes.get(nodeName),
      wanted: (protocol, key) => this.#wanted(protocol, key),
      clock,
      log,
    });
    this.#view = new ServiceView({
      client,
      rules,
      clock,
      log,
      onChanges: (changes) => (this.#held ? this.#held.push(...changes) : this.#takeOver(changes)),
      onNodes: (nodes) => {
        options.bgp.setNode(nodes.get(nodeName));
        options.onNodes(nodes);
      },
    });
    this.ready = Promise.all([this.#view.synced, options.membersKnown]).then(() => this.#open());
    this.ready.catch(() => undefined);
    this.#running = running(async () => {
      await this.#view.stop();
      await this.#objects.stop();
      await this.#recorder.stop();
    });
  }

  get updates(): number {
    return this.#updates;
  }

  get nodes(): ReadonlyMap<string, Node> {
    return this.#view.nodes;
  }

  plans(): Iterable<ServicePlan> {
    return this.#view.plans();
  }

  setConfig(config: LoadBalancerConfig): void {
    this.#options.bgp.setConfig(config);
    this.#view.setConfig(config);
  }

  /** What this node announces of Services now. */
  announced(): Announced[] {
    const announced: Announced[] = [];
    for (const plan of this.#view.plans())
      for (const protocol of ['layer2', 'bgp'] as const)
        if (this.#announces(protocol, plan.key))
          for (const ip of plan.addresses) announced.push({ service: plan.key, protocol, ip });
    return announced;
  }

  /** An address has another owner, or a contest. */
  onOwnership(now: Ownership, before: Ownership | undefined): void {
    const { nodeName } = this.#options.rules;
    for (const key of this.#servicesOf.get(now.address) ?? []) {
      this.#settle('layer2', key);
      const service = this.#view.service(key);
      if (!service) continue;
      if (now.owner !== nodeName) continue;
      if (before?.owner !== undefined && before.owner !== nodeName)
        this.#events.failover(service, now, before.owner);
      if (now.contestedBy !== undefined && now.contestedBy !== before?.contestedBy)
        this.#events.contested(service, now);
      if (now.interfaces.length === 0) this.#events.noInterface(service, now.address);
    }
  }

  /** The peers of these Services have changed. */
  onPeers(keys: readonly string[]): void {
    for (const key of keys) {
      this.#settle('bgp', key);
      const service = this.#view.service(key);
      if (service) this.#events.conflict(service, this.#options.bgp.refusedBecause(key));
    }
  }

  stop(): Promise<void> {
    return this.#running.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#running.stop();
  }

  #open(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    this.#takeOver(held);
    this.#objects
      .adopt()
      .catch((error: unknown) => this.#options.log.debug({ err: error }, 'status objects of an earlier run'));
  }

  #takeOver(changes: readonly PlanChange[]): void {
    const { table, bgp } = this.#options;
    for (const { key, plan, before, service } of changes) {
      this.#updates += 1;
      for (const address of before?.addresses ?? []) this.#servicesOf.get(address)?.delete(key);
      for (const { address } of plan?.announcements ?? []) {
        const keys = this.#servicesOf.get(address) ?? new Set();
        this.#servicesOf.set(address, keys.add(key));
      }
      table.set({ kind: 'service', name: key }, plan?.announcements ?? []);
      bgp.setService(key, service, plan);
    }
    bgp.publish();
    // Only now do all Services that share an address stand in the table.
    for (const change of changes) this.#say(change);
  }

  #say({ key, plan, service }: PlanChange): void {
    this.#settle('layer2', key);
    this.#settle('bgp', key);
    if (!plan) {
      this.#events.forget(key);
      return;
    }
    // One of the speakers tells what concerns all of them.
    const [first] = this.#options.membership.members();
    if (first?.name !== this.#options.rules.nodeName) return;
    this.#events.label(service, plan);
    for (const { address } of plan.announcements) {
      const together = this.#options.table.get(address);
      if (together?.refused.some(({ kind, name }) => kind === 'service' && name === key))
        this.#events.refused(
          service,
          address,
          together.sources.map(({ name }) => name),
        );
    }
  }

  #announces(protocol: StatusProtocol, key: string): boolean {
    if (protocol === 'bgp') return this.#options.bgp.peersOf(key).length > 0;
    const { nodeName } = this.#options.rules;
    for (const { address } of this.#view.plan(key)?.announcements ?? []) {
      const refused = this.#options.table.get(address)?.refused.some(({ name }) => name === key);
      if (!refused && this.#options.layer2.ownership(address)?.owner === nodeName) return true;
    }
    return false;
  }

  /** Tells the beginning and the end of an announcement by this node, and writes the status object. */
  #settle(protocol: StatusProtocol, key: string): void {
    const known = `${protocol} ${key}`;
    const announces = this.#announces(protocol, key);
    const service = this.#view.service(key);
    if (announces && service) this.#events.announcing(service, protocol);
    else if (service) this.#events.ended(service, protocol);
    if (announces || this.#announced.has(known)) this.#objects.touch(protocol, key);
    if (announces) this.#announced.add(known);
    else this.#announced.delete(known);
  }

  #wanted(protocol: StatusProtocol, key: string): WantedStatus {
    if (!this.#announces(protocol, key)) return undefined;
    if (protocol === 'bgp') return { peers: this.#options.bgp.peersOf(key) };
    return { interfaces: this.#view.plan(key)?.announcements[0]?.interfaces ?? 'any' };
  }
}
