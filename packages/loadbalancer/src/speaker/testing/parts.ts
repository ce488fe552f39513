import { running } from '@cloudless/kube/lifecycle';
import type { AddressPlan } from '../../announcement.ts';
import type { BgpRoute, BgpSession, BgpSessionStatus } from '../../bgp/bgp.ts';
import { bgpMetrics } from '../../bgp/metrics.ts';
import { routesForPeers } from '../../bgp/routes.ts';
import type { BgpPeer, LoadBalancerConfig } from '../../config/config.ts';
import type { ConfigurationProblem } from '../../config/problem.ts';
import type { Gossip, GossipMember, GossipOptions } from '../../gossip/gossip.ts';
import type { Layer2, Member, Ownership } from '../../layer2/layer2.ts';
import type { BgpParts } from '../bgp-announcer.ts';
import type { ConfigurationSource, SpeakerParts } from '../start.ts';

/** Layer 2 in memory: the first candidate by name that is a member owns an address. */
export class FakeLayer2 implements Layer2 {
  plans: readonly AddressPlan[] = [];
  members: readonly Member[] = [];
  stopped = false;
  readonly #owners = new Map<string, Ownership>();
  readonly #listeners = new Set<(ownership: Ownership) => void>();

  setPlans(plans: readonly AddressPlan[]): void {
    this.plans = plans;
    this.#elect();
  }

  setMembers(members: readonly Member[]): void {
    this.members = members;
    this.#elect();
  }

  ownerships(): readonly Ownership[] {
    return [...this.#owners.values()];
  }

  subscribe(listener: (ownership: Ownership) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  metrics(): string {
    return 'metallb_layer2_gratuitous_sent{ip="192.0.2.9"} 1';
  }

  /** Another state of one address. */
  change(address: string, over: Partial<Ownership>): void {
    const before = this.#owners.get(address);
    if (!before) throw new Error(`${address} is not planned`);
    this.#set({ ...before, ...over });
  }

  async stop(): Promise<void> {
    this.stopped = true;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #elect(): void {
    const addresses = new Set(this.plans.map(({ address }) => address));
    for (const address of this.#owners.keys()) if (!addresses.has(address)) this.#owners.delete(address);
    for (const { address, candidates } of this.plans) {
      const names = this.members
        .map(({ name }) => name)
        .filter((name) => candidates === 'any' || candidates.includes(name));
      const [owner, ...later] = names.sort();
      this.#set({
        address,
        owner,
        sinceMs: 0,
        others: later.map((node) => ({ node, why: 'later-in-election' })),
        contestedBy: undefined,
        interfaces: ['eth0'],
      });
    }
  }

  #set(ownership: Ownership): void {
    if (JSON.stringify(this.#owners.get(ownership.address)) === JSON.stringify(ownership)) return;
    this.#owners.set(ownership.address, ownership);
    for (const listener of this.#listeners) listener(ownership);
  }
}

export class FakeGossip implements Gossip {
  readonly options: GossipOptions;
  readonly local: { name: string; address: string; port: number };
  readonly joined: string[] = [];
  left = false;
  #members: GossipMember[];
  readonly #listeners = new Set<(members: readonly GossipMember[]) => void>();

  constructor(options: GossipOptions) {
    this.options = options;
    this.local = { name: options.nodeName, address: options.bindAddress, port: options.port };
    this.#members = [{ ...this.local, state: 'alive' }];
  }

  members(): readonly GossipMember[] {
    return this.#members;
  }

  set(...members: GossipMember[]): void {
    this.#members = [{ ...this.local, state: 'alive' }, ...members];
    for (const listener of this.#listeners) listener(this.#members);
  }

  async join(addresses: readonly string[]): Promise<number> {
    this.joined.push(...addresses);
    return addresses.length;
  }

  async leave(): Promise<void> {
    this.left = true;
  }

  healthScore(): number {
    return 0;
  }

  subscribe(listener: (members: readonly GossipMember[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async stop(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}

export class FakeSession implements BgpSession {
  readonly peer: BgpPeer;
  routes: readonly BgpRoute[] | undefined;
  ended: string | undefined;

  constructor(peer: BgpPeer) {
    this.peer = peer;
  }

  setRoutes(routes: readonly BgpRoute[]): void {
    this.routes = routes;
  }

  status(): BgpSessionStatus {
    return {
      state: 'Established',
      sinceMs: 0,
      lastError: undefined,
      bfd: 'Up',
      advertisedRoutes: this.routes?.length ?? 0,
    };
  }

  bfdCounters(): ReturnType<BgpSession['bfdCounters']> {
    return { packetsReceived: 7, packetsSent: 8, ups: 2, downs: 1 };
  }

  counters(): ReturnType<BgpSession['counters']> {
    return {
      opensSent: 1,
      opensReceived: 1,
      updatesSent: 3,
      updatesReceived: 0,
      notificationsSent: 0,
      notificationsReceived: 0,
      keepalivesSent: 0,
      keepalivesReceived: 0,
      routeRefreshesReceived: 0,
    };
  }

  subscribe(): () => void {
    return () => {};
  }

  async stop(how: string = 'shutdown'): Promise<void> {
    this.ended = how;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** Every part of a speaker in memory. */
export class FakeParts implements SpeakerParts {
  layer2Started: FakeLayer2 | undefined;
  gossipStarted: FakeGossip | undefined;
  readonly sessions: FakeSession[] = [];
  readonly #listeners = new Set<(config: LoadBalancerConfig) => void>();
  #config: LoadBalancerConfig | undefined;
  problems: ConfigurationProblem[] = [];

  constructor(config?: LoadBalancerConfig) {
    this.#config = config;
  }

  setConfig(config: LoadBalancerConfig): void {
    this.#config = config;
    for (const listener of this.#listeners) listener(config);
  }

  /** With which key each was started. */
  readonly layer2Keys: Array<Uint8Array | undefined> = [];

  async layer2(options: { key: Uint8Array | undefined }): Promise<Layer2> {
    this.layer2Keys.push(options.key);
    return (this.layer2Started = new FakeLayer2());
  }

  async gossip(options: GossipOptions): Promise<Gossip> {
    return (this.gossipStarted = new FakeGossip(options));
  }

  async bgp(): Promise<BgpParts> {
    return {
      routes: routesForPeers,
      metrics: bgpMetrics,
      session: (peer) => {
        const session = new FakeSession(peer);
        this.sessions.push(session);
        return session;
      },
    };
  }

  configuration(): ConfigurationSource {
    const config = (): LoadBalancerConfig | undefined => this.#config;
    const problems = (): readonly ConfigurationProblem[] => this.problems;
    return {
      ...running(() => this.#listeners.clear()),
      get config() {
        return config();
      },
      get problems() {
        return problems();
      },
      subscribe: (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
    };
  }
}
