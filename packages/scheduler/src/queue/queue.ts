import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import type { PodInfo } from '../state/pod-info.ts';

/** Upstream's defaults (podInitialBackoffSeconds, podMaxBackoffSeconds). */
const initialBackoffMs = 1_000;
const maxBackoffMs = 10_000;
/** Pods nobody asked about are tried again after this time all the same. */
const maxUnschedulableMs = 5 * 60_000;

/** A pod that waits for a node. */
export interface QueuedPod {
  info: PodInfo;
  /** Decisions made for it so far. */
  attempts: number;
  /** Since when it waits for its turn, monotonic. */
  sinceMs: number;
  /** Filters that refused nodes in the last attempt; empty: any change may help. */
  refusedBy: ReadonlySet<string>;
}

type Place = 'active' | 'backoff' | 'unschedulable' | 'gated';

interface Entry extends QueuedPod {
  place: Place;
  /** End of its back-off, monotonic. */
  backoffUntilMs: number;
  /** A failure of the API, not of the cluster: waits its back-off out even when nothing else is to be done. */
  erred: boolean;
}

/** Whether a change may make a refused pod fit. */
export type Hint = (pod: QueuedPod) => boolean;

/**
 * Pods in the order in which they get a turn (upstream: backend/queue/scheduling_queue.go): **active** by
 * priority and age; **backoff** after a failure, popped early when nothing is active; **unschedulable** until a
 * change may help; **gated** until their gates are gone.
 */
export class SchedulingQueue {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  readonly #wake: () => void;
  #timer: ClockTimer | undefined;
  #timerAtMs = Infinity;
  #stopped = false;

  /** @param wake called when `pop` may have something to give */
  constructor(clock: Clock, wake: () => void) {
    this.#clock = clock;
    this.#wake = wake;
  }

  /** Number of pods in each place. */
  get counts(): Record<Place, number> {
    const counts: Record<Place, number> = { active: 0, backoff: 0, unschedulable: 0, gated: 0 };
    for (const { place } of this.#entries.values()) counts[place]++;
    return counts;
  }

  /** A pod without a node appeared or changed. */
  set(info: PodInfo): void {
    const known = this.#entries.get(info.uid);
    const gated = (info.pod.spec?.schedulingGates ?? []).length > 0;
    if (known === undefined) {
      this.#entries.set(info.uid, {
        info,
        attempts: 0,
        sinceMs: this.#clock.monotonicMs(),
        refusedBy: new Set(),
        place: gated ? 'gated' : 'active',
        backoffUntilMs: 0,
        erred: false,
      });
      if (!gated) this.#wake();
      return;
    }
    const helps = known.place === 'gated' || isRelevantChange(known.info, info);
    known.info = info;
    if (gated) known.place = 'gated';
    else if (helps && known.place !== 'active') this.#revive(known);
  }

  delete(uid: string): void {
    this.#entries.delete(uid);
  }

  has(uid: string): boolean {
    return this.#entries.has(uid);
  }

  /** The pod whose turn it is; it leaves the queue. */
  pop(): QueuedPod | undefined {
    const now = this.#clock.monotonicMs();
    let best: Entry | undefined;
    for (const entry of this.#entries.values()) {
      if (entry.place === 'backoff' && entry.backoffUntilMs <= now) entry.place = 'active';
      if (!isReady(entry)) continue;
      if (best === undefined || goesBefore(entry, best)) best = entry;
    }
    if (best === undefined) return undefined;
    this.#entries.delete(best.info.uid);
    const { info, attempts, sinceMs, refusedBy } = best;
    return { info, attempts: attempts + 1, sinceMs, refusedBy };
  }

  /** The pod fits nowhere now. */
  unschedulable(pod: QueuedPod, refusedBy: ReadonlySet<string>): void {
    this.#putBack(pod, 'unschedulable', refusedBy, false);
    this.#wakeAt(this.#clock.monotonicMs() + maxUnschedulableMs);
  }

  /** Something else failed: try again after a back-off. */
  failed(pod: QueuedPod): void {
    const entry = this.#putBack(pod, 'backoff', new Set(), true);
    this.#wakeAt(entry.backoffUntilMs);
  }

  #putBack(pod: QueuedPod, place: Place, refusedBy: ReadonlySet<string>, erred: boolean): Entry {
    const now = this.#clock.monotonicMs();
    const backoffMs = Math.min(maxBackoffMs, initialBackoffMs * 2 ** (pod.attempts - 1));
    const entry: Entry = { ...pod, place, refusedBy, erred, sinceMs: now, backoffUntilMs: now + backoffMs };
    this.#entries.set(pod.info.uid, entry);
    return entry;
  }

  /** The cluster changed: pods that may fit now get another turn. */
  revive(hint: Hint): void {
    for (const entry of this.#entries.values()) {
      if (entry.place === 'unschedulable' && hint(entry)) this.#revive(entry);
    }
  }

  #revive(entry: Entry): void {
    const now = this.#clock.monotonicMs();
    entry.place = entry.backoffUntilMs > now ? 'backoff' : 'active';
    if (entry.place === 'backoff') this.#wakeAt(entry.backoffUntilMs);
    this.#wake();
  }

  #wakeAt(atMs: number): void {
    if (this.#stopped || atMs >= this.#timerAtMs) return;
    this.#timer?.cancel();
    this.#timerAtMs = atMs;
    this.#timer = this.#clock.setTimeout(
      () => this.#onTimer(),
      Math.max(0, atMs - this.#clock.monotonicMs()),
    );
  }

  #onTimer(): void {
    this.#timerAtMs = Infinity;
    const now = this.#clock.monotonicMs();
    let next = Infinity;
    for (const entry of this.#entries.values()) {
      const dueMs =
        entry.place === 'backoff'
          ? entry.backoffUntilMs
          : entry.place === 'unschedulable'
            ? entry.sinceMs + maxUnschedulableMs
            : Infinity;
      if (dueMs <= now) entry.place = 'active';
      else next = Math.min(next, dueMs);
    }
    if (next < Infinity) this.#wakeAt(next);
    this.#wake();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }
}

/** A pod in back-off for want of a node may go as soon as nothing active is before it (KEP-5142). */
const isReady = ({ place, erred }: Entry): boolean => place === 'active' || (place === 'backoff' && !erred);

function goesBefore(a: Entry, b: Entry): boolean {
  if (a.place !== b.place) return a.place === 'active';
  if (a.place === 'backoff') return a.backoffUntilMs < b.backoffUntilMs;
  return a.info.priority !== b.info.priority ? a.info.priority > b.info.priority : a.sinceMs < b.sinceMs;
}

/** Changes of a pod itself that matter: its status does not. */
function isRelevantChange({ pod: old }: PodInfo, { pod }: PodInfo): boolean {
  const shape = ({ spec, metadata }: typeof pod): string =>
    JSON.stringify([spec, metadata.labels, metadata.deletionTimestamp]);
  return old.metadata.resourceVersion !== pod.metadata.resourceVersion && shape(old) !== shape(pod);
}
