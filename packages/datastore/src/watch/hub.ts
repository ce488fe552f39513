import {
  EtcdError,
  etcdErrors,
  grpcCode,
  type WatchEvent,
  type WatchHandle,
  type WatchMessage,
  type WatchRequest,
} from '@cloudless/kube/etcd/store';
import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import { contains, intervalOf, type KeyInterval } from '../mvcc/key.ts';
import type { MvccState } from '../mvcc/state.ts';
import type { ValueReader } from '../mvcc/value-reader.ts';
import type { Version } from '../mvcc/version.ts';
import { eventsOf, wants } from './events.ts';
import { Watcher } from './watcher.ts';

/** Limits of one piece of history replay, so that it never holds up writers. */
const maxScannedPerTurn = 4000;
const maxEventsPerMessage = 500;
const maxBytesPerMessage = 1024 * 1024;

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export interface HubOptions {
  state: MvccState;
  values: ValueReader;
  clock: Clock;
  log: Logger;
  /** How often an idle watch with `progressNotify` hears the revision. */
  progressIntervalMs: number;
  /** After a failed read of history: resolves with true when it is worth another try, from a newer state perhaps. */
  mend: (error: unknown) => Promise<boolean>;
}

/** Watches of one interval: a change is matched once for all of them. */
interface Group {
  readonly interval: KeyInterval;
  readonly watchers: Set<Watcher>;
}

/**
 * Delivers changes to watches. A watch is either **in step** (has everything visible, gets each group commit as
 * it is published) or **behind** (replays retained history in pieces, beside the writers, until it is in step).
 * A receiver that returns a promise falls behind until it settles; nothing is queued for it meanwhile.
 */
export class WatchHub {
  readonly #options: HubOptions;
  readonly #groups = new Map<string, Group>();
  readonly #all = new Set<Watcher>();
  #progressTimer: ClockTimer | undefined;
  #ended: Error | undefined;

  constructor(options: HubOptions) {
    this.#options = options;
  }

  /** Watches, and how many of them are behind. */
  get counts(): { watchers: number; behind: number } {
    let behind = 0;
    for (const watcher of this.#all) if (!watcher.inStep) behind++;
    return { watchers: this.#all.size, behind };
  }

  watch(request: WatchRequest, receive: (message: WatchMessage) => void | Promise<void>): WatchHandle {
    // etcd: an empty key is the smallest one.
    const key = request.key.byteLength === 0 ? Uint8Array.of(0) : request.key;
    const interval = intervalOf(key, request.rangeEnd);
    const { revision } = this.#options.state.visible;
    const start = request.startRevision && request.startRevision > 0 ? request.startRevision : revision + 1;
    const watcher = new Watcher(request, interval, start, receive);
    const refusal = this.#refusal(request, interval);
    if (refusal !== undefined) {
      queueMicrotask(() => void this.#deliver(watcher, refusal));
    } else {
      this.#all.add(watcher);
      this.#scheduleProgress();
      if (start > revision) this.#join(watcher);
      else setImmediate(() => void this.#catchUp(watcher));
    }
    return {
      created: Promise.resolve(),
      requestProgress: () => {
        watcher.progressWanted = true;
        queueMicrotask(() => this.#progressIfInStep(watcher));
      },
      cancel: () => this.#remove(watcher),
    };
  }

  #refusal(request: WatchRequest, { start, end }: KeyInterval): WatchMessage | undefined {
    if (this.#ended !== undefined) return { type: 'canceled', compactRevision: 0, error: this.#ended };
    if (request.startRevision !== undefined && request.startRevision < 0) {
      return { type: 'canceled', compactRevision: 0, error: etcdErrors.compacted() };
    }
    if (end === undefined || start < end) return undefined;
    const error = new EtcdError(grpcCode.invalidArgument, 'mvcc: watcher range is empty');
    return { type: 'canceled', compactRevision: 0, error };
  }

  /** Hands the changes of one group commit to every watch that is in step. They must be visible already. */
  publish(versions: readonly Version[]): void {
    const first = versions[0];
    const last = versions[versions.length - 1];
    if (first === undefined || last === undefined) return;
    for (const group of this.#groups.values()) {
      const matched = versions.filter((version) => contains(group.interval, version.key));
      if (matched.length > 0) this.#publishTo(group, matched, first.revision);
    }
  }

  #publishTo(group: Group, versions: readonly Version[], firstRevision: number): void {
    const { compactRevision } = this.#options.state.visible;
    // Watches that want the same share one array of events.
    const shared = new Map<string, WatchEvent[] | Promise<WatchEvent[]>>();
    for (const watcher of group.watchers) {
      if (!watcher.inStep) continue;
      const { prevKv, noPut, noDelete } = watcher.options;
      const variant = `${prevKv}${noPut}${noDelete}`;
      let events: WatchEvent[] | Promise<WatchEvent[]> | undefined;
      if (watcher.next > firstRevision) {
        // Started in the future of this commit.
        const due = versions.filter(({ revision }) => revision >= watcher.next);
        events = eventsOf(
          due.filter((version) => wants(watcher.options, version)),
          prevKv,
          this.#options.values,
          compactRevision,
        );
      } else {
        events = shared.get(variant);
        if (events === undefined) {
          const wanted = versions.filter((version) => wants(watcher.options, version));
          events = eventsOf(wanted, prevKv, this.#options.values, compactRevision);
          shared.set(variant, events);
        }
      }
      if (events instanceof Promise) {
        // They are read again behind, where a failure has its answer.
        events.catch(() => undefined);
        this.#fallBehind(watcher, firstRevision);
      } else if (events.length > 0) this.#deliverEvents(watcher, events);
    }
  }

  #deliverEvents(watcher: Watcher, events: WatchEvent[]): void {
    const revision = (events[events.length - 1] as WatchEvent).kv.modRevision;
    watcher.quiet = false;
    const settled = this.#deliver(watcher, { type: 'events', revision, events });
    if (settled === undefined) return;
    // A slow receiver: what comes before it is ready is read from the history then.
    this.#fallBehind(watcher, this.#options.state.visible.revision + 1, settled);
  }

  /** Takes the watch out of step; it continues at `revision`, once `after` has settled. */
  #fallBehind(watcher: Watcher, revision: number, after?: Promise<void>): void {
    this.#leave(watcher);
    watcher.next = Math.max(watcher.next, revision);
    if (after === undefined) setImmediate(() => void this.#catchUp(watcher));
    else void after.then(() => this.#catchUp(watcher));
  }

  #join(watcher: Watcher): void {
    const { start, end } = watcher.interval;
    const name = `${start.length}:${start}${end ?? '∞'}`;
    let group = this.#groups.get(name);
    if (group === undefined) {
      group = { interval: watcher.interval, watchers: new Set() };
      this.#groups.set(name, group);
    }
    group.watchers.add(watcher);
    watcher.inStep = true;
    watcher.leave = () => {
      group.watchers.delete(watcher);
      if (group.watchers.size === 0 && this.#groups.get(name) === group) this.#groups.delete(name);
    };
    if (watcher.progressWanted) queueMicrotask(() => this.#progressIfInStep(watcher));
  }

  #leave(watcher: Watcher): void {
    watcher.inStep = false;
    watcher.leave?.();
    watcher.leave = undefined;
  }

  #remove(watcher: Watcher): void {
    watcher.canceled = true;
    this.#forget(watcher);
  }

  #forget(watcher: Watcher): void {
    this.#leave(watcher);
    this.#all.delete(watcher);
    if (this.#all.size === 0) {
      this.#progressTimer?.cancel();
      this.#progressTimer = undefined;
    }
  }

  /** Replays history until the watch is in step. Each piece holds whole transactions. */
  async #catchUp(watcher: Watcher): Promise<void> {
    const { state, values } = this.#options;
    try {
      while (!watcher.canceled) {
        const { visible } = state;
        if (watcher.next < visible.compactRevision) {
          await this.#deliver(watcher, { type: 'canceled', compactRevision: visible.compactRevision });
          return this.#remove(watcher);
        }
        // No wait between this look and joining: nothing can be published in between.
        if (watcher.next > visible.revision) return this.#join(watcher);
        const piece = this.#nextPiece(watcher);
        const events = await eventsOf(
          piece.versions,
          watcher.options.prevKv,
          values,
          visible.compactRevision,
        );
        if (watcher.canceled) return;
        watcher.next = piece.next;
        if (events.length > 0) {
          watcher.quiet = false;
          const revision = (events[events.length - 1] as WatchEvent).kv.modRevision;
          await this.#deliver(watcher, { type: 'events', revision, events });
        }
        if (watcher.next <= state.visible.revision) await nextTurn();
      }
    } catch (error) {
      if (!watcher.canceled && (await this.#options.mend(error))) return void this.#catchUp(watcher);
      this.#options.log.error({ err: error }, 'a watch could not read its history');
      await this.#deliver(watcher, { type: 'canceled', compactRevision: 0, error: error as Error });
      this.#remove(watcher);
    }
  }

  /** The next matching changes from `watcher.next` on, and the revision that follows them. */
  #nextPiece(watcher: Watcher): { versions: Version[]; next: number } {
    const { history, visible } = this.#options.state;
    const versions: Version[] = [];
    let bytes = 0;
    let revision = watcher.next;
    const from = history.indexOf(watcher.next);
    for (let i = from; i < history.length; i++) {
      const version = history.at(i);
      const full =
        i - from >= maxScannedPerTurn ||
        versions.length >= maxEventsPerMessage ||
        bytes >= maxBytesPerMessage;
      if (full && version.revision !== revision) return { versions, next: version.revision };
      revision = version.revision;
      if (!contains(watcher.interval, version.key) || !wants(watcher.options, version)) continue;
      versions.push(version);
      bytes += Math.max(0, version.valueBytes);
    }
    return { versions, next: visible.revision + 1 };
  }

  #progressIfInStep(watcher: Watcher): void {
    if (!watcher.progressWanted || !watcher.inStep || watcher.busy || watcher.canceled) return;
    watcher.progressWanted = false;
    const { revision } = this.#options.state.visible;
    const settled = this.#deliver(watcher, { type: 'progress', revision });
    if (settled !== undefined) this.#fallBehind(watcher, revision + 1, settled);
  }

  /** Calls the receiver; a promise when it wants to be waited for. */
  #deliver(watcher: Watcher, message: WatchMessage): Promise<void> | undefined {
    if (watcher.canceled) return undefined;
    if (message.type === 'canceled') watcher.canceled = true;
    const failed = (error: unknown): void => {
      // A receiver must not throw: whatever state it had is lost, so its watch ends.
      this.#options.log.error({ err: error }, 'the receiver of a watch threw; its watch is canceled');
      this.#remove(watcher);
    };
    try {
      const settled = watcher.receive(message);
      if (!(settled instanceof Promise)) return undefined;
      watcher.busy = true;
      return settled.catch(failed).finally(() => {
        watcher.busy = false;
        if (watcher.ending !== undefined) void this.#deliver(watcher, watcher.ending);
      });
    } catch (error) {
      failed(error);
      return undefined;
    }
  }

  #scheduleProgress(): void {
    if (this.#progressTimer !== undefined) return;
    this.#progressTimer = this.#options.clock.setTimeout(() => {
      this.#progressTimer = undefined;
      for (const watcher of this.#all) {
        if (watcher.progressNotify && watcher.quiet) {
          watcher.progressWanted = true;
          this.#progressIfInStep(watcher);
        }
        watcher.quiet = true;
      }
      if (this.#all.size > 0) this.#scheduleProgress();
    }, this.#options.progressIntervalMs);
  }

  /** Lets every watch that is in step go on at `revision` by the history, which was replaced. */
  resume(revision: number): void {
    for (const watcher of this.#all) if (watcher.inStep) this.#fallBehind(watcher, revision);
  }

  /** Cancels every watch with `error`. */
  end(error: Error): void {
    this.#ended = error;
    for (const watcher of this.#all) {
      const message: WatchMessage = { type: 'canceled', compactRevision: 0, error };
      if (watcher.busy) {
        watcher.ending = message;
        this.#forget(watcher);
      } else {
        void this.#deliver(watcher, message);
        this.#remove(watcher);
      }
    }
  }
}
