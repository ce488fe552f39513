import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { Node, Service } from '@cloudless/kube/types/core-v1';
import type { BgpSession, BgpSessionStatus } from '../bgp/bgp.ts';
import type { AdvertisedService, PeerRoutes } from '../bgp/routes.ts';
import type { BfdProfile, BgpPeer, LoadBalancerConfig } from '../config/config.ts';
import { advertisementsFor, matchesNode, type ServicePlan } from './announcements.ts';

/** What BGP itself does; loaded when a peer is for this node. */
export interface BgpParts {
  routes(services: readonly AdvertisedService[], peers: readonly BgpPeer[]): PeerRoutes;
  session(peer: BgpPeer, bfdProfile: BfdProfile | undefined): BgpSession | Promise<BgpSession>;
  /** Prometheus text. */
  metrics(sessions: Iterable<BgpSession>): string;
}

export interface BgpAnnouncerOptions {
  nodeName: string;
  load(): Promise<BgpParts>;
  /** The peers to which a Service is advertised have changed, or a session has. */
  onChange(keys: readonly string[]): void;
  log: Logger;
}

interface Session {
  /** Its peer's configuration as text: another one needs another session. */
  text: string;
  session: BgpSession;
}

/** One session for each peer that is for this node, and the routes of the Services that this node may advertise. */
export class BgpAnnouncer implements Running {
  readonly #options: BgpAnnouncerOptions;
  readonly #sessions = new Map<string, Session>();
  readonly #services = new Map<string, AdvertisedService>();
  readonly #running: Running;
  #config: LoadBalancerConfig | undefined;
  #node: Node | undefined;
  #parts: BgpParts | undefined;
  #peersOf: ReadonlyMap<string, readonly string[]> = new Map();
  #refused: ReadonlyMap<string, string> = new Map();
  /** Changes of sessions happen one after the other. */
  #working: Promise<void> = Promise.resolve();
  #published = false;
  #stopped = false;

  constructor(options: BgpAnnouncerOptions) {
    this.#options = options;
    this.#running = running(async () => {
      this.#stopped = true;
      await this.#working;
      // The peers keep what graceful restart lets them keep: whoever stops a speaker for good withdraws before.
      await Promise.all([...this.#sessions.values()].map(({ session }) => session.stop('restart')));
      this.#sessions.clear();
    });
  }

  setConfig(config: LoadBalancerConfig): void {
    this.#config = config;
    this.#sync();
  }

  setNode(node: Node | undefined): void {
    if (JSON.stringify(node?.metadata.labels) === JSON.stringify(this.#node?.metadata.labels)) return;
    this.#node = node;
    this.#sync();
  }

  /** Takes over what every Service's plan says; call {@link BgpAnnouncer.publish} when all are told. */
  setService(key: string, service: Service | undefined, plan: ServicePlan | undefined): void {
    const pool = plan?.pool === undefined ? undefined : this.#config?.pools.get(plan.pool);
    if (!service || !pool || !plan?.bgp.candidates.includes(this.#options.nodeName)) {
      this.#services.delete(key);
      return;
    }
    const advertisements = advertisementsFor(pool.bgpAdvertisements, service).filter((advertisement) =>
      matchesNode(advertisement, this.#node),
    );
    this.#services.set(key, { key, addresses: plan.addresses, advertisements });
  }

  /** Tells the sessions their routes. */
  publish(): void {
    this.#published = true;
    this.#sync();
  }

  /** Names of the peers to which the Service is advertised. */
  peersOf(key: string): readonly string[] {
    return this.#peersOf.get(key) ?? [];
  }

  /** Why the Service is told to nobody although it has advertisements: they contradict each other. */
  refusedBecause(key: string): string | undefined {
    return this.#refused.get(key);
  }

  sessions(): ReadonlyArray<{ session: BgpSession; status: BgpSessionStatus }> {
    return [...this.#sessions.values()].map(({ session }) => ({ session, status: session.status() }));
  }

  metrics(): string {
    return this.#parts?.metrics([...this.#sessions.values()].map(({ session }) => session)) ?? '';
  }

  stop(): Promise<void> {
    return this.#running.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#running.stop();
  }

  #sync(): void {
    if (this.#stopped) return;
    this.#working = this.#working.then(() => this.#apply());
  }

  async #apply(): Promise<void> {
    const config = this.#config;
    if (!config || this.#stopped) return;
    const wanted = new Map(
      [...config.peers]
        .filter(([, peer]) => matchesNode(peer, this.#node))
        .map(([name, peer]) => [name, peer]),
    );
    const textOf = (peer: BgpPeer): string =>
      JSON.stringify(
        [peer, peer.bfdProfile && config.bfdProfiles.get(peer.bfdProfile)],
        (key, value: unknown) => (key === 'nodeSelectors' ? undefined : value),
      );
    for (const [name, { text, session }] of this.#sessions) {
      const peer = wanted.get(name);
      if (peer && textOf(peer) === text) continue;
      this.#sessions.delete(name);
      this.#options.log.info(
        { peer: name },
        peer ? 'BGP peer changed' : 'BGP peer is not for this node any more',
      );
      await session.stop('shutdown');
    }
    try {
      if (wanted.size > 0) this.#parts ??= await this.#options.load();
    } catch (error) {
      this.#options.log.error({ err: error }, 'BGP cannot be spoken');
      return;
    }
    if (!this.#parts || this.#stopped) return;
    for (const [name, peer] of wanted) {
      if (this.#sessions.has(name)) continue;
      const profile = peer.bfdProfile === undefined ? undefined : config.bfdProfiles.get(peer.bfdProfile);
      this.#options.log.info({ peer: name, address: peer.peerAddress }, 'BGP session');
      // oxlint-disable-next-line no-await-in-loop -- a few peers, each loads what it needs
      const session = await this.#parts.session(peer, profile);
      session.subscribe(() => this.#options.onChange([]));
      this.#sessions.set(name, { text: textOf(peer), session });
    }
    // Before all Services are known a peer that kept routes over a restart would lose them.
    if (this.#published) this.#setRoutes(this.#parts, [...wanted.values()]);
  }

  #setRoutes(parts: BgpParts, peers: readonly BgpPeer[]): void {
    const { routes, peersOf, refused } = parts.routes([...this.#services.values()], peers);
    for (const [name, { session }] of this.#sessions) session.setRoutes(routes.get(name) ?? []);
    const textOf = (key: string): string => `${this.#peersOf.get(key)?.join()} ${this.#refused.get(key)}`;
    const keys = [this.#peersOf, peersOf, this.#refused, refused].flatMap((map) => [...map.keys()]);
    const before = new Map(keys.map((key) => [key, textOf(key)]));
    this.#peersOf = peersOf;
    this.#refused = refused;
    const changed = [...before].filter(([key, text]) => text !== textOf(key)).map(([key]) => key);
    if (changed.length > 0) this.#options.onChange(changed);
  }
}
