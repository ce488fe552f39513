import type { Clock } from '@cloudless/kube/clock';
import { EtcdError } from '@cloudless/kube/etcd/store';
import { unavailable } from './committer.ts';
import { LogUnavailableError, RowGoneError } from './errors.ts';
import { HeadLooks } from './log/head-looks.ts';
import type { LoadedRecord, LoadedState, Log, LogChanges } from './log/log.ts';
import type { Committed, MvccState } from './mvcc/state.ts';
import type { Version } from './mvcc/version.ts';

/** How often a watch tries to read its history while the log is out of reach. */
const retryReadMs = 250;

export interface FollowerOptions {
  log: Log;
  state: MvccState;
  clock: Clock;
  /** Runs work while no batch is being committed. */
  between: (work: () => Promise<void>) => Promise<void>;
  publish: (committed: Committed) => void;
  /** Starts over from everything the log holds. */
  reload: (loaded: LoadedState) => Promise<void>;
  /** The log failed for good. */
  fail: (error: unknown) => Error;
  /** Whether the store is closing or has failed. */
  isEnding: () => boolean;
}

/** How an engine keeps up with a log that others append to, and reads what they may have removed. */
export class Follower {
  readonly #options: FollowerOptions;
  readonly #looks = new HeadLooks(() => this.#lookAtHead());
  #following = false;

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  /** Hears of what others append from now on. */
  start(): void {
    const { log, fail } = this.#options;
    log.follow?.(() => this.#follow());
    void log.failed?.then(fail);
  }

  /** Takes over what other writers of the log appended; whether that was anything. `hold`: nobody else appends then. */
  async catchUp(hold = false): Promise<boolean> {
    const { log, state, publish, reload } = this.#options;
    const changes = await (log.catchUp as NonNullable<Log['catchUp']>)(state.visible, hold);
    if (changes.reload !== undefined) {
      await reload(changes.reload);
      return true;
    }
    const { leases, facts, compactRevision, head } = changes;
    if (head.position === state.visible.position) return false;
    const compacted = compactRevision > state.visible.compactRevision;
    const versions = this.#adoptInOrder(changes);
    state.adoptHead({ ...head, compactRevision: Math.max(compactRevision, state.visible.compactRevision) });
    state.adoptFacts(facts);
    publish({ versions, leases, facts, compactRevision: compacted ? compactRevision : undefined });
    return true;
  }

  /** A lease is there before the keys that use it, and until those that die with it are gone. */
  #adoptInOrder({ records, leases }: LogChanges): Version[] {
    const { state } = this.#options;
    const versions: Version[] = [];
    let at = 0;
    for (const change of leases) {
      const from = at;
      while (at < records.length && (records[at] as LoadedRecord).position < change.position) at++;
      versions.push(...state.adopt(records.slice(from, at), state.visible.compactRevision, []));
      state.adoptLeases([change]);
    }
    for (const version of state.adopt(records.slice(at), state.visible.compactRevision, [])) {
      versions.push(version);
    }
    return versions;
  }

  /** Others appended: catch up, so that watches hear of it. */
  #follow(): void {
    const { between, fail, isEnding } = this.#options;
    if (this.#following || isEnding()) return;
    this.#following = true;
    between(async () => {
      // What is told from here on is not seen by this look any more.
      this.#following = false;
      await this.catchUp();
    }).catch((error: unknown) => {
      this.#following = false;
      if (error instanceof LogUnavailableError || isEnding()) return;
      fail(error);
    });
  }

  /** Before a linearizable read: what others wrote is visible. Undefined when there are no others. */
  current(): Promise<void> | undefined {
    return this.#options.log.catchUp === undefined ? undefined : this.#looks.look();
  }

  async #lookAtHead(): Promise<void> {
    const { log, state, between, fail } = this.#options;
    try {
      const position = await log.headPosition?.();
      if (position !== undefined && position <= state.visible.position) return;
      // Through the committer, so that no batch is half-way evaluated on the older state.
      await between(async () => {
        if (position === undefined || position > state.visible.position) await this.catchUp();
      });
    } catch (error) {
      if (error instanceof LogUnavailableError) throw unavailable(error);
      throw error instanceof EtcdError ? error : fail(error);
    }
  }

  /**
   * The result of a read, made again after catching up while rows that it needs turn out to be removed: by then
   * the revision it wants is known to be compacted, or the newest one is another.
   */
  read<T>(read: () => T | Promise<T>): T | Promise<T> {
    // Nobody else removes rows of a log that is this engine's own.
    return this.#options.log.catchUp === undefined ? read() : this.#readAgain(read);
  }

  async #readAgain<T>(read: () => T | Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await read();
      } catch (error) {
        if (error instanceof LogUnavailableError) throw unavailable(error);
        if (!(error instanceof RowGoneError)) throw error;
        await this.#options.between(async () => void (await this.catchUp()));
      }
    }
  }

  /** What a watch does about a failed read: it waits for a log that is out of reach, and catches up with one ahead. */
  async mend(error: unknown): Promise<boolean> {
    const { between, clock, isEnding } = this.#options;
    if (isEnding()) return false;
    if (error instanceof RowGoneError) {
      return between(async () => void (await this.catchUp())).then(
        () => true,
        (reason: unknown) => this.mend(reason),
      );
    }
    if (!(error instanceof LogUnavailableError)) return false;
    await new Promise<void>((resolve) => clock.setTimeout(resolve, retryReadMs));
    return true;
  }
}
