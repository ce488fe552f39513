import { random } from '@cloudless/kube/testing/random';
import type { AddressPlan } from '../announcement.ts';
import { Heartbeats, type HeartbeatTiming } from '../layer2/heartbeat.ts';
import type { Member } from '../layer2/layer2.ts';
import { type OwnershipDecision, OwnershipRules } from '../layer2/ownership.ts';

/** What the loop of the thread takes for a freeze. */
const freezeMs = 250;

export interface SimulatedHostOptions {
  readonly gossipKey?: Uint8Array | undefined;
  readonly sticky?: boolean;
  readonly timing?: HeartbeatTiming;
}

/** One host: its speaker's heartbeats and rules, its place on the network, and whether it runs. */
export class SimulatedHost {
  readonly name: string;
  readonly member: Member;
  /** Hosts hear each other when both have the same; a cut port is a side of its own. */
  side = 0;
  running = false;
  frozenSinceMs: number | undefined;
  heartbeats!: Heartbeats;
  rules!: OwnershipRules;
  decisions: ReadonlyMap<string, OwnershipDecision> = new Map();
  /** Addresses announced again after a contest. */
  readonly announced: string[] = [];
  /** Whom its gossip lists. */
  listed: ReadonlySet<string> = new Set();
  lastWireMs = 0;
  /** A decision is due, as in the thread at the end of a round. */
  changed = false;
  readonly waiting: Array<() => void> = [];
  /** Added to the network's time: no two machines' clocks agree. */
  readonly clockMs: number;

  constructor(name: string, index: number, clockMs: number) {
    this.name = name;
    this.member = { name, address: `192.0.2.${index + 1}` };
    this.clockMs = clockMs;
  }
}

/** Hosts on a network that loses, delays and parts, in a time of its own. */
export class SimulatedNetwork {
  readonly hosts: SimulatedHost[];
  readonly random: () => number;
  readonly options: SimulatedHostOptions;
  plans: readonly AddressPlan[] = [];
  nowMs = 0;
  loss = 0;
  delayMs: [number, number] = [0.1, 1];
  /** One-way cuts. */
  blocked: (from: SimulatedHost, to: SimulatedHost) => boolean = () => false;
  /** Datagrams that are on the network, for a listener (one who plays them again). */
  onDatagram: ((to: SimulatedHost, bytes: Uint8Array) => void) | undefined;
  readonly #events: Array<{ atMs: number; order: number; run: () => void }> = [];
  #order = 0;

  constructor(names: readonly string[], seed: number, options: SimulatedHostOptions = {}) {
    this.random = random(seed);
    this.options = options;
    this.hosts = names.map((name, i) => new SimulatedHost(name, i, Math.floor(this.random() * 1e6)));
  }

  host(name: string): SimulatedHost {
    const host = this.hosts.find((candidate) => candidate.name === name);
    if (!host) throw new Error(`no host ${name}`);
    return host;
  }

  /** Starts a speaker that knows all members (or those given). */
  start(host: SimulatedHost, members: readonly Member[] = this.hosts.map(({ member }) => member)): void {
    host.running = true;
    host.frozenSinceMs = undefined;
    host.waiting.length = 0;
    host.heartbeats = new Heartbeats({
      nodeName: host.name,
      gossipKey: this.options.gossipKey,
      ...(this.options.timing && { timing: this.options.timing }),
      drawEpoch: () => BigInt(Math.floor(this.random() * 2 ** 50)) + 1n,
      send: (to, bytes) => this.#send(host, to, bytes),
      quietMs: () => this.nowMs - host.lastWireMs,
      changed: () => (host.changed = true),
    });
    host.rules = new OwnershipRules({
      nodeName: host.name,
      heartbeats: host.heartbeats,
      sticky: this.options.sticky ?? false,
      announceAgain: (address) => host.announced.push(address),
    });
    this.setMembers(host, members);
    this.#wake(host);
  }

  /** What gossip tells the host. */
  setMembers(host: SimulatedHost, members: readonly Member[]): void {
    host.listed = new Set(members.map(({ name }) => name));
    host.rules.set(this.plans, members, this.#clock(host));
    host.changed = true;
    this.#decide(host);
  }

  kill(host: SimulatedHost): void {
    host.running = false;
  }

  /** An orderly end. */
  leave(host: SimulatedHost): void {
    host.heartbeats.leave(this.#clock(host));
    host.running = false;
  }

  rebalance(host: SimulatedHost): void {
    host.rules.rebalance();
    host.changed = true;
    this.#decide(host);
  }

  freeze(host: SimulatedHost): void {
    host.frozenSinceMs ??= this.nowMs;
  }

  /** As the thread's loop: the gap is told first, then what waits in sockets is read. */
  thaw(host: SimulatedHost): void {
    const sinceMs = host.frozenSinceMs;
    host.frozenSinceMs = undefined;
    if (!host.running || sinceMs === undefined) return;
    const gapMs = this.nowMs - sinceMs;
    if (gapMs > freezeMs) host.heartbeats.stalled(gapMs, this.#clock(host));
    this.#decide(host);
    for (const event of host.waiting.splice(0)) event();
    this.#wake(host);
  }

  /**
   * Lets gossip run beside: who was out of reach for `deadMs` is dropped from a host's list, who was in reach for `aliveMs`
   * comes back; a host that starts hears at once of those in reach.
   */
  gossip(deadMs: number, aliveMs: number): void {
    const sinceMs = new Map<string, number>();
    const look = (): void => {
      for (const host of this.hosts) {
        if (!host.running || host.frozenSinceMs !== undefined) continue;
        const listed = new Set(host.listed);
        for (const other of this.hosts) {
          const key = `${host.name} ${other.name}`;
          if (this.reaches(host, other) === listed.has(other.name)) {
            sinceMs.delete(key);
            continue;
          }
          const start = sinceMs.get(key) ?? this.nowMs;
          sinceMs.set(key, start);
          if (this.nowMs - start < (listed.has(other.name) ? deadMs : aliveMs)) continue;
          if (!listed.delete(other.name)) listed.add(other.name);
          sinceMs.delete(key);
        }
        if (listed.size === host.listed.size && listed.isSubsetOf(host.listed)) continue;
        this.setMembers(
          host,
          this.hosts.filter(({ name }) => listed.has(name)).map(({ member }) => member),
        );
      }
      this.at(this.nowMs + 50, look);
    };
    look();
  }

  reaches(from: SimulatedHost, to: SimulatedHost): boolean {
    return from === to || (to.running && to.frozenSinceMs === undefined && to.side === from.side);
  }

  /** A broadcast of some other station, heard by every host of one side. */
  broadcast(side: number): void {
    for (const host of this.hosts)
      if (host.side === side)
        this.#deliver(host, () => {
          host.heartbeats.heardWire(this.nowMs - host.lastWireMs, this.#clock(host));
          host.lastWireMs = this.nowMs;
          this.#decide(host);
        });
  }

  /** Whether the host would answer a question for the address at this moment. */
  answers(host: SimulatedHost, address: string): boolean {
    if (!host.running || host.frozenSinceMs !== undefined) return false;
    const decision = host.decisions.get(address);
    return decision?.owner === host.name && host.heartbeats.mayAnswer(this.#clock(host));
  }

  owners(address: string, side?: number): string[] {
    return this.hosts
      .filter((host) => side === undefined || host.side === side)
      .filter((host) => this.answers(host, address))
      .map(({ name }) => name);
  }

  /** Goes on for `ms`, calling `look` every `stepMs`. */
  run(ms: number, look?: () => void, stepMs = 5): void {
    const endMs = this.nowMs + ms;
    if (look) {
      const again = (): void => {
        look();
        if (this.nowMs + stepMs <= endMs) this.at(this.nowMs + stepMs, again);
      };
      this.at(this.nowMs + stepMs, again);
    }
    let turns = 0;
    for (;;) {
      // A part that asks for a moment that has passed would spin a real thread too.
      turns += 1;
      if (turns > 2000 * (ms + 100)) throw new Error(`spins at ${this.nowMs}`);
      const next = this.#events[0];
      if (!next || next.atMs > endMs) break;
      this.#events.shift();
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.run();
    }
    this.nowMs = endMs;
  }

  at(atMs: number, run: () => void): void {
    const event = { atMs, order: this.#order++, run };
    let i = this.#events.length;
    while (i > 0 && (this.#events[i - 1] as { atMs: number }).atMs > atMs) i -= 1;
    this.#events.splice(i, 0, event);
  }

  #clock(host: SimulatedHost): number {
    return this.nowMs + host.clockMs;
  }

  #send(from: SimulatedHost, to: Member, bytes: Uint8Array): void {
    const target = this.hosts.find(({ member }) => member.address === to.address);
    if (!target || target.side !== from.side || this.random() < this.loss) return;
    if (this.blocked(from, target)) return;
    this.onDatagram?.(target, bytes);
    const [least, most] = this.delayMs;
    const { side } = target;
    this.at(this.nowMs + least + this.random() * (most - least), () => {
      if (target.side === side) this.inject(target, bytes);
    });
  }

  /** A datagram arrives. */
  inject(target: SimulatedHost, bytes: Uint8Array): void {
    this.#deliver(target, () => {
      target.heartbeats.datagram(bytes, this.#clock(target));
      this.#decide(target);
    });
  }

  #deliver(host: SimulatedHost, event: () => void): void {
    if (!host.running) return;
    if (host.frozenSinceMs !== undefined) {
      // A socket's buffer has an end.
      if (host.waiting.length < 200) host.waiting.push(event);
    } else {
      event();
      this.#wake(host);
    }
  }

  #decide(host: SimulatedHost): void {
    while (host.changed || this.#clock(host) >= host.rules.nextMs()) {
      host.changed = false;
      host.decisions = host.rules.decide(this.#clock(host));
    }
  }

  /** Sees to it that the host is called when it wants to be. */
  #wake(host: SimulatedHost): void {
    const { heartbeats } = host;
    const next = Math.min(heartbeats.nextMs, host.rules.nextMs()) - host.clockMs;
    if (next === Infinity) return;
    this.at(Math.max(next, this.nowMs), () => {
      if (!host.running || host.frozenSinceMs !== undefined || host.heartbeats !== heartbeats) return;
      const due = Math.min(heartbeats.nextMs, host.rules.nextMs()) - host.clockMs;
      if (due > this.nowMs) return;
      heartbeats.tick(this.#clock(host));
      this.#decide(host);
      this.#wake(host);
    });
  }
}

/** A plan for an address, for tests. */
export function planOf(address: string, candidates: readonly string[] | 'any' = 'any'): AddressPlan {
  return { address, candidates, interfaces: 'any', sources: [{ kind: 'file', name: 'test' }], refused: [] };
}
