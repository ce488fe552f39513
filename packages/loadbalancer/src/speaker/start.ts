import type { KubeClient } from '@cloudless/kube/client/client';
import { type Clock, systemClock } from '@cloudless/kube/clock';
import { serveHealth } from '@cloudless/kube/health';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import type { Node } from '@cloudless/kube/types/core-v1';
import { AnnouncementTable } from '../announcement.ts';
import type { LoadBalancerConfig } from '../config/config.ts';
import { type ConfigurationProblem, problemText } from '../config/problem.ts';
import type { Gossip, GossipOptions } from '../gossip/gossip.ts';
import type { Layer2, Member } from '../layer2/layer2.ts';
import type { SpeakerRules } from './announcements.ts';
import { type WatchedFile, watchAnnouncementFile } from './announcement-file.ts';
import { BgpAnnouncer, type BgpParts } from './bgp-announcer.ts';
import { ClusterSide } from './cluster-side.ts';
import { attemptGossip, type GossipAttempts } from './gossip-attempts.ts';
import { keepKey, keptKey, waitForKey } from './gossip-key.ts';
import { Layer2Announcer } from './layer2-announcer.ts';
import { Membership } from './membership.ts';
import { metricsText } from './metrics.ts';
import { speakerStatus, type SpeakerStatus } from './status.ts';

/** Where the configuration comes from: `watchConfiguration`, or a double of it. */
export interface ConfigurationSource extends Running {
  /** The last good one; undefined before there was any. */
  readonly config: LoadBalancerConfig | undefined;
  /** What is wrong with the newest; empty: it is in force. */
  readonly problems: readonly ConfigurationProblem[];
  /** Hears of each good configuration. Returns the way to unsubscribe. */
  subscribe(listener: (config: LoadBalancerConfig) => void): () => void;
}

/** The parts that do the work, for tests to replace; by default each is loaded when it is needed. */
export interface SpeakerParts {
  layer2(options: {
    nodeName: string;
    nodeAddress: string;
    /** Undefined: heartbeats are not authenticated. */
    key: Uint8Array | undefined;
    sticky: boolean;
  }): Promise<Layer2>;
  gossip(options: GossipOptions): Promise<Gossip>;
  bgp(options: { nodeName: string; nodeAddress: string }): Promise<BgpParts>;
  /** `namespace`: of the status objects. */
  configuration(client: KubeClient, speaker: { nodeName: string; namespace: string }): ConfigurationSource;
}

export interface SpeakerGossip extends Partial<
  Pick<GossipOptions, 'profile' | 'label' | 'settings' | 'compression'>
> {
  /** UDP and TCP; default 7946. */
  port?: number;
  /** Default: the node's address. */
  bindAddress?: string;
  /** Default: of the Secret `memberlist`, which is waited for. */
  key?: Uint8Array;
  /**
   * Where the key is kept once it was read, absolute: at the next start it is there before the API is. Not given: it is
   * not kept.
   */
  keyFile?: string;
  /** Pods whose addresses are asked to join (upstream: METALLB_ML_LABELS); default: every node's InternalIP. */
  podSelector?: string;
}

export interface SpeakerOptions extends Omit<SpeakerRules, 'strictExclude'> {
  /** IPv4 or IPv6; heartbeats and gossip come from it. */
  nodeAddress: string;
  /**
   * Undefined: no API anywhere; what is announced comes from the file. A promise: credentials may come later, or never
   * (undefined), and the file does not wait for them.
   */
  client?: KubeClient | Promise<KubeClient | undefined> | undefined;
  /** Of the Secret `memberlist` and the status objects. Default `metallb-system`. */
  namespace?: string | undefined;
  strictExclude?: boolean | undefined;
  /** An address stays where it is when a node comes back that the election prefers. Default false, as MetalLB. */
  sticky?: boolean | undefined;
  /** A file of announcements (`parseAnnouncementFile`), watched. */
  announcementsFile?: string | undefined;
  /** Where other parts ask for addresses (an egress gateway, the control plane's own); default: one of the speaker's own. */
  table?: AnnouncementTable | undefined;
  /** False: heartbeats among listed members alone. Without a client it needs a key. */
  gossip?: SpeakerGossip | false | undefined;
  /** Port of `/healthz`, `/readyz`, `/metrics` and `/status`; undefined: none. */
  http?: { port: number; host?: string } | undefined;
  clock?: Clock | undefined;
  log: Logger;
  parts: SpeakerParts;
}

export interface Speaker extends Running {
  /** Resolves when Services and the other speakers are known, or at once without an API. Rejects when stopped before. */
  readonly ready: Promise<void>;
  status(): SpeakerStatus;
  /** Prometheus text. */
  metrics(): string;
}

/** After this the speaker goes on without having heard of the others: one that is alone must announce too. */
const membersKnownMs = 10_000;

/**
 * Starts a node's speaker: announces by ARP, NDP and BGP what Services (upstream: speaker/main.go) and a file ask for.
 * The API may come late, go away and come back; what was known stays in force meanwhile.
 */
export async function startSpeaker(options: SpeakerOptions): Promise<Speaker> {
  const speaker = new StartedSpeaker(options);
  await speaker.serve();
  return speaker;
}

class StartedSpeaker implements Speaker {
  readonly #options: SpeakerOptions;
  readonly #clock: Clock;
  readonly #table: AnnouncementTable;
  readonly #stopping = new AbortController();
  readonly #membership: Membership;
  readonly #layer2: Layer2Announcer;
  readonly #bgp: BgpAnnouncer;
  readonly #file: WatchedFile | undefined;
  readonly #running: Running;
  readonly #gossiping: Promise<void>;
  #attempts: GossipAttempts | undefined;
  readonly #client: Promise<KubeClient | undefined>;
  #cluster: ClusterSide | undefined;
  #configuration: ConfigurationSource | undefined;
  #http: Running | undefined;
  #key: Uint8Array | undefined;
  #fileMembers: readonly Member[] = [];
  #nodeMembers: readonly Member[] = [];
  #nodeAddresses: readonly string[] = [];
  #comparing: Promise<void> = Promise.resolve();
  #isReady = false;
  readonly ready: Promise<void>;

  constructor(options: SpeakerOptions) {
    this.#options = options;
    const { nodeName, nodeAddress, log, parts } = options;
    this.#table = options.table ?? new AnnouncementTable();
    this.#client = this.#orStopped(options.client);
    this.#clock = options.clock ?? systemClock;
    const clock = this.#clock;
    this.#membership = new Membership({ own: { name: nodeName, address: nodeAddress }, clock, log });
    this.#gossiping = this.#startGossip().catch((error: unknown) => {
      if (!this.#stopping.signal.aborted) log.error({ err: error }, 'no gossip: its key cannot be had');
    });
    this.#layer2 = new Layer2Announcer({
      table: this.#table,
      membership: this.#membership,
      start: () => parts.layer2({ nodeName, nodeAddress, key: this.#key, sticky: options.sticky ?? false }),
      onOwnership: (now, before) => {
        log.info({ address: now.address, owner: now.owner, before: before?.owner }, 'owner');
        this.#cluster?.onOwnership(now, before);
      },
      log,
    });
    this.#bgp = new BgpAnnouncer({
      nodeName,
      load: () => parts.bgp({ nodeName, nodeAddress }),
      onChange: (keys) => this.#cluster?.onPeers(keys),
      log,
    });
    if (options.announcementsFile !== undefined) this.#file = this.#watchFile(options.announcementsFile);
    this.ready = this.#client.then(async (client) => {
      if (client && !this.#stopping.signal.aborted) await this.#attach(client);
      this.#isReady = true;
    });
    this.ready.catch(() => undefined);
    this.#running = running(() => this.#end());
  }

  /** Begins to answer HTTP. */
  async serve(): Promise<void> {
    const { http } = this.#options;
    if (!http) return;
    const health = {
      ...http,
      isReady: () => this.#isReady,
      notReady: 'Services and other speakers are not known yet',
      metrics: [() => this.metrics()],
      pages: { '/status': () => this.status() },
    };
    try {
      this.#http = await serveHealth(health);
    } catch (error) {
      // Addresses are announced all the same.
      this.#options.log.warn({ port: http.port, err: String(error) }, 'health and metrics are not served');
    }
  }

  status(): SpeakerStatus {
    return speakerStatus({
      nodeName: this.#options.nodeName,
      members: this.#membership.members(),
      ownerships: this.#layer2.ownerships(),
      sourcesOf: (address) => this.#table.get(address)?.sources ?? [],
      plans: this.#cluster?.plans() ?? [],
      peersOf: (key) => this.#bgp.peersOf(key),
      sessions: this.#bgp.sessions(),
      problems: this.#problems(),
    });
  }

  metrics(): string {
    const figures = metricsText({
      node: this.#options.nodeName,
      announced: this.#cluster?.announced() ?? [],
      sessions: this.#bgp.sessions(),
      configLoaded: this.#configuration?.config !== undefined,
      configStale: (this.#configuration?.problems ?? []).length > 0,
      updates: this.#cluster?.updates ?? 0,
    });
    return [figures, this.#layer2.metrics(), this.#bgp.metrics()].filter((text) => text !== '').join('\n');
  }

  stop(): Promise<void> {
    return this.#running.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#running.stop();
  }

  #problems(): string[] {
    const file = this.#file?.problem;
    const configuration = this.#configuration?.problems ?? [];
    return [...configuration.map(problemText), ...(file === undefined ? [] : [file])];
  }

  async #end(): Promise<void> {
    this.#stopping.abort(new Error('the speaker is stopped'));
    await this.#file?.stop();
    // Others take over as soon as this one says that it goes: before anything that waits for the API.
    await this.#layer2.stop();
    await this.#gossiping;
    await this.#attempts?.stop();
    await this.#comparing.catch(() => undefined);
    await this.#membership.stop();
    await this.#bgp.stop();
    await this.#configuration?.stop();
    await this.#cluster?.stop();
    await this.#http?.stop();
  }

  /** The client once it is there; undefined when the speaker is stopped before. */
  #orStopped(client: SpeakerOptions['client']): Promise<KubeClient | undefined> {
    const stopped = new Promise<undefined>((resolve) =>
      this.#stopping.signal.addEventListener('abort', () => resolve(undefined), { once: true }),
    );
    return Promise.race([Promise.resolve(client), stopped]);
  }

  /** Begins to follow the API. Resolves when everything is known. */
  #attach(client: KubeClient): Promise<void> {
    const cluster = this.#startCluster(client);
    this.#cluster = cluster;
    const { nodeName, namespace = 'metallb-system' } = this.#options;
    this.#configuration = this.#options.parts.configuration(client, { nodeName, namespace });
    this.#configuration.subscribe((config) => cluster.setConfig(config));
    if (this.#configuration.config) cluster.setConfig(this.#configuration.config);
    return cluster.ready;
  }

  #watchFile(path: string): WatchedFile {
    return watchAnnouncementFile({
      path,
      clock: this.#clock,
      log: this.#options.log,
      onContent: ({ announcements, members }) => {
        this.#fileMembers = members;
        this.#list();
        this.#setJoinAddresses();
        this.#table.set({ kind: 'file', name: path }, announcements);
      },
    });
  }

  #startCluster(client: KubeClient): ClusterSide {
    const { log, namespace = 'metallb-system', nodeName } = this.#options;
    const { loadBalancerClass, ignoreExclude, strictExclude = false } = this.#options;
    return new ClusterSide({
      client,
      namespace,
      rules: { nodeName, loadBalancerClass, ignoreExclude, strictExclude },
      table: this.#table,
      layer2: this.#layer2,
      bgp: this.#bgp,
      membership: this.#membership,
      membersKnown: this.#membersKnown(),
      onNodes: (nodes) => this.#onNodes(nodes),
      clock: this.#clock,
      log,
    });
  }

  #membersKnown(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.setTimeout(resolve, membersKnownMs);
      void this.#gossiping.then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  #onNodes(nodes: ReadonlyMap<string, Node>): void {
    const known = [...nodes.values()].flatMap((node): Member[] => {
      const address = node.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address;
      return address === undefined ? [] : [{ name: node.metadata.name ?? '', address }];
    });
    const { gossip } = this.#options;
    if (gossip === false) {
      this.#nodeMembers = known;
      this.#list();
    } else if (gossip?.podSelector === undefined) {
      this.#nodeAddresses = known.map(({ address }) => address);
      this.#setJoinAddresses();
    } else void this.#joinPods(gossip.podSelector);
  }

  #setJoinAddresses(): void {
    const listed = this.#fileMembers.map(({ address }) => address);
    this.#membership.setJoinAddresses([...new Set([...this.#nodeAddresses, ...listed])]);
  }

  #list(): void {
    // The file's word is the operator's.
    const members = new Map([...this.#nodeMembers, ...this.#fileMembers].map((one) => [one.name, one]));
    this.#membership.list([...members.values()]);
  }

  async #joinPods(labelSelector: string): Promise<void> {
    const { namespace = 'metallb-system', log } = this.#options;
    try {
      const { signal } = this.#stopping;
      const client = await this.#client;
      const pods = await client?.list(core.pods, { namespace, labelSelector, signal });
      const addresses = pods?.items.map(({ status }) => status?.podIP ?? '') ?? [];
      this.#nodeAddresses = addresses.filter((address) => address !== '');
      this.#setJoinAddresses();
    } catch (error) {
      if (!this.#stopping.signal.aborted) log.warn({ err: error }, 'cannot list the pods of other speakers');
    }
  }

  async #startGossip(): Promise<void> {
    const { gossip = {} } = this.#options;
    if (gossip === false) return;
    const known = gossip.key ?? (gossip.keyFile === undefined ? undefined : keptKey(gossip.keyFile));
    if (known) this.#key = known;
    const key = known ?? (await this.#sharedKey());
    if (!key || this.#stopping.signal.aborted) return;
    if (!known) {
      this.#key = key;
      if (gossip.keyFile !== undefined) keepKey(gossip.keyFile, key);
      // What a file asks for is announced by now, with heartbeats that nobody who has the key listens to.
      await this.#layer2.restart();
    }
    this.#attempts = this.#attemptGossip(key, gossip);
    await this.#attempts.attempted;
    if (known && gossip.keyFile !== undefined) this.#compareKey(known, gossip.keyFile);
  }

  async #sharedKey(): Promise<Uint8Array | undefined> {
    const client = await this.#client;
    const { namespace = 'metallb-system', log } = this.#options;
    const { signal } = this.#stopping;
    return client && (await waitForKey({ client, namespace, clock: this.#clock, log, signal }));
  }

  #attemptGossip(key: Uint8Array, gossip: SpeakerGossip): GossipAttempts {
    const { nodeName, nodeAddress, log, parts } = this.#options;
    const { podSelector: _, keyFile: __, port = 7946, bindAddress = nodeAddress, ...rest } = gossip;
    const clock = this.#clock;
    const addresses = { bindAddress, advertiseAddress: nodeAddress, port };
    return attemptGossip({
      open: () => parts.gossip({ ...rest, ...addresses, nodeName, key, log, clock }),
      use: (started) => this.#membership.use(started),
      clock,
      log,
    });
  }

  /** Not waited for: the API may be away for long. A new key counts from the next start on, as MetalLB's does. */
  #compareKey(used: Uint8Array, keyFile: string): void {
    this.#comparing = this.#sharedKey().then((now) => {
      if (!now || Buffer.compare(now, used) === 0) return;
      keepKey(keyFile, now);
      this.#options.log.warn(
        'the Secret memberlist has another key: it is used from the next start of the speaker',
      );
    });
    this.#comparing.catch(() => undefined);
  }
}
