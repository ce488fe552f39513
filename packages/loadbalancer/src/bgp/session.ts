import type { Socket } from 'node:net';
import { uptime } from 'node:os';
import { type Clock, type ClockTimer, systemClock } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import type { BfdCounters, BfdFactory, BfdSession, BfdState } from '../bfd/bfd.ts';
import type { BgpPeer } from '../config/config.ts';
import { addressBytes } from '../socket/address.ts';
import { connectTcp } from '../socket/tcp.ts';
import { AdjRibOut } from './adj-rib-out.ts';
import type { BgpCounters, BgpEnding, BgpRoute, BgpSession, BgpSessionStatus } from './bgp.ts';
import { Connection } from './connection.ts';
import { type FsmAction, type FsmEvent, BgpFsm } from './fsm.ts';
import { type Interfaces, type LocalAddresses, defaultRouterId, localAddresses } from './local-addresses.ts';
import type { Negotiated } from './negotiation.ts';
import { BgpError, errorCode } from './wire/notification.ts';
import type { Incoming } from './wire/incoming.ts';

export interface BgpSessionOptions {
  readonly peer: BgpPeer;
  /** Gives a BGP identifier to a node without any IPv4 address. */
  readonly nodeName: string;
  /** The node's BGP identifier, IPv4 text; the peer's own `routerId` comes first, the connection's address last. */
  readonly routerId?: string;
  /** Made from the peer's BFD profile; undefined: none. */
  readonly bfd?: BfdFactory | undefined;
  /**
   * Whether packets to the routes were forwarded while no speaker ran (the F bit of RFC 4724). What is in the kernel
   * outlives the agent, but no boot: by default it is true when the machine has been up for longer than a peer keeps
   * routes, which then are none of before the boot.
   */
  readonly forwardingPreserved?: boolean;
  readonly log: Logger;
  readonly clock?: Clock;
  /** 0 ≤ x < 1, for the jitter of timers. */
  readonly random?: () => number;
  /** The node's interfaces, when they are not this process's. */
  readonly interfaces?: () => Interfaces;
}

/** As long as FRR's default: enough for an upgrade of the agent. */
const restartTimeSeconds = 120;
/** RFC 9687: a peer that takes nothing in for so long is given up. */
const sendHoldMs = 480_000;

/**
 * Starts a session with one peer: it connects, and connects again with back-off, until it is stopped. What fails is in
 * the status, nothing is thrown.
 */
export function startBgpSession(options: BgpSessionOptions): BgpSession {
  const session = new Session(options);
  session.start();
  return session;
}

class Session implements BgpSession {
  readonly peer: BgpPeer;
  readonly #options: BgpSessionOptions;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #fsm: BgpFsm;
  readonly #listeners = new Set<(status: BgpSessionStatus) => void>();
  readonly #counters: { -readonly [name in keyof BgpCounters]: number } = {
    opensSent: 0,
    opensReceived: 0,
    updatesSent: 0,
    updatesReceived: 0,
    notificationsSent: 0,
    notificationsReceived: 0,
    keepalivesSent: 0,
    keepalivesReceived: 0,
    routeRefreshesReceived: 0,
  };
  /** Undefined until the first {@link setRoutes}: nothing is told before. */
  #routes: readonly BgpRoute[] | undefined;
  #connection: Connection | undefined;
  readonly #closing = new Set<Promise<void>>();
  #rib: AdjRibOut | undefined;
  #toldEndOfRib = false;
  #blockedSinceMs: number | undefined;
  #bfd: { readonly session: BfdSession; readonly localAddress: string } | undefined;
  #timer: ClockTimer | undefined;
  #sinceMs: number;
  #told = '';
  #logged: string | undefined;
  #ended: Promise<void> | undefined;

  constructor(options: BgpSessionOptions) {
    const { peer } = options;
    this.peer = peer;
    this.#options = options;
    this.#log = options.log.child({ peer: peer.name, address: peer.peerAddress });
    this.#clock = options.clock ?? systemClock;
    this.#sinceMs = this.#clock.nowMs();
    this.#fsm = new BgpFsm({
      localAsn: peer.myAsn,
      peerAsn: peer.peerAsn,
      holdTimeSeconds: peer.holdTimeSeconds,
      keepaliveTimeSeconds: peer.keepaliveTimeSeconds,
      connectTimeSeconds: peer.connectTimeSeconds,
      restart: peer.enableGracefulRestart
        ? {
            timeSeconds: restartTimeSeconds,
            forwarding: options.forwardingPreserved ?? uptime() > restartTimeSeconds,
          }
        : undefined,
      random: options.random ?? Math.random,
      noAnswer: noAnswer(peer),
    });
  }

  start(): void {
    this.#handle({ type: 'start' });
  }

  setRoutes(routes: readonly BgpRoute[]): void {
    this.#routes = [...routes];
    this.#flush();
    this.#tell();
  }

  status(): BgpSessionStatus {
    return {
      state: this.#fsm.state,
      sinceMs: this.#sinceMs,
      lastError: this.#fsm.lastError,
      bfd: this.#bfd?.session.state,
      advertisedRoutes: this.#rib?.size ?? 0,
      wantedRoutes: this.#routes?.length ?? 0,
      untold: this.#rib?.untold ?? [],
    };
  }

  bfdCounters(): BfdCounters | undefined {
    return this.#bfd?.session.counters();
  }

  counters(): BgpCounters {
    return { ...this.#counters };
  }

  subscribe(listener: (status: BgpSessionStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  stop(how: BgpEnding = 'shutdown'): Promise<void> {
    return (this.#ended ??= this.#stop(how));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stop(how: BgpEnding): Promise<void> {
    const silent = how === 'restart' && this.#fsm.negotiated?.gracefulRestart === true;
    this.#handle({ type: 'stop', silent, words: 'the speaker stops announcing to this peer' });
    this.#timer?.cancel();
    const { session } = this.#bfd ?? {};
    this.#bfd = undefined;
    this.#listeners.clear();
    await Promise.all([...this.#closing, session?.stop()]);
  }

  /** Gives the state machine an event and does what it says. */
  #handle(event: FsmEvent): void {
    const before = this.#fsm.state;
    const actions = this.#fsm.handle(event, this.#clock.monotonicMs());
    if (this.#fsm.state !== before) this.#sinceMs = this.#clock.nowMs();
    for (const action of actions) this.#do(action);
    this.#setTimer();
    this.#tell();
  }

  #do(action: FsmAction): void {
    switch (action.type) {
      case 'connect':
        return this.#connect();
      case 'send':
        if (action.kind === 'open') this.#counters.opensSent += 1;
        if (action.kind === 'keepalive') this.#counters.keepalivesSent += 1;
        if (action.kind === 'notification') this.#counters.notificationsSent += 1;
        this.#connection?.send(action.frame);
        return;
      case 'close':
        return this.#close();
      case 'established':
        return this.#established(action.negotiated);
      case 'lost':
        this.#rib = undefined;
        return;
      case 'refresh':
        this.#counters.routeRefreshesReceived += 1;
        this.#rib?.refresh(action.family);
        this.#flush();
    }
  }

  #connect(): void {
    const { peer } = this;
    let socket: Socket;
    try {
      socket = connectTcp({
        address: peer.peerAddress,
        port: peer.peerPort,
        sourceAddress: peer.sourceAddress,
        md5Password: peer.password,
        ttl: ttlOf(peer),
      });
    } catch (error) {
      // Later, as any other failure to connect: the state machine is at work.
      const reason = error instanceof Error ? error.message : String(error);
      setImmediate(() => this.#handle({ type: 'connect-failed', reason }));
      return;
    }
    const connection = new Connection(socket, {
      connected: () => this.#connected(connection),
      message: (message) => this.#received(connection, message),
      refused: (error) => this.#from(connection, { type: 'refuse', error }),
      failed: (reason) =>
        this.#from(connection, { type: 'connect-failed', reason: `cannot connect: ${reason}` }),
      closed: (reason) => this.#from(connection, { type: 'closed', reason }),
      drained: () => this.#flush(),
      fourOctetAsn: () => this.#fsm.negotiated?.fourOctetAsn ?? false,
    });
    this.#connection = connection;
  }

  /** An event of a connection, unless that is no more the session's. */
  #from(connection: Connection, event: FsmEvent): void {
    if (this.#connection === connection) this.#handle(event);
  }

  #connected(connection: Connection): void {
    const { peer, nodeName, routerId, interfaces } = this.#options;
    const chosen =
      peer.routerId ?? routerId ?? defaultRouterId(connection.localAddress, nodeName, interfaces?.());
    const identifier = Buffer.from(addressBytes(chosen)).readUInt32BE(0);
    this.#from(connection, { type: 'connected', identifier });
  }

  #received(connection: Connection, message: Incoming): void {
    if (this.#connection !== connection) return;
    if (message.type === 'open') this.#counters.opensReceived += 1;
    if (message.type === 'update') this.#counters.updatesReceived += 1;
    if (message.type === 'keepalive') this.#counters.keepalivesReceived += 1;
    if (message.type === 'notification') this.#counters.notificationsReceived += 1;
    this.#handle({ type: 'message', message });
  }

  #close(): void {
    const closed = this.#connection?.close();
    this.#connection = undefined;
    this.#blockedSinceMs = undefined;
    if (closed === undefined) return;
    this.#closing.add(closed);
    void closed.then(() => this.#closing.delete(closed));
  }

  #established(negotiated: Negotiated): void {
    const connection = this.#connection as Connection;
    const { peer } = this;
    const local = localAddresses(
      connection.localAddress,
      peer.peerAddress,
      negotiated.ipv4OverIpv6,
      this.#options.interfaces?.(),
    );
    const { internal, fourOctetAsn } = negotiated;
    const format = { localAsn: peer.myAsn, internal, fourOctetAsn, nextHops: local.nextHops };
    this.#rib = new AdjRibOut(format, negotiated.families);
    this.#toldEndOfRib = false;
    this.#log.info(
      { peerAsn: negotiated.peerAsn, holdTime: negotiated.holdTimeSeconds },
      'BGP session established',
    );
    this.#watchPath(local, internal);
    this.#flush();
  }

  /** Tells the peer what has changed; while it takes nothing in, the changes gather here and not in a buffer. */
  #flush(): void {
    const connection = this.#connection;
    if (!this.#rib || !this.#routes || !connection) return;
    if (connection.blocked) {
      this.#blockedSinceMs ??= this.#clock.monotonicMs();
      return;
    }
    this.#blockedSinceMs = undefined;
    const updates = this.#rib.change(this.#routes);
    if (!this.#toldEndOfRib && this.#fsm.negotiated?.endOfRib === true) updates.push(...this.#rib.endOfRib());
    this.#toldEndOfRib = true;
    if (updates.length === 0) return;
    this.#counters.updatesSent += updates.length;
    connection.send(Buffer.concat(updates));
  }

  /** BFD for the path of this connection, from the first session on: it tells a dead one sooner than the hold time. */
  #watchPath({ address, onLink }: LocalAddresses, internal: boolean): void {
    const { bfd } = this.#options;
    if (!bfd || this.#bfd?.localAddress === address) return;
    void this.#bfd?.session.stop();
    // As FRR: an internal peer may be several hops away without anybody having said so.
    const multihop = this.peer.ebgpMultiHop || (internal && !onLink);
    const session = bfd({ localAddress: address, peerAddress: this.peer.peerAddress, multihop });
    let before: BfdState = session.state;
    session.subscribe((state, diagnostic) => {
      if (this.#bfd?.session !== session) return;
      // AdminDown is somebody's will and says nothing about the path (RFC 5882 section 3.2).
      const lost = before === 'Up' && state === 'Down';
      before = state;
      if (lost) this.#handle({ type: 'bfd-down', diagnostic });
      else this.#tell();
    });
    this.#bfd = { session, localAddress: address };
  }

  #setTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const deadlineMs = this.#fsm.nextDeadlineMs;
    if (deadlineMs === undefined) return;
    // What came while this process was held up is read before the hold timer is judged.
    this.#timer = this.#clock.setTimeout(
      () => setImmediate(() => this.#tick()),
      Math.max(0, deadlineMs - this.#clock.monotonicMs()),
    );
  }

  #tick(): void {
    const blockedMs = this.#clock.monotonicMs() - (this.#blockedSinceMs ?? Infinity);
    if (blockedMs >= sendHoldMs) {
      const why = `the peer took nothing in for ${sendHoldMs / 1000} s`;
      this.#handle({ type: 'refuse', error: new BgpError(errorCode.sendHoldTimer, 0, undefined, why) });
    } else this.#handle({ type: 'timer' });
  }

  /** Lets listeners and the log know what is new. */
  #tell(): void {
    const status = this.status();
    const text = `${status.state} ${status.lastError} ${status.bfd} ${status.advertisedRoutes}`;
    if (text === this.#told) return;
    this.#told = text;
    if (status.lastError !== this.#logged) {
      this.#logged = status.lastError;
      if (status.lastError !== undefined) this.#log.warn({ reason: status.lastError }, 'BGP session is down');
    }
    for (const listener of this.#listeners) listener(status);
  }
}

/** External peers are one hop away unless the configuration says otherwise (RFC 4271 section 5.1.3, as FRR does it). */
function ttlOf(peer: BgpPeer): number | undefined {
  if (peer.ebgpMultiHop) return 255;
  const internal = peer.peerAsn === 'internal' || peer.peerAsn === peer.myAsn;
  return internal ? undefined : 1;
}

function noAnswer(peer: BgpPeer): string {
  const silence = `no answer from ${peer.peerAddress} port ${peer.peerPort} in 10 s`;
  const md5 =
    peer.password === undefined
      ? 'a peer that expects a TCP MD5 password, which none is configured for here, drops packets without a word'
      : 'a peer with another TCP MD5 password, or none, drops packets without a word';
  return `${silence}: it cannot be reached, or ${md5}`;
}
