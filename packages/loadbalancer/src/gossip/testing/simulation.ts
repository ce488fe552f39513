import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import { random } from '@cloudless/kube/testing/random';
import type { GossipState } from '../gossip.ts';
import { gossipSettings } from '../settings.ts';
import type { GossipSettings } from '../settings.ts';
import type { SwimNetwork } from '../swim/network.ts';
import { Swim } from '../swim/swim.ts';
import type { Endpoint } from '../wire/address.ts';
import { addressText } from '../wire/address.ts';
import type { WireOptions } from '../wire/packet.ts';

export const plainWire: WireOptions = {
  label: '',
  keys: undefined,
  encryptionVersion: 1,
  compression: false,
  verifyIncoming: true,
  verifyOutgoing: true,
};

export interface ClusterOptions {
  readonly seed: number;
  readonly members: number;
  readonly settings?: Partial<GossipSettings>;
  readonly wire?: WireOptions;
  /** Share of packets that are lost. TCP gets through: it sends again. */
  readonly loss?: number;
}

/** A state that a member came to believe of another, in virtual time. */
export interface Belief {
  readonly atMs: number;
  readonly by: string;
  readonly about: string;
  readonly state: GossipState;
}

const latencyMs = { least: 0.2, spread: 2 };

/** One member of a simulated cluster. */
export class SimulatedNode {
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly swim: Swim;
  readonly #cluster: SimulatedCluster;
  /** What waits while the process stands still: timers first, as libuv runs them before it reads sockets. */
  readonly #held: { timers: Array<() => void>; packets: Array<() => void> } = { timers: [], packets: [] };
  #frozen = false;
  alive = true;

  constructor(cluster: SimulatedCluster, index: number) {
    this.#cluster = cluster;
    this.name = `node-${index}`;
    const addr = Buffer.from([10, 0, index >> 8, index & 0xff]);
    this.endpoint = { address: addressText(addr) ?? '', port: 7946 };
    this.swim = new Swim({
      self: { name: this.name, addr, port: 7946, meta: Buffer.alloc(0), vsn: Buffer.of(1, 5, 2, 0, 0, 0) },
      settings: cluster.settings,
      wire: cluster.wire,
      network: cluster.networkOf(this),
      clock: this.#clock(),
      random: cluster.random,
      warn: () => {},
      onChange: () => this.#noteBeliefs(),
    });
    this.swim.start();
  }

  readonly #believed = new Map<string, GossipState>();

  #noteBeliefs(): void {
    // The first changes are told while the member is being made.
    for (const { name, state } of this.swim?.membership.members.values() ?? []) {
      if (this.#believed.get(name) === state) continue;
      this.#believed.set(name, state);
      this.#cluster.beliefs.push({
        atMs: this.#cluster.clock.monotonicMs(),
        by: this.name,
        about: name,
        state,
      });
    }
  }

  /** Takes what comes over the network, now or when the process goes on. */
  take(action: () => void): void {
    if (!this.alive) return;
    if (this.#frozen) this.#held.packets.push(action);
    else action();
  }

  /** Ends without a word, as `kill -9` does. */
  kill(): void {
    this.alive = false;
    this.swim.stop();
  }

  /** SIGSTOP. */
  freeze(): void {
    this.#frozen = true;
  }

  /** SIGCONT. */
  thaw(): void {
    this.#frozen = false;
    for (const action of this.#held.timers.splice(0)) action();
    for (const action of this.#held.packets.splice(0)) action();
  }

  count(state: GossipState): number {
    return [...this.swim.membership.members.values()].filter((member) => member.state === state).length;
  }

  #clock(): Clock {
    const { clock } = this.#cluster;
    return {
      nowMs: () => clock.nowMs(),
      monotonicMs: () => clock.monotonicMs(),
      setTimeout: (callback, delayMs): ClockTimer => {
        let cancelled = false;
        const run = (): void => {
          if (!cancelled) callback();
        };
        const timer = clock.setTimeout(() => {
          if (this.#frozen) this.#held.timers.push(run);
          else run();
        }, delayMs);
        return {
          cancel: () => {
            cancelled = true;
            timer.cancel();
          },
        };
      },
    };
  }
}

/** Members on a network of virtual time, with latency, loss and partitions; the same seed gives the same run. */
export class SimulatedCluster {
  readonly clock = new FakeClock();
  readonly random: () => number;
  readonly settings: Readonly<GossipSettings>;
  readonly wire: WireOptions;
  readonly beliefs: Belief[] = [];
  readonly nodes: SimulatedNode[] = [];
  loss: number;
  /** Whether two members cannot reach each other. */
  apart: (a: SimulatedNode, b: SimulatedNode) => boolean = () => false;
  packets = 0;
  bytes = 0;

  constructor(options: ClusterOptions) {
    this.random = random(options.seed);
    this.settings = gossipSettings('lan', options.settings);
    this.wire = options.wire ?? plainWire;
    this.loss = options.loss ?? 0;
    for (let index = 1; index <= options.members; index++) this.add();
  }

  add(index = this.nodes.length + 1): SimulatedNode {
    const node = new SimulatedNode(this, index);
    this.nodes.push(node);
    return node;
  }

  /** Every member joins by the first one. */
  joinAll(): void {
    const [first, ...others] = this.nodes;
    if (!first) return;
    for (const other of others) other.swim.join(first.endpoint, () => {});
  }

  advance(ms: number): void {
    this.clock.advance(ms);
  }

  /** Advances until `holds`; the virtual milliseconds it took. Throws after `withinMs`. */
  until(what: string, withinMs: number, holds: () => boolean): number {
    const startMs = this.clock.monotonicMs();
    while (!holds()) {
      if (this.clock.monotonicMs() - startMs > withinMs)
        throw new Error(`not within ${withinMs} ms: ${what}`);
      this.advance(50);
    }
    return this.clock.monotonicMs() - startMs;
  }

  stop(): void {
    for (const node of this.nodes) node.kill();
  }

  networkOf(from: SimulatedNode): SwimNetwork {
    return {
      sendPacket: (to, packet) => {
        this.packets++;
        this.bytes += packet.length;
        if (this.random() < this.loss) return;
        const bytes = Buffer.from(packet);
        this.#deliver(from, to, (node) => {
          for (const problem of node.swim.receive(bytes, from.endpoint)) throw problem;
        });
      },
      tcpPing: (to, ping, timeoutMs, done) => {
        this.#roundTrip(from, to, timeoutMs, (node) => done(node?.name === ping.Node));
      },
      exchange: (to, state, join, done) => {
        this.#roundTrip(from, to, this.settings.tcpTimeoutMs, (node) => {
          if (!node) return done(new Error('no answer'));
          const answer = node.swim.membership.states();
          node.swim.merge(state);
          done(answer);
        });
      },
    };
  }

  #deliver(from: SimulatedNode, to: Endpoint, action: (node: SimulatedNode) => void): void {
    const node = this.#at(to);
    if (!node) return;
    const delayMs = latencyMs.least + this.random() * latencyMs.spread;
    this.clock.setTimeout(() => {
      if (!this.apart(from, node)) node.take(() => action(node));
    }, delayMs);
  }

  #roundTrip(
    from: SimulatedNode,
    to: Endpoint,
    timeoutMs: number,
    done: (node: SimulatedNode | undefined) => void,
  ): void {
    let ended = false;
    const end = (node: SimulatedNode | undefined): void => {
      if (ended) return;
      ended = true;
      from.take(() => done(node));
    };
    this.clock.setTimeout(() => end(undefined), timeoutMs);
    this.#deliver(from, to, end);
  }

  #at(to: Endpoint): SimulatedNode | undefined {
    return this.nodes.findLast((node) => node.alive && node.endpoint.address === to.address);
  }
}
