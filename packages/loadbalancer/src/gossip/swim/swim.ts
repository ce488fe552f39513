import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import type { GossipSettings } from '../settings.ts';
import type { Endpoint } from '../wire/address.ts';
import { compoundBytes, compoundEntryBytes, packCompounds } from '../wire/compound.ts';
import type { Message, NodeState } from '../wire/messages.ts';
import { openPacket, packetOverhead, sealPacket } from '../wire/packet.ts';
import type { WireOptions } from '../wire/packet.ts';
import { Awareness } from './awareness.ts';
import { BroadcastQueue } from './broadcast-queue.ts';
import { protocolMaxOf } from './member.ts';
import type { MemberRecord } from './member.ts';
import { Members } from './members.ts';
import { Membership } from './membership.ts';
import type { MembershipOptions, Warn } from './membership.ts';
import type { SwimNetwork } from './network.ts';
import { Prober } from './prober.ts';
import { Reconnector } from './reconnector.ts';
import { scaledPushPullMs } from './scaling.ts';

export interface SwimOptions {
  readonly self: MembershipOptions['self'];
  readonly settings: Readonly<GossipSettings>;
  readonly wire: WireOptions;
  readonly network: SwimNetwork;
  readonly clock: Clock;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  readonly warn: Warn;
  /** Members have changed; called once for all changes of one packet, exchange or timer. */
  readonly onChange: () => void;
}

/** Version of the protocol from which packets carry a checksum. */
const checksumVersion = 5;

/**
 * From a join to a second exchange, with whom chance picks: where many join or meet again at once, gossip alone may miss
 * one of them until the next push/pull.
 */
const settleMs = 1_000;

/**
 * The SWIM protocol as memberlist has it, with Lifeguard: a state machine that is given packets, states, the time and
 * random numbers, and asks a {@link SwimNetwork} to send. It reads no clock and opens no socket itself.
 */
export class Swim {
  readonly #options: SwimOptions;
  readonly #broadcasts: BroadcastQueue;
  readonly #prober: Prober;
  readonly #reconnector: Reconnector;
  readonly #timers = new Map<string, ClockTimer>();
  readonly awareness: Awareness;
  readonly membership: Membership;
  #changed = false;
  #stopped = false;

  constructor(options: SwimOptions) {
    const { settings, random, warn, self } = options;
    this.#options = options;
    const clock = this.#tellingClock(options.clock);
    const members = new Members(random);
    this.#broadcasts = new BroadcastQueue(settings.retransmitMult, () => members.size);
    this.awareness = new Awareness(settings.awarenessMaxMultiplier);
    const { awareness } = this;
    this.#reconnector = new Reconnector(settings.reconnectTimeoutMs, random);
    const onChange = (member?: MemberRecord): void => this.#noteChange(member);
    const askSuspect = (member: MemberRecord): void => this.#prober.ask(member);
    const about = {
      self,
      defaultPort: self.port,
      settings,
      clock,
      random,
      awareness,
      warn,
      askSuspect,
      onChange,
    };
    this.membership = new Membership(about, members, this.#broadcasts);
    const { membership } = this;
    const send = (to: Endpoint, messages: readonly Buffer[]): void => this.#send(to, messages);
    const { network } = options;
    this.#prober = new Prober({ membership, settings, clock, random, awareness, warn, send, network });
  }

  /** Starts probing, gossiping and exchanging states, each at a random phase. */
  start(): void {
    const { settings, random } = this.#options;
    const { probeIntervalMs, gossipIntervalMs, gossipNodes, pushPullIntervalMs, reconnectIntervalMs } =
      settings;
    this.#every('probe', probeIntervalMs, random(), () => this.#prober.tick());
    if (gossipNodes > 0) this.#every('gossip', gossipIntervalMs, random(), () => this.#gossip());
    if (reconnectIntervalMs > 0)
      this.#every('reconnect', reconnectIntervalMs, random(), () => this.#reconnect());
    if (pushPullIntervalMs > 0)
      this.#after('push/pull', random() * pushPullIntervalMs, () => this.#nextPushPull());
  }

  /** Ends every timer; nothing is sent afterwards. */
  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    this.#prober.stop();
    this.membership.stop();
  }

  /** Takes a packet. Throws `LabelError` and `EncryptionError` for one of another cluster; else what is wrong is returned. */
  receive(packet: Buffer, from: Endpoint): readonly Error[] {
    if (this.#stopped) return [];
    const { messages, problems } = openPacket(packet, this.#options.wire);
    // Pings last, so that the answer carries what is to be said to an accusation that came along.
    for (const message of messages) if (message.name !== 'ping') this.#handle(message, from);
    for (const message of messages) if (message.name === 'ping') this.#handle(message, from);
    this.#tellChanges();
    return problems;
  }

  /** Takes in a state that came over a stream. Throws `ProtocolVersionError`. */
  merge(nodes: readonly NodeState[]): void {
    if (this.#stopped) return;
    this.membership.merge(nodes);
    this.#tellChanges();
  }

  /** Exchanges states with a member to be. Comes back first if this member has left. */
  join(to: Endpoint, done: (error: Error | undefined) => void): void {
    if (this.membership.left) this.membership.enter();
    this.#tellChanges();
    this.#exchange(to, true, done);
  }

  /** Says that this member goes; `onTold` when the others were told, or nobody is there to be told. */
  leave(onTold: () => void): void {
    const { membership } = this;
    const alone = ![...membership.members.values()].some(
      (member) => member !== membership.self && (member.state === 'alive' || member.state === 'suspect'),
    );
    const leaves = membership.leave(alone ? () => {} : onTold);
    this.#tellChanges();
    if (alone || !leaves) onTold();
  }

  #handle(message: Message, from: Endpoint): void {
    const { membership } = this;
    switch (message.name) {
      case 'ping':
        return this.#prober.onPing(message.body, from);
      case 'indirectPing':
        return this.#prober.onIndirectPing(message.body, from);
      case 'ack':
        return this.#prober.onAck(message.body.SeqNo);
      case 'nack':
        return this.#prober.onNack(message.body.SeqNo);
      case 'alive':
        return membership.alive(message.body);
      case 'suspect':
        return membership.suspect(message.body);
      case 'dead':
        return membership.dead(message.body);
      case 'error':
        // The answer to a stream; in a packet it answers nothing.
        return;
    }
  }

  #gossip(): void {
    const { settings, clock } = this.#options;
    const heardMs = clock.monotonicMs() - settings.gossipToTheDeadMs;
    const { self, members } = this.membership;
    const listeners = members.pick(
      settings.gossipNodes,
      (member) =>
        member !== self &&
        (member.state === 'alive' ||
          member.state === 'suspect' ||
          (member.state === 'dead' && member.stateChangeMs >= heardMs)),
    );
    for (const listener of listeners) {
      const messages = this.#broadcasts.take(compoundEntryBytes, this.#freeBytes());
      if (messages.length === 0) return;
      for (const packet of packCompounds(messages)) this.#sendPacket(listener.endpoint, packet, listener);
    }
  }

  /** Sends messages; broadcasts ride along with a single one to a member, never to who only says that it is one. */
  #send(to: Endpoint, messages: readonly Buffer[]): void {
    const member = this.membership.members.at(to);
    const [message] = messages;
    const riders =
      member && message && messages.length === 1
        ? this.#broadcasts.take(compoundEntryBytes, this.#freeBytes() - compoundEntryBytes - message.length)
        : [];
    for (const packet of packCompounds([...messages, ...riders])) this.#sendPacket(to, packet, member);
  }

  #sendPacket(to: Endpoint, packet: Buffer, member: MemberRecord | undefined): void {
    if (this.#stopped) return;
    const checksum = member !== undefined && protocolMaxOf(member) >= checksumVersion;
    this.#options.network.sendPacket(to, sealPacket(packet, checksum, this.#options.wire));
  }

  #freeBytes(): number {
    return this.#options.settings.packetBytes - packetOverhead(this.#options.wire) - compoundBytes;
  }

  #nextPushPull(): void {
    const intervalMs = scaledPushPullMs(
      this.#options.settings.pushPullIntervalMs,
      this.membership.members.size,
    );
    this.#after('push/pull', intervalMs, () => {
      this.#pushPull();
      this.#nextPushPull();
    });
  }

  #pushPull(): void {
    const { self, members } = this.membership;
    const [member] = members.pick(1, (one) => one !== self && one.state === 'alive');
    if (member) this.#exchange(member.endpoint, false, (error) => this.#warnOfExchange(member, error));
  }

  /** Who died may be there again, and not know that it died. */
  #reconnect(): void {
    if (this.membership.left) return;
    let alive = 0;
    for (const member of this.membership.members.values()) if (member.state === 'alive') alive++;
    const lost = this.#reconnector.next(alive, this.#options.clock.monotonicMs());
    if (lost) this.#exchange(lost, true, () => {});
  }

  #warnOfExchange(member: MemberRecord, error: Error | undefined): void {
    const fields = { member: member.name, address: member.endpoint.address, error: error?.message };
    if (error)
      this.#options.warn(`exchange ${member.name}`, fields, 'exchanging states with a member failed');
  }

  #exchange(to: Endpoint, join: boolean, done: (error: Error | undefined) => void): void {
    const stopped = (): void => done(new Error('gossip has stopped'));
    if (this.#stopped) return stopped();
    this.#options.network.exchange(to, this.membership.states(), join, (result) => {
      if (this.#stopped) return stopped();
      if (result instanceof Error) return done(result);
      try {
        this.merge(result);
      } catch (error) {
        return done(error as Error);
      }
      if (join) this.#after('settle', settleMs * (1 + this.#options.random()), () => this.#pushPull());
      done(undefined);
    });
  }

  #every(name: string, intervalMs: number, phase: number, action: () => void): void {
    const again = (): void => {
      this.#after(name, intervalMs, again);
      action();
    };
    this.#after(name, intervalMs * (1 + phase), again);
  }

  #after(name: string, delayMs: number, action: () => void): void {
    if (this.#stopped) return;
    this.#timers.get(name)?.cancel();
    const timer = this.#options.clock.setTimeout(() => {
      action();
      this.#tellChanges();
    }, delayMs);
    this.#timers.set(name, timer);
  }

  /** Tells the listeners after each timer, whoever set it. */
  #tellingClock(clock: Clock): Clock {
    return {
      nowMs: () => clock.nowMs(),
      monotonicMs: () => clock.monotonicMs(),
      setTimeout: (callback, delayMs) =>
        clock.setTimeout(() => {
          callback();
          this.#tellChanges();
        }, delayMs),
    };
  }

  #noteChange(member: MemberRecord | undefined): void {
    this.#changed = true;
    if (!member) return;
    const nowMs = this.#options.clock.monotonicMs();
    if (member.state === 'dead') this.#reconnector.lost(member.name, member.endpoint, nowMs);
    else if (member.state !== 'suspect') this.#reconnector.found(member.name, nowMs);
  }

  #tellChanges(): void {
    if (!this.#changed) return;
    this.#changed = false;
    this.#options.onChange();
  }
}
