import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import type { PodInfo } from '../state/pod-info.ts';
import { Heap } from './heap.ts';

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
  /** Changes with every move: tickets of earlier places in a heap are void. */
  ticket: number;
  /** A failure of the API, not of the cluster: waits its back-off out even when nothing else is to be done. */
  erred: boolean;
}

/** An entry's turn in a heap, void when the entry has moved on. */
interface Turn {
  readonly entry: Entry;
  readonly ticket: number;
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
  readonly #active = new Heap<Turn>((a, b) => goesBefore(a.entry, b.entry));
  readonly #backoff = new Heap<Turn>((a, b) => a.entry.backoffUntilMs < b.entry.backoffUntilMs);
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
      const entry: Entry = {
        info,
        attempts: 0,
        sinceMs: this.#clock.monotonicMs(),
        refusedBy: new Set(),
        place: 'gated',
        ticket: 0,
        backoffUntilMs: 0,
        erred: false,
      };
      this.#entries.set(info.uid, entry);
      if (!gated) this.#revive(entry);
      return;
    }
    const helps = known.place === 'gated' || isRelevantChange(known.info, info);
    const reorders = known.info.priority !== info.priority;
    known.info = info;
    if (gated) this.#move(known, 'gated');
    else if (helps && (known.place !== 'active' || reorders)) this.#revive(known);
  }

  delete(uid: string): void {
    this.#entries.delete(uid);
  }

  has(uid: string): boolean {
    return this.#entries.has(uid);
  }

  /** The pod whose turn it is; it leaves the queue. */
  pop(): QueuedPod | undefined {
    this.#endBackoffs();
    const entry = this.#take(this.#active) ?? this.#takeFromBackoff();
    if (entry === undefined) return undefined;
    this.#entries.delete(entry.info.uid);
    const { info, attempts, sinceMs, refusedBy } = entry;
    return { info, attempts: attempts + 1, sinceMs, refusedBy };
  }

  #isValid({ entry, ticket }: Turn): boolean {
    return entry.ticket === ticket && this.#entries.get(entry.info.uid) === entry;
  }

  #take(heap: Heap<Turn>): Entry | undefined {
    for (let turn = heap.pop(); turn !== undefined; turn = heap.pop()) {
      if (this.#isValid(turn)) return turn.entry;
    }
    return undefined;
  }

  /** The next one out of back-off that waits for want of a node, not because a call failed (KEP-5142). */
  #takeFromBackoff(): Entry | undefined {
    const erred: Turn[] = [];
    let found: Entry | undefined;
    for (let turn = this.#backoff.pop(); turn !== undefined; turn = this.#backoff.pop()) {
      if (!this.#isValid(turn)) continue;
      if (!turn.entry.erred) {
        found = turn.entry;
        break;
      }
      erred.push(turn);
    }
    for (const turn of erred) this.#backoff.push(turn);
    return found;
  }

  #endBackoffs(): void {
    const now = this.#clock.monotonicMs();
    for (let turn = this.#backoff.peek(); turn !== undefined; turn = this.#backoff.peek()) {
      if (this.#isValid(turn) && turn.entry.backoffUntilMs > now) return;
      this.#backoff.pop();
      if (this.#isValid(turn)) this.#move(turn.entry, 'active');
    }
  }

  #move(entry: Entry, place: Place): void {
    entry.place = place;
    const turn = { entry, ticket: ++entry.ticket };
    if (place === 'active') this.#active.push(turn);
    else if (place === 'backoff') this.#backoff.push(turn);
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
    const entry: Entry = {
      ...pod,
      place,
      ticket: 0,
      refusedBy,
      erred,
      sinceMs: now,
      backoffUntilMs: now + backoffMs,
    };
    this.#entries.set(pod.info.uid, entry);
    this.#move(entry, place);
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
    this.#move(entry, entry.backoffUntilMs > now ? 'backoff' : 'active');
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
    this.#endBackoffs();
    for (const entry of this.#entries.values()) {
      if (entry.place === 'backoff') next = Math.min(next, entry.backoffUntilMs);
      if (entry.place !== 'unschedulable') continue;
      const dueMs = entry.sinceMs + maxUnschedulableMs;
      if (dueMs <= now) this.#move(entry, 'active');
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

/** Priority, then age. */
function goesBefore(a: Entry, b: Entry): boolean {
  return a.info.priority === b.info.priority ? a.sinceMs < b.sinceMs : a.info.priority > b.info.priority;
}

/** Changes of a pod itself that matter: its status does not. */
function isRelevantChange({ pod: old }: PodInfo, { pod }: PodInfo): boolean {
  const shape = ({ spec, metadata }: typeof pod): string =>
    JSON.stringify([spec, metadata.labels, metadata.deletionTimestamp]);
  return old.metadata.resourceVersion !== pod.metadata.resourceVersion && shape(old) !== shape(pod);
}
