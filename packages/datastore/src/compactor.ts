import type { Logger } from '@cloudless/kube/logger';
import { NoSpaceError } from './errors.ts';
import type { Log } from './log/log.ts';
import type { MvccState } from './mvcc/state.ts';
import type { ValueReader } from './mvcc/value-reader.ts';

/** Changes of history that are cut between two turns of the event loop. */
const changesPerStep = 10_000;

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * Gives space back behind compactions, beside the load: cuts version chains in memory, waits for reads that
 * may still need old rows, removes these from the log, lets the file shrink. A kill in between costs nothing:
 * the next start finds the same rows unreachable and removes them then.
 */
export class Compactor {
  readonly #state: MvccState;
  readonly #values: ValueReader;
  readonly #log: Log;
  readonly #logger: Logger;
  readonly #stop = new AbortController();
  #garbage: number[] = [];
  #due = false;
  readonly #stopped = Promise.withResolvers<void>();
  readonly #holds = new Set<Promise<void>>();
  #work: Promise<void> | undefined;

  constructor(state: MvccState, values: ValueReader, log: Log, logger: Logger) {
    this.#state = state;
    this.#values = values;
    this.#log = log;
    this.#logger = logger;
  }

  /** Begins, or goes on after the work under way. `garbage`: rows known to be unreachable already. */
  start(garbage: number[] = []): void {
    this.#garbage.push(...garbage);
    this.#due = true;
    this.#work ??= this.#run().finally(() => {
      this.#work = undefined;
    });
  }

  /**
   * Keeps the next compactions from removing what is retained now: for copies of the whole history, which take
   * long. Call what it returns when the copy ends; whoever holds for ever keeps the file growing.
   */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#holds.add(promise);
    return () => {
      this.#holds.delete(promise);
      resolve();
    };
  }

  async #released(): Promise<void> {
    while (this.#holds.size > 0 && !this.#stop.signal.aborted)
      await Promise.race([Promise.all(this.#holds), this.#stopped.promise]);
  }

  /** Resolves when no work is under way. */
  async idle(): Promise<void> {
    while (this.#work !== undefined) await this.#work;
  }

  /** Removes what is left of compactions and gives all free space back. @throws what the log throws */
  async defragment(): Promise<void> {
    this.start();
    await this.idle();
    await this.#log.reclaim(this.#stop.signal, true);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#stopped.resolve();
    await this.idle();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (this.#due && !signal.aborted) {
      await this.#released();
      if (signal.aborted) return;
      this.#due = false;
      for (const garbage of this.#state.cut(changesPerStep)) {
        for (const position of garbage) this.#garbage.push(position);
        await nextTurn();
      }
      await this.#values.drained();
      await this.#giveBack(signal);
    }
  }

  async #giveBack(signal: AbortSignal): Promise<void> {
    const garbage = this.#garbage;
    this.#garbage = [];
    try {
      if (garbage.length > 0) await this.#log.remove(garbage, signal);
      await this.#log.reclaim(signal);
    } catch (error) {
      // Removing a row twice does no harm: all of them are tried again with the next compaction.
      this.#garbage = garbage.concat(this.#garbage);
      const level = error instanceof NoSpaceError ? 'warn' : 'error';
      this.#logger[level]({ err: error }, 'space of compacted history could not be given back yet');
    }
  }
}
