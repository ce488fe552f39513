import type { EtcdStore } from '@cloudless/kube/etcd/store';
import { newWatches } from './history.ts';
import { judge } from './history-check.ts';
import { Recorder } from './recorder.ts';
import { ServerProcess, type ServerProcessOptions } from './server-process.ts';
import type { RecordedWatch } from './watchers.ts';
import { everything, runWorkload } from './workload.ts';

export interface CrashHistoryOptions {
  next: () => number;
  kills: number;
  clients?: number | undefined;
  operationsPerClient?: number | undefined;
  /** Another accident, which now and then takes the place of a kill. */
  accident?: (() => Promise<void>) | undefined;
}

export interface CrashFigures {
  operations: number;
  /** Writes of which nobody was told whether they happened. */
  unknown: number;
}

/** One server, or several of one store, that are killed (`kill -9`) at random moments and started again. */
export class CrashingServers {
  readonly #servers: readonly ServerProcess[];

  private constructor(servers: readonly ServerProcess[]) {
    this.#servers = servers;
  }

  static async launch(options: readonly ServerProcessOptions[]): Promise<CrashingServers> {
    const servers = options.map((one) => new ServerProcess(one));
    const launched = new CrashingServers(servers);
    try {
      await Promise.all(servers.map((server) => server.launch()));
    } catch (error) {
      await launched[Symbol.asyncDispose]();
      throw error;
    }
    return launched;
  }

  /**
   * Runs random clients and watches and judges what they were told. One history may follow another.
   *
   * @throws AssertionError when nothing explains it
   */
  run(options: CrashHistoryOptions): Promise<CrashFigures> {
    return new CrashHistory(this.#servers, options).run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.kill()));
  }
}

class CrashHistory {
  readonly #servers: readonly ServerProcess[];
  readonly #options: CrashHistoryOptions;
  readonly #recorder = new Recorder();
  #watches: readonly RecordedWatch[] = [];
  /** The restart under way at each server. */
  readonly #restarts: Array<Promise<void> | undefined> = [];

  constructor(servers: readonly ServerProcess[], options: CrashHistoryOptions) {
    this.#servers = servers;
    this.#options = options;
  }

  async run(): Promise<CrashFigures> {
    const { clients = 6, operationsPerClient = 40, kills, next } = this.#options;
    // A history begins with nothing, behind the ones before it.
    await this.#at(0).deleteRange(everything);
    const { revision: base } = await this.#at(0).range(everything);
    this.#watches = newWatches(base + 1);
    for (const [i, watch] of this.#watches.entries()) watch.start(this.#at(i));
    const total = clients * operationsPerClient;
    // When so many operations are told, somebody is killed: in the midst of others.
    const due = Array.from({ length: kills }, () => Math.floor(next() * total)).sort((a, b) => a - b);
    let done = false;
    const killing = this.#killAt(due, () => done);
    await runWorkload({
      recorder: this.#recorder,
      store: (client) => this.#at(client),
      clients,
      operationsPerClient,
      next,
      recovered: async () => {
        for (const restart of this.#restarts) await restart;
      },
    });
    done = true;
    await killing;
    const recorder = this.#recorder;
    await judge(this.#at(0), recorder, this.#watches, base);
    return { operations: recorder.operations.length, unknown: recorder.unknown };
  }

  #at(i: number): EtcdStore {
    return (this.#servers[i % this.#servers.length] as ServerProcess).store;
  }

  async #killAt(due: readonly number[], isDone: () => boolean): Promise<void> {
    for (const [i, at] of due.entries()) {
      while (this.#recorder.operations.length < at && !isDone()) await oneTurn();
      const server = i % this.#servers.length;
      const { accident, next } = this.#options;
      const restart = accident !== undefined && next() < 0.3 ? accident() : this.#restart(server);
      this.#restarts[server] = restart;
      await restart;
      this.#restarts[server] = undefined;
    }
  }

  async #restart(i: number): Promise<void> {
    const server = this.#servers[i] as ServerProcess;
    await server.kill();
    await server.launch();
    for (const [n, watch] of this.#watches.entries()) {
      if (n % this.#servers.length === i) watch.start(server.store);
    }
  }
}

const oneTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
