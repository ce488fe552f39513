import { EtcdError, etcdErrors, grpcCode, type KeyValue } from '@cloudless/kube/etcd/store';
import { NoSpaceError } from './errors.ts';
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
}

export interface CommitterOptions {
  state: MvccState;
  log: Log;
  values: ValueReader;
  /** Called when changes became visible, before their proposers are answered. */
  publish: (committed: Committed) => void;
  /** Takes over what other writers appended. Present when the log has several writers. */
  catchUp?: () => Promise<void>;
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

  constructor(options: CommitterOptions) {
    this.#options = options;
  }

  /** Resolves with the result of `evaluate` when all it changed is durable and visible. */
  propose<T>(proposal: Proposal<T>): Promise<T> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ proposal, resolve: resolve as (result: unknown) => void, reject });
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
      const group = this.#take();
      try {
        await this.#commit(group);
      } catch (error) {
        const failure = this.#options.fail(error);
        this.#ended = failure;
        for (const { reject } of [...group, ...this.#queue]) reject(failure);
        this.#queue = [];
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

  #take(): Waiting[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && count < maxGroupProposals && bytes < maxGroupBytes) {
      bytes += (this.#queue[count++] as Waiting).proposal.bytes;
    }
    return this.#queue.splice(0, count);
  }

  async #commit(group: readonly Waiting[]): Promise<void> {
    const { state, log, publish, catchUp } = this.#options;
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const answers = await this.#evaluate(group);
      if (!state.hasPending) {
        // No append tells whether these answers, refusals included, are those of the present: look.
        const { position } = state.visible;
        await catchUp?.();
        if (state.visible.position === position) return answer(answers);
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
      await catchUp?.();
    }
    const error = new EtcdError(grpcCode.unavailable, 'etcdserver: too many writers, try again');
    for (const { reject } of group) reject(error);
  }

  async #evaluate(group: readonly Waiting[]): Promise<Answer[]> {
    const answers: Answer[] = [];
    for (const waiting of group) answers.push(await this.#evaluateOne(waiting));
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
