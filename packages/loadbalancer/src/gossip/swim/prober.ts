import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import type { GossipSettings } from '../settings.ts';
import type { Endpoint } from '../wire/address.ts';
import { addressText } from '../wire/address.ts';
import { limits } from '../wire/limits.ts';
import type { Body } from '../wire/messages.ts';
import { encodeMessage } from '../wire/messages.ts';
import type { Awareness } from './awareness.ts';
import { protocolMaxOf } from './member.ts';
import type { MemberRecord } from './member.ts';
import type { Membership, Warn } from './membership.ts';
import type { SwimNetwork } from './network.ts';

export interface ProberOptions {
  readonly membership: Membership;
  readonly settings: Readonly<GossipSettings>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly awareness: Awareness;
  readonly warn: Warn;
  /** Sends messages in one packet; broadcasts ride along only with a single one. */
  readonly send: (to: Endpoint, messages: readonly Buffer[]) => void;
  readonly network: Pick<SwimNetwork, 'tcpPing'>;
}

interface Probe {
  readonly member: MemberRecord;
  readonly ping: Body<'ping'>;
  readonly dueMs: number;
  expectedNacks: number;
  nacks: number;
  overTcp: boolean;
  readonly timers: ClockTimer[];
}

interface Relay {
  readonly answer: (name: 'ack' | 'nack') => void;
  readonly timer: ClockTimer;
}

/** First version of the protocol with TCP pings, and with nacks. */
const tcpPingVersion = 3;
const nackVersion = 4;

/**
 * Finds out whether members answer: directly, through others, over TCP; and pings for others (memberlist, state.go:
 * probeNode; net.go: handleIndirectPing). One member is probed at a time.
 */
export class Prober {
  readonly #options: ProberOptions;
  readonly #relays = new Map<number, Relay>();
  #sequence: number;
  #probe: Probe | undefined;
  #tickMissed = false;

  constructor(options: ProberOptions) {
    this.#options = options;
    // From anywhere, so that who does not see the pings cannot guess which acks are awaited.
    this.#sequence = Math.floor(options.random() * 2 ** 32);
  }

  /** To be called each probe interval. A probe that takes longer makes up for one missed call. */
  tick(): void {
    if (this.#probe) {
      this.#tickMissed = true;
      return;
    }
    const member = this.#options.membership.nextProbe();
    if (member) this.#start(member);
  }

  #start(member: MemberRecord): void {
    const { settings, clock, awareness } = this.#options;
    const intervalMs = awareness.scale(settings.probeIntervalMs);
    const probe: Probe = {
      member,
      ping: this.#pingOf(member),
      dueMs: clock.monotonicMs() + intervalMs,
      expectedNacks: 0,
      nacks: 0,
      overTcp: false,
      timers: [],
    };
    this.#probe = probe;
    probe.timers.push(
      clock.setTimeout(() => this.#askOthers(probe), settings.probeTimeoutMs),
      clock.setTimeout(() => this.#giveUp(probe), intervalMs),
    );
    this.#sendPing(member, probe.ping);
  }

  /** Pings a suspect outside of the rounds of probes: it refutes, or repeats its refutation, with the ack. */
  ask(member: MemberRecord): void {
    this.#sendPing(member, this.#pingOf(member));
  }

  #pingOf(member: MemberRecord): Body<'ping'> {
    const { name, addr, endpoint } = this.#options.membership.self;
    const source = { SourceAddr: addr, SourcePort: endpoint.port, SourceNode: name };
    return { SeqNo: this.#nextSequence(), Node: member.name, ...source };
  }

  #sendPing(member: MemberRecord, ping: Body<'ping'>): void {
    const messages = [encodeMessage('ping', ping)];
    // A suspect gets to know of it first, so that it can refute.
    if (member.state !== 'alive') {
      const From = this.#options.membership.self.name;
      messages.push(encodeMessage('suspect', { Incarnation: member.incarnation, Node: member.name, From }));
    }
    this.#options.send(member.endpoint, messages);
  }

  #askOthers(probe: Probe): void {
    const { settings, membership, send, network, clock } = this.#options;
    const { member, ping } = probe;
    const others = membership.members.pick(
      settings.indirectChecks,
      (one) => one.state === 'alive' && one !== member && one !== membership.self,
    );
    for (const other of others) {
      const Nack = protocolMaxOf(other) >= nackVersion;
      if (Nack) probe.expectedNacks++;
      const target = { Target: member.addr, Port: member.endpoint.port };
      send(other.endpoint, [encodeMessage('indirectPing', { ...ping, ...target, Nack })]);
    }
    if (settings.disableTcpPings || protocolMaxOf(member) < tcpPingVersion) return;
    const leftMs = Math.max(1, probe.dueMs - clock.monotonicMs());
    network.tcpPing(member.endpoint, ping, leftMs, (answered) => {
      probe.overTcp = answered;
    });
  }

  #giveUp(probe: Probe): void {
    const { settings, clock, membership, warn } = this.#options;
    const { member, expectedNacks, nacks } = probe;
    if (clock.monotonicMs() - probe.dueMs > settings.probeIntervalMs) {
      // This process stood still: the answer may well be among what it has not read yet.
      this.#end(probe, 1);
      return;
    }
    if (probe.overTcp) {
      warn(
        `udp ${member.name}`,
        { member: member.name, address: member.endpoint.address },
        'member answers over TCP, but not over UDP: is UDP let through on the gossip port?',
      );
      this.#end(probe, -1);
      return;
    }
    const { name: Node, incarnation: Incarnation } = member;
    const From = membership.self.name;
    this.#end(probe, expectedNacks > 0 ? expectedNacks - nacks : 1, () => {
      membership.suspect({ Incarnation, Node, From });
    });
  }

  /** `health`: what the outcome says of this member's own. */
  #end(probe: Probe, health: number, then?: () => void): void {
    for (const timer of probe.timers) timer.cancel();
    this.#probe = undefined;
    this.#options.awareness.apply(health);
    then?.();
    if (!this.#tickMissed) return;
    this.#tickMissed = false;
    this.tick();
  }

  /** A ping for this member, or for one that was here before under another name. */
  onPing(ping: Body<'ping'>, from: Endpoint): void {
    const { membership, send, warn } = this.#options;
    if (ping.Node !== '' && ping.Node !== membership.self.name) {
      warn(
        `ping ${from.address}`,
        { from: from.address, for: ping.Node },
        'ping for another member came here',
      );
      return;
    }
    const ack = encodeMessage('ack', { SeqNo: ping.SeqNo, Payload: Buffer.alloc(0) });
    send(sourceOf(ping, from), [ack]);
  }

  /** Pings for another member, and passes on the answer, or that there is none. */
  onIndirectPing(request: Body<'indirectPing'>, from: Endpoint): void {
    const { membership, send, clock, settings } = this.#options;
    const address = addressText(request.Target);
    if (address === undefined || this.#relays.size >= limits.relays) return;
    const { name, addr, endpoint } = membership.self;
    const SeqNo = this.#nextSequence();
    const answer = (answerName: 'ack' | 'nack'): void => {
      const body = { SeqNo: request.SeqNo, Payload: Buffer.alloc(0) };
      const message = answerName === 'ack' ? encodeMessage('ack', body) : encodeMessage('nack', body);
      send(sourceOf(request, from), [message]);
    };
    const timer = clock.setTimeout(() => {
      this.#relays.delete(SeqNo);
      if (request.Nack) answer('nack');
    }, settings.probeTimeoutMs);
    this.#relays.set(SeqNo, { answer, timer });
    const port = request.Port === 0 ? endpoint.port : request.Port;
    const source = { SourceAddr: addr, SourcePort: endpoint.port, SourceNode: name };
    send({ address, port }, [encodeMessage('ping', { SeqNo, Node: request.Node, ...source })]);
  }

  onAck(SeqNo: number): void {
    if (this.#probe?.ping.SeqNo === SeqNo) {
      this.#end(this.#probe, -1);
      return;
    }
    const relay = this.#relays.get(SeqNo);
    if (!relay) return;
    this.#relays.delete(SeqNo);
    relay.timer.cancel();
    relay.answer('ack');
  }

  onNack(SeqNo: number): void {
    const probe = this.#probe;
    if (probe?.ping.SeqNo === SeqNo && probe.nacks < probe.expectedNacks) probe.nacks++;
  }

  /** Ends every timer. */
  stop(): void {
    for (const timer of this.#probe?.timers ?? []) timer.cancel();
    for (const relay of this.#relays.values()) relay.timer.cancel();
    this.#relays.clear();
    this.#probe = undefined;
  }

  #nextSequence(): number {
    this.#sequence = (this.#sequence + 1) >>> 0;
    return this.#sequence;
  }
}

/** Where the answer goes: to the address that the message tells, else to where it came from. */
function sourceOf(message: Body<'ping'> | Body<'indirectPing'>, from: Endpoint): Endpoint {
  const address = addressText(message.SourceAddr);
  return address === undefined || message.SourcePort === 0 ? from : { address, port: message.SourcePort };
}
