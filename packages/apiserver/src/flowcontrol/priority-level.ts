import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import { StatusError } from '@cloudless/kube/status';
import type { PriorityLevelConfiguration, QueuingConfiguration } from '@cloudless/kube/types/flowcontrol-v1';
import { Integrator } from './allocation.ts';
import { flowHash, deal } from './shuffle-shard.ts';
import type { Flow } from './flow.ts';
import { RetryAfter } from './retry-after.ts';

/** Why a request was refused, as upstream's metrics name it. */
export type Rejection = 'queue-full' | 'concurrency-limit' | 'time-out' | 'cancelled';

/** What a request is taken to last until it has ended (upstream: estimatedServiceDuration). */
const estimatedMs = 3;
/** Upstream: priorityLevelMaxSeatsPercent. */
const maxSeatsFraction = 0.15;
const maxListSeats = 10;

/** Tells that the one who waits has gone. */
export interface Waiter {
  onClose(callback: () => void): void;
}

/** One of a level's queues. Its virtual start grows by the seat time that its requests take. */
interface Queue {
  readonly waiting: Set<Waiting>;
  seats: number;
  virtualMs: number;
}

interface Waiting {
  readonly seat: Seat;
  readonly queue: Queue;
  readonly sinceMs: number;
  readonly resolve: (seat: Seat) => void;
  readonly reject: (error: StatusError) => void;
  timer: ClockTimer | undefined;
}

/** The place of one request among those that are carried out. */
export class Seat {
  readonly flow: Flow;
  readonly seats: number;
  readonly #onLeave: (seat: Seat) => void;
  /** Undefined: it never had to wait. */
  queue: Queue | undefined;
  startMs = 0;
  #left = false;

  constructor(flow: Flow, seats: number, onLeave: (seat: Seat) => void) {
    this.flow = flow;
    this.seats = seats;
    this.#onLeave = onLeave;
  }

  /** Gives the place back; once is enough. */
  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#onLeave(this);
  }
}

/** Bounds of a level's seats: what it has by its shares, keeps when it lends, and may have when it borrows. */
export interface SeatLimits {
  readonly nominal: number;
  readonly lower: number;
  readonly upper: number;
}

/**
 * The seats of one priority level and the queues before them. A request that finds a free seat and nobody waiting is
 * carried out at once and touches no queue. Among queues the head with the least virtual finish goes first, in seat
 * time, so that flows get equal shares whatever they ask for (upstream: fairqueuing/queueset; KEP-1040).
 */
export class PriorityLevel {
  readonly name: string;
  readonly #clock: Clock;
  object: PriorityLevelConfiguration;
  limits: SeatLimits = { nominal: 0, lower: 0, upper: 0 };
  /** No object wants it any more; it goes when it is idle. */
  quiescing = false;
  readonly demand: Integrator;
  smoothedDemand = 0;
  seatsInUse = 0;
  executing = 0;
  waiting = 0;
  waitingSeats = 0;
  readonly counts = { dispatched: 0, rejected: 0, 'time-out': 0, cancelled: 0 };
  readonly #retryAfter = new RetryAfter();
  #limit = 0;
  readonly #queues = new Map<number, Queue>();
  readonly #active = new Set<Queue>();
  #virtualMs = 0;
  #enqueued = 0;

  constructor(object: PriorityLevelConfiguration, clock: Clock) {
    this.name = object.metadata.name ?? '';
    this.object = object;
    this.#clock = clock;
    this.demand = new Integrator(clock.monotonicMs());
  }

  get exempt(): boolean {
    return this.object.spec?.type === 'Exempt';
  }

  get uid(): string {
    return this.object.metadata.uid ?? '';
  }

  get isIdle(): boolean {
    return this.executing === 0 && this.waiting === 0;
  }

  get activeQueues(): number {
    return this.#active.size;
  }

  get #queuing(): QueuingConfiguration | undefined {
    return this.object.spec?.limited?.limitResponse?.queuing;
  }

  /** Seats that it may use now. */
  get limit(): number {
    return this.#limit;
  }

  set limit(seats: number) {
    this.#limit = seats;
    this.#dispatch();
  }

  /** The most seats that a list may take (upstream: MaxSeatsTracker). */
  get maxSeats(): number {
    const handSize = this.#queuing?.handSize;
    if (handSize === undefined) return maxListSeats;
    const { nominal } = this.limits;
    const most = Math.min(Math.ceil(nominal * maxSeatsFraction), Math.floor(nominal / handSize));
    return Math.max(1, Math.min(most, maxListSeats));
  }

  /**
   * Takes `seats` now, or waits for them for at most `waitMs`. Throws or rejects with 429 when the queue is full, there
   * is none, the wait is over, or the waiter has gone.
   */
  enter(flow: Flow, seats: number, waitMs: number, waiter: Waiter): Seat | Promise<Seat> {
    const seat = new Seat(flow, seats, this.#leave);
    if (this.exempt || (this.waiting === 0 && this.#fits(seats))) {
      this.#begin(seat, this.#clock.monotonicMs());
      flow.schema.waits.observe(0);
      return seat;
    }
    const queuing = this.#queuing;
    if (!queuing) throw this.#refuse(flow, 'concurrency-limit');
    const queue = this.#queueOf(flow, queuing);
    if (queue.waiting.size >= (queuing.queueLengthLimit ?? 0)) throw this.#refuse(flow, 'queue-full');
    return this.#wait(seat, queue, waitMs, waiter);
  }

  #fits(seats: number): boolean {
    // One that asks for more than there is goes when it is alone.
    if (seats > this.#limit) return this.executing === 0;
    return this.seatsInUse + seats <= this.#limit;
  }

  #begin(seat: Seat, nowMs: number): void {
    seat.startMs = nowMs;
    this.executing++;
    this.seatsInUse += seat.seats;
    this.counts.dispatched++;
    const { schema } = seat.flow;
    schema.dispatched++;
    schema.executing++;
    this.demand.set(this.seatsInUse + this.waitingSeats, nowMs);
  }

  readonly #leave = (seat: Seat): void => {
    const nowMs = this.#clock.monotonicMs();
    this.executing--;
    this.seatsInUse -= seat.seats;
    seat.flow.schema.executing--;
    this.demand.set(this.seatsInUse + this.waitingSeats, nowMs);
    // The estimate was charged when it began.
    if (seat.queue) seat.queue.virtualMs += seat.seats * (nowMs - seat.startMs - estimatedMs);
    if (this.waiting > 0) this.#dispatch();
    else if (this.executing === 0 && this.#queues.size > 0) {
      this.#queues.clear();
      this.#virtualMs = 0;
    }
  };

  /** The queue of the flow's hand with the least waiting work. */
  #queueOf(flow: Flow, { queues = 1, handSize = 1 }: QueuingConfiguration): Queue {
    const hand = deal(flowHash(flow.schema.name, flow.distinguisher), queues, handSize);
    const offset = this.#enqueued++ % hand.length;
    let best: Queue | undefined;
    for (let i = 0; i < hand.length; i++) {
      const index = hand[(offset + i) % hand.length] as number;
      let queue = this.#queues.get(index);
      if (!queue) this.#queues.set(index, (queue = { waiting: new Set(), seats: 0, virtualMs: 0 }));
      if (!best || queue.seats < best.seats) best = queue;
    }
    return best as Queue;
  }

  #wait(seat: Seat, queue: Queue, waitMs: number, waiter: Waiter): Promise<Seat> {
    const nowMs = this.#clock.monotonicMs();
    const { promise, resolve, reject } = Promise.withResolvers<Seat>();
    const waiting: Waiting = { seat, queue, sinceMs: nowMs, resolve, reject, timer: undefined };
    if (queue.waiting.size === 0) {
      // A queue that was empty has no claim to the time that it did not use.
      queue.virtualMs = Math.max(queue.virtualMs, this.#virtualMs);
      this.#active.add(queue);
    }
    queue.waiting.add(waiting);
    queue.seats += seat.seats;
    this.waiting++;
    this.waitingSeats += seat.seats;
    seat.flow.schema.waiting++;
    this.demand.set(this.seatsInUse + this.waitingSeats, nowMs);
    waiting.timer = this.#clock.setTimeout(() => this.#drop(waiting, 'time-out'), waitMs);
    waiter.onClose(() => this.#drop(waiting, 'cancelled'));
    this.#dispatch();
    return promise;
  }

  #drop(waiting: Waiting, reason: 'time-out' | 'cancelled'): void {
    if (!waiting.queue.waiting.has(waiting)) return;
    this.#remove(waiting);
    const nowMs = this.#clock.monotonicMs();
    this.demand.set(this.seatsInUse + this.waitingSeats, nowMs);
    const { flow } = waiting.seat;
    flow.schema.refusedWaits.observe((nowMs - waiting.sinceMs) / 1_000);
    waiting.reject(this.#refuse(flow, reason));
    // It may have kept others from seats that were too few for it.
    this.#dispatch();
  }

  #remove(waiting: Waiting): void {
    const { queue, seat, timer } = waiting;
    timer?.cancel();
    queue.waiting.delete(waiting);
    queue.seats -= seat.seats;
    if (queue.waiting.size === 0) this.#active.delete(queue);
    this.waiting--;
    this.waitingSeats -= seat.seats;
    seat.flow.schema.waiting--;
  }

  #dispatch(): void {
    while (this.waiting > 0) {
      let next: Waiting | undefined;
      let least = Infinity;
      for (const queue of this.#active) {
        const head = queue.waiting.values().next().value as Waiting;
        const finish = queue.virtualMs + head.seat.seats * estimatedMs;
        if (finish < least) [least, next] = [finish, head];
      }
      if (!next || !this.#fits(next.seat.seats)) return;
      const { queue, seat, sinceMs, resolve } = next;
      const nowMs = this.#clock.monotonicMs();
      this.#remove(next);
      // Those with equal claims take turns.
      if (this.#active.delete(queue)) this.#active.add(queue);
      this.#virtualMs = Math.max(this.#virtualMs, queue.virtualMs);
      queue.virtualMs += seat.seats * estimatedMs;
      seat.queue = queue;
      this.#begin(seat, nowMs);
      seat.flow.schema.waits.observe((nowMs - sinceMs) / 1_000);
      resolve(seat);
    }
  }

  #refuse({ schema }: Flow, reason: Rejection): StatusError {
    this.counts[reason === 'queue-full' || reason === 'concurrency-limit' ? 'rejected' : reason]++;
    schema.rejected.set(reason, (schema.rejected.get(reason) ?? 0) + 1);
    return new StatusError(429, 'TooManyRequests', 'Too many requests, please try again later.', {
      retryAfterSeconds: this.#retryAfter.refused(Math.floor(this.#clock.monotonicMs() / 1_000)),
    });
  }
}
