import { EtcdError, etcdErrors, grpcCode, type KeyValue } from '@cloudless/kube/etcd/store';
import { LogUnavailableError, NoSpaceError, RowGoneError } from './errors.ts';
import type { Log } from './log/log.ts';
import { ValueNeeded, type HotValue } from './mvcc/evaluate.ts';
import type { Committed, MvccState, Savepoint } from './mvcc/state.ts';
import type { ValueReader } from './mvcc/value-reader.ts';
import type { Version } from './mvcc/version.ts';

/** One group is evaluated without a pause, so it must stay short. */
const maxGroupProposals = 1000;
const maxGroupBytes = 4 * 1024 * 1024;
/** Attempts to append behind other writers before giving up with a clear error. */
const maxAttempts = 100;
/** Turns at a shared log that found it unchanged, after which writers no longer compete. */
const quietTurns = 8;

/** Something that wants to change the state: evaluated in turn, answered when it is durable. */
export interface Proposal<T> {
  /** Bytes it is likely to write. */
  readonly bytes: number;
  /** Changes the pending state. Runs again when others moved the head. @throws EtcdError, ValueNeeded */
  evaluate(hot: HotValue): T;
}

interface Waiting {
  readonly proposal: Proposal<unknown>;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** On the monotonic clock. */
  readonly sinceMs: number;
}

/** What a log with several writers asks of the committer. */
export interface SharedLog {
  /** Takes over what other writers appended; whether there was anything. `hold`: nobody else appends from then on. */
  catchUp(hold: boolean): Promise<boolean>;
  /** Lets others append after a catch-up that held the log. */
  release(): Promise<void>;
  /** Proposals that wait longer for a slow log are refused; none of them was tried. */
  maxWaitMs: number;
}

export interface CommitterOptions {
  state: MvccState;
  log: Log;
  values: ValueReader;
  /** Called when changes became visible, before their proposers are answered. */
  publish: (committed: Committed) => void;
  /** Present when the log has several writers. */
  shared?: SharedLog | undefined;
  /** The log failed: nothing can be acknowledged any more. */
  fail: (error: unknown) => Error;
  /** How long to gather proposals before each flush; only delays answers. */
  windowMs: number;
}

/**
 * Group commit: everything that waits is evaluated in order, appended and flushed together, then made visible,
 * published and answered. One append is under way at a time; what arrives meanwhile forms the next group.
 */
export class Committer {
  readonly #options: CommitterOptions;
  #queue: Waiting[] = [];
  #between: Array<() => Promise<void>> = [];
  #loop: Promise<void> | undefined;
  #ended: Error | undefined;
  /** Cold values that evaluation asked for, kept until its group is done. */
  #loaded = new Map<Version, KeyValue>();
  /** How many more turns are taken before it is tried again without: others compete for the log. */
  #turnsDue = 0;

  constructor(options: CommitterOptions) {
    this.#options = options;
  }

  /** Resolves with the result of `evaluate` when all it changed is durable and visible. */
  propose<T>(proposal: Proposal<T>): Promise<T> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise<T>((resolve, reject) => {
      const sinceMs = performance.now();
      this.#queue.push({ proposal, resolve: resolve as (result: unknown) => void, reject, sinceMs });
      this.#loop ??= this.#run();
    });
  }

  /** Runs `work` while no group is being committed. */
  between(work: () => Promise<void>): Promise<void> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      this.#between.push(() => work().then(resolve, reject));
      this.#loop ??= this.#run();
    });
  }

  /** Refuses new proposals, and resolves when all earlier ones are answered. */
  async end(error: Error): Promise<void> {
    this.#ended ??= error;
    await this.#loop;
  }

  async #run(): Promise<void> {
    // Requests that arrived in the same turn of the loop share the flush.
    await this.#gather();
    while (this.#queue.length > 0 || this.#between.length > 0) {
      for (const work of this.#between.splice(0)) await work();
      this.#refuseOld();
      const group = this.#take();
      try {
        await this.#commit(group);
      } catch (error) {
        if (error instanceof LogUnavailableError) {
          this.#options.state.rollback();
          const refusal = unavailable(error);
          for (const { reject } of group) reject(refusal);
        } else {
          const failure = this.#options.fail(error);
          this.#ended = failure;
          for (const { reject } of [...group, ...this.#queue]) reject(failure);
          this.#queue = [];
        }
      }
      this.#loaded.clear();
      if (this.#queue.length > 0) await this.#gather();
    }
    this.#loop = undefined;
  }

  #gather(): Promise<void> {
    const { windowMs } = this.#options;
    return new Promise((resolve) => {
      if (windowMs > 0) setTimeout(resolve, windowMs);
      else setImmediate(resolve);
    });
  }

  /** A log that is slow must not gather ever more that waits for it. */
  #refuseOld(): void {
    const { shared } = this.#options;
    if (shared === undefined) return;
    const oldestMs = performance.now() - shared.maxWaitMs;
    const fresh = this.#queue.findIndex(({ sinceMs }) => sinceMs >= oldestMs);
    const old = this.#queue.splice(0, fresh < 0 ? this.#queue.length : fresh);
    for (const { reject } of old) {
      reject(
        unavailable(new LogUnavailableError('refused', 'the database is too slow for the writes that wait')),
      );
    }
  }

  #take(): Waiting[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && count < maxGroupProposals && bytes < maxGroupBytes) {
      bytes += (this.#queue[count++] as Waiting).proposal.bytes;
    }
    return this.#queue.splice(0, count);
  }

  async #commit(group: readonly Waiting[]): Promise<void> {
    const { state, log, publish, shared } = this.#options;
    if (group.length === 0) return;
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const held = await this.#takeTurn();
      const answers = await this.#evaluate(group);
      if (answers === 'row-gone') {
        state.rollback();
        await shared?.catchUp(false);
        continue;
      }
      if (!state.hasPending) {
        if (held) await shared?.release();
        // No append tells whether these answers, refusals included, are those of the present: look.
        if (held || shared === undefined || !(await shared.catchUp(false))) return answer(answers);
        continue;
      }
      let result: Awaited<ReturnType<Log['append']>>;
      try {
        result = await log.append(state.visible, state.batch());
      } catch (error) {
        state.rollback();
        if (error instanceof NoSpaceError) return this.#refuseWrites(group, error);
        throw error;
      }
      if (result === 'appended') {
        publish(state.commit());
        return answer(answers);
      }
      state.rollback();
      // Whoever appends first wins every time against those who catch up first: from here on all take turns.
      this.#turnsDue = quietTurns;
    }
    const error = new EtcdError(grpcCode.unavailable, 'etcdserver: too many writers, try again');
    for (const { reject } of group) reject(error);
  }

  /** Holds a log that others compete for; whether it did. */
  async #takeTurn(): Promise<boolean> {
    const { shared } = this.#options;
    if (shared === undefined || this.#turnsDue === 0) return false;
    const moved = await shared.catchUp(true);
    this.#turnsDue = moved ? quietTurns : this.#turnsDue - 1;
    return true;
  }

  async #evaluate(group: readonly Waiting[]): Promise<Answer[] | 'row-gone'> {
    const answers: Answer[] = [];
    try {
      for (const waiting of group) answers.push(await this.#evaluateOne(waiting));
    } catch (error) {
      if (error instanceof RowGoneError) return 'row-gone';
      throw error;
    }
    return answers;
  }

  async #evaluateOne(waiting: Waiting): Promise<Answer> {
    const { state } = this.#options;
    for (;;) {
      const savepoint: Savepoint = state.savepoint();
      try {
        return { waiting, result: waiting.proposal.evaluate(this.#hot) };
      } catch (error) {
        state.rollbackTo(savepoint);
        if (!(error instanceof ValueNeeded)) return { waiting, error };
        const [kv] = await this.#options.values.read([error.version]);
        this.#loaded.set(error.version, kv as KeyValue);
      }
    }
  }

  readonly #hot: HotValue = (version) => this.#options.values.hot(version) ?? this.#loaded.get(version);

  /** The disk is full: what would write is refused, the rest of the group is answered. */
  async #refuseWrites(group: readonly Waiting[], cause: NoSpaceError): Promise<void> {
    const { state } = this.#options;
    const { code, message } = etcdErrors.noSpace();
    for (const waiting of group) {
      const one = await this.#evaluateOne(waiting);
      if (state.hasPending) {
        state.rollback();
        waiting.reject(new EtcdError(code, message, cause));
      } else {
        answer([one]);
      }
    }
  }
}

interface Answer {
  readonly waiting: Waiting;
  readonly result?: unknown;
  readonly error?: unknown;
}

function answer(answers: readonly Answer[]): void {
  for (const { waiting, result, error } of answers) {
    if (error === undefined) waiting.resolve(result);
    else waiting.reject(error);
  }
}

/** What clients hear while the log is out of reach: etcd's code and words for a store without a leader, and why. */
export function unavailable(error: LogUnavailableError): EtcdError {
  const words =
    error.outcome === 'refused'
      ? 'etcdserver: no leader'
      : 'etcdserver: request timed out, possibly due to connection lost';
  return new EtcdError(grpcCode.unavailable, `${words} (${error.message})`, error);
}
