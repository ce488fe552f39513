import { type Clock, systemClock } from '@cloudless/kube/clock';
import { running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { AddressPlan } from '../announcement.ts';
import { addressBytes } from '../socket/address.ts';
import { libc } from '@cloudless/kube/native/libc';
import type { AddressCounters } from './counters.ts';
import { GroupMemberships, type LinkGroups } from './group-memberships.ts';
import { heartbeatMetrics } from './heartbeat-metrics.ts';
import { type HeartbeatOptions, type HeartbeatSettings, heartbeatSettings } from './heartbeat-settings.ts';
import { defaultExclude } from './interface-choice.ts';
import type { Layer2, Member, Ownership } from './layer2.ts';
import { layer2Metrics } from './metrics.ts';
import type { HeartbeatReport } from './thread/heartbeat-elector.ts';
import { LoopThread, type LoopThreadData } from '@cloudless/kube/native/loop-thread';
import type { Command, Report, ThreadData } from './thread/messages.ts';

export interface Layer2Options {
  /** This node's name, as plans and members have it. */
  nodeName: string;
  log: Logger;
  clock?: Clock;
  /**
   * Interfaces on which a plan of `any` interface never answers; default: those of containers and virtual machines on
   * this host (upstream: ConfigMap metallb-excludel2).
   */
  excludeInterfaces?: RegExp;
  /**
   * Fast heartbeats between speakers; `address` is this member's own. Absent: none, and members count as live as long as
   * they are listed.
   */
  heartbeat?: HeartbeatOptions;
}

/** What {@link startLayer2} gives: with the way to hand over what is kept by option `sticky`. */
export interface RunningLayer2 extends Layer2 {
  /** This node hands over what MetalLB's rule would give to others. */
  rebalance(): void;
}

/** A thread that failed is started anew after so long: meanwhile it is silent, and another node takes over. */
const restartAfterMs = 1000;

/**
 * Starts the layer-2 thread of this network namespace.
 *
 * @throws when it cannot have its sockets: without root or CAP_NET_RAW, naming that; for settings of heartbeats out of
 * range, naming them.
 */
export async function startLayer2(options: Layer2Options): Promise<RunningLayer2> {
  const layer2 = new Layer2Side(options);
  await layer2.start();
  return layer2;
}

/** The main side: keeps what the thread is told and what it reported. */
class Layer2Side implements RunningLayer2 {
  readonly #options: Layer2Options;
  readonly #clock: Clock;
  readonly #thread: LoopThread<Command>;
  readonly #ownerships = new Map<string, Ownership>();
  readonly #counters = new Map<string, AddressCounters>();
  readonly #heartbeat: HeartbeatSettings | undefined;
  #heartbeats: HeartbeatReport | undefined;
  readonly #memberships = new GroupMemberships();
  readonly #listeners = new Set<(ownership: Ownership) => void>();
  readonly #stopping = running(() => this.#end());
  #plans: readonly AddressPlan[] = [];
  #members: readonly Member[] = [];
  #restart: { cancel(): void } | undefined;
  #stopped = false;

  constructor(options: Layer2Options) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#heartbeat = options.heartbeat && heartbeatSettings(options.heartbeat);
    this.#thread = new LoopThread(new URL('./thread/worker.ts', import.meta.url), 'the layer-2 thread');
  }

  /** Resolves when the thread has its sockets. */
  async start(): Promise<void> {
    try {
      await this.#startThread();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  setPlans(plans: readonly AddressPlan[]): void {
    // Here, where the caller hears of it: the thread would end by it, with all that is right.
    for (const { address } of plans) addressBytes(address);
    this.#plans = plans;
    this.#thread.tell({ kind: 'plans', plans });
  }

  setMembers(members: readonly Member[]): void {
    this.#members = members;
    this.#thread.tell({ kind: 'members', members });
  }

  rebalance(): void {
    this.#thread.tell({ kind: 'rebalance' });
  }

  ownerships(): readonly Ownership[] {
    return [...this.#ownerships.values()];
  }

  subscribe(listener: (ownership: Ownership) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  metrics(): string {
    return layer2Metrics(this.#counters.values()) + heartbeatMetrics(this.#heartbeats);
  }

  stop(): Promise<void> {
    return this.#stopping.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stopping.stop();
  }

  #startThread(): Promise<void> {
    const data: Omit<ThreadData, keyof LoopThreadData> = {
      nodeName: this.#options.nodeName,
      exclude: (this.#options.excludeInterfaces ?? new RegExp(defaultExclude)).source,
      heartbeat: this.#heartbeat,
      plans: this.#plans,
      members: this.#members,
    };
    const worker = this.#thread.start(data);
    return new Promise((resolve, reject) => {
      let ready = false;
      let failure: unknown = new Error('the layer-2 thread ended');
      worker.on('message', (message: Report) => {
        if (message.kind === 'ready') {
          ready = true;
          resolve();
        } else this.#hear(message);
      });
      worker.on('error', (error) => (failure = error));
      worker.on('exit', () => {
        if (!ready) reject(failure);
        else if (!this.#stopped) this.#failed(failure);
      });
    });
  }

  /** What the thread had is unknown until it is back: nobody here answers. */
  #failed(error: unknown): void {
    this.#options.log.error({ err: error }, 'the layer-2 thread failed and is started anew');
    if (this.#stopped) return;
    this.#restart = this.#clock.setTimeout(() => void this.#startAgain(), restartAfterMs);
  }

  async #startAgain(): Promise<void> {
    try {
      await this.#startThread();
    } catch (error) {
      this.#failed(error);
    }
  }

  #hear(report: Exclude<Report, { kind: 'ready' }>): void {
    if (report.kind === 'log') this.#options.log[report.level](report.fields, report.message);
    else if (report.kind === 'retired') for (const fd of report.fds) libc().close(fd);
    else if (report.kind === 'groups') this.#setGroups(report.links);
    else if (report.kind === 'counters')
      for (const counters of report.counters) this.#counters.set(counters.address, counters);
    else if (report.kind === 'heartbeats') this.#heartbeats = report.report;
    else {
      for (const address of report.gone) {
        this.#ownerships.delete(address);
        this.#counters.delete(address);
      }
      for (const ownership of report.changed) {
        this.#ownerships.set(ownership.address, ownership);
        for (const listener of this.#listeners) listener(ownership);
      }
    }
  }

  #setGroups(links: readonly LinkGroups[]): void {
    if (!this.#stopped) this.#memberships.set(links);
  }

  async #end(): Promise<void> {
    this.#stopped = true;
    this.#restart?.cancel();
    await this.#thread.end();
    this.#memberships.close();
  }
}
