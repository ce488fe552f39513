import { randomBytes } from 'node:crypto';
import type { AddressPlan } from '../../announcement.ts';
import { openUdpSocket, type UdpSocket } from '../../socket/udp-socket.ts';
import { Heartbeats, type OwnState } from '../heartbeat.ts';
import type { HeartbeatCounts } from '../heartbeat-counts.ts';
import type { HeartbeatSettings } from '../heartbeat-settings.ts';
import type { Member } from '../layer2.ts';
import { OwnershipRules } from '../ownership.ts';
import type { Decision, Elector, ElectorContext } from './elector.ts';

/** What the main side is told for its metrics. */
export interface HeartbeatReport {
  readonly state: OwnState;
  readonly counts: HeartbeatCounts;
  readonly contests: number;
}

const datagramsPerTurn = 256;

/**
 * Elects among those whose heartbeats come: {@link Heartbeats} and {@link OwnershipRules} with a UDP socket, in the
 * loop of the layer-2 thread.
 */
export class HeartbeatElector implements Elector {
  readonly #context: ElectorContext;
  readonly #settings: HeartbeatSettings;
  readonly #socket: UdpSocket;
  readonly #fds: readonly number[];
  readonly #heartbeats: Heartbeats;
  readonly #rules: OwnershipRules;
  #plans: readonly AddressPlan[] | undefined;
  #members: readonly Member[] | undefined;
  #decisions: ReadonlyMap<string, Decision> = new Map();
  #state: OwnState = 'joining';
  readonly #standings = new Map<string, string>();
  /** When anything was last heard on an interface, as of the last look. */
  readonly #heardMs = new Map<string, number>();
  /** The interface of the heartbeats' own address; undefined: not found. */
  #interface: string | undefined;

  /** @throws {SystemCallError} when the socket cannot be had, naming address and port. */
  constructor(context: ElectorContext, settings: HeartbeatSettings) {
    this.#context = context;
    this.#settings = settings;
    this.#socket = openUdpSocket(settings.address, settings.port);
    this.#fds = [this.#socket.fd];
    this.#interface = context.interfaceWith(settings.address);
    this.#heartbeats = new Heartbeats({
      nodeName: context.nodeName,
      timing: { intervalMs: settings.intervalMs, multiplier: settings.multiplier },
      gossipKey: settings.gossipKey,
      drawEpoch: () => randomBytes(8).readBigUInt64BE() | 1n,
      send: (to, datagram) => void this.#socket.send(datagram, to.address, settings.port),
      quietMs: (nowMs) => this.#quietMs(nowMs),
      changed: () => this.#changed(),
    });
    this.#rules = new OwnershipRules({
      nodeName: context.nodeName,
      heartbeats: this.#heartbeats,
      sticky: settings.sticky,
      announceAgain: (address) => context.announce(address),
    });
  }

  owners(
    plans: readonly AddressPlan[],
    members: readonly Member[],
    nowMs: number,
  ): ReadonlyMap<string, Decision> {
    if (plans !== this.#plans || members !== this.#members) this.#rules.set(plans, members, nowMs);
    this.#plans = plans;
    this.#members = members;
    const before = this.#decisions;
    this.#decisions = this.#rules.decide(nowMs);
    for (const [address, { contestedBy }] of this.#decisions)
      if (contestedBy !== undefined && before.get(address)?.contestedBy !== contestedBy)
        this.#context.log('warn', 'two nodes answered for one address', { address, node: contestedBy });
    return this.#decisions;
  }

  /** Present owners hand over to those that MetalLB's rule names. */
  rebalance(): void {
    this.#rules.rebalance();
    this.#context.changed();
  }

  report(): HeartbeatReport {
    return { state: this.#heartbeats.state, counts: this.#heartbeats.counts, contests: this.#rules.contests };
  }

  heardFrame(interfaceName: string, nowMs: number): boolean {
    const quietMs = nowMs - (this.#heardMs.get(interfaceName) ?? -Infinity);
    this.#heardMs.set(interfaceName, nowMs);
    this.#heartbeats.heardWire(quietMs, nowMs);
    return this.#heartbeats.mayAnswer(nowMs);
  }

  mayAnnounce(nowMs: number): boolean {
    return this.#heartbeats.mayAnnounce(nowMs);
  }

  fds(): readonly number[] {
    return this.#fds;
  }

  readable(): void {
    for (let i = 0; i < datagramsPerTurn; i++) {
      const datagram = this.#socket.receive();
      if (!datagram) return;
      this.#heartbeats.datagram(datagram.data, this.#context.nowMs());
    }
  }

  nextDeadlineMs(): number {
    return Math.min(this.#heartbeats.nextMs, this.#rules.nextMs());
  }

  deadline(nowMs: number): void {
    if (nowMs >= this.#rules.nextMs()) this.#context.changed();
    if (nowMs < this.#heartbeats.nextMs) return;
    this.#heartbeats.tick(nowMs);
    this.#listen();
  }

  frozen(gapMs: number): void {
    this.#heartbeats.stalled(gapMs, this.#context.nowMs());
  }

  /** Says goodbye: the others take over at once. */
  close(): void {
    this.#heartbeats.leave(this.#context.nowMs());
    this.#socket.close();
  }

  /** How long the heartbeats' interface had been quiet, as of the last look; without one, heartbeats alone tell. */
  #quietMs(nowMs: number): number {
    const heardMs = this.#interface === undefined ? undefined : this.#heardMs.get(this.#interface);
    return heardMs === undefined ? Infinity : nowMs - heardMs;
  }

  /** Looks once an interval at what was heard on the interfaces: also frames that are not this thread's. */
  #listen(): void {
    this.#interface ??= this.#context.interfaceWith(this.#settings.address);
    const names = new Set(this.#heardMs.keys());
    if (this.#interface !== undefined) names.add(this.#interface);
    for (const name of names) {
      const heardMs = this.#context.lastFrameMs(name);
      const beforeMs = this.#heardMs.get(name) ?? -Infinity;
      if (heardMs === undefined || heardMs <= beforeMs) continue;
      this.#heardMs.set(name, heardMs);
      // Somebody else's frame ends the quiet too: the next question must not find it ended already.
      this.#heartbeats.heardWire(heardMs - beforeMs, heardMs);
    }
  }

  #changed(): void {
    const context = this.#context;
    const { state } = this.#heartbeats;
    if (state !== this.#state) {
      const { rejoins } = this.#heartbeats.counts;
      if (state === 'live') context.log('info', 'answers for its addresses');
      else context.log('info', 'answers nothing until it has rejoined', { state, rejoins: { ...rejoins } });
      // Who asked meanwhile still waits.
      if (state === 'live' && this.#state === 'checking')
        for (const [address, { owner }] of this.#decisions)
          if (owner === this.#context.nodeName) context.announce(address);
    }
    this.#state = state;
    for (const { name, standing } of this.#heartbeats.peers()) {
      if (this.#standings.get(name) === standing) continue;
      this.#standings.set(name, standing);
      if (standing !== 'unheard') context.log('info', 'heartbeats of a node', { node: name, standing });
    }
    context.changed();
  }
}
