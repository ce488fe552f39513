import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import type { FlowSchema, PriorityLevelConfiguration } from '@cloudless/kube/types/flowcontrol-v1';
import type { UserInfo } from '@cloudless/kube/user';
import type { RequestInfo } from '../request/info.ts';
import { allocate } from './allocation.ts';
import { mandatory } from './bootstrap.ts';
import { Classifier, type Flow, SchemaState } from './flow.ts';
import { compareSchemas } from './matching.ts';
import { PriorityLevel, type Seat, type Waiter } from './priority-level.ts';

/** How often seats are lent anew (upstream: borrowingAdjustmentPeriod). */
const rebalanceMs = 10_000;
/** Half of the smoothed demand is forgotten in five minutes (upstream: seatDemandSmoothingCoefficient). */
const smoothing = 0.977;
/** No request waits longer than this for its seat. */
const maxWaitMs = 60_000;

/** Shares and percentages of a level, whatever its type. */
function sharesOf({ spec }: PriorityLevelConfiguration) {
  const { nominalConcurrencyShares = 0, lendablePercent = 0 } = spec?.limited ?? spec?.exempt ?? {};
  return {
    shares: nominalConcurrencyShares,
    lendable: lendablePercent,
    borrowing: spec?.limited?.borrowingLimitPercent,
  };
}

/** Whether a level's spec can be used: its type, its name and its members fit. */
const isUsable = ({ metadata, spec }: PriorityLevelConfiguration): boolean =>
  spec !== undefined &&
  (spec.type === 'Limited') === (spec.limited !== undefined) &&
  (spec.type === 'Exempt') === (spec.exempt !== undefined) &&
  (spec.type === 'Exempt') === (metadata.name === 'exempt') &&
  (spec.limited?.limitResponse?.type === 'Queue') === (spec.limited?.limitResponse?.queuing !== undefined);

const nameOf = (object: { metadata: { name?: string } }): string => object.metadata.name ?? '';

/**
 * API priority and fairness (upstream: apiserver/pkg/util/flowcontrol, KEP-1040): each request belongs to a flow, its
 * flow to a priority level, and levels share the server's seats. Begins with the mandatory objects alone.
 */
export class FlowControl {
  readonly #totalSeats: number;
  readonly #clock: Clock;
  #levels = new Map<string, PriorityLevel>();
  #schemas = new Map<string, SchemaState>();
  #classifier: Classifier;
  #timer: ClockTimer | undefined;
  #fairFraction = 0;

  /** `totalSeats`: requests that may be carried out at once, exempt ones aside. */
  constructor(totalSeats: number, clock: Clock) {
    this.#totalSeats = totalSeats;
    this.#clock = clock;
    this.#classifier = this.#digest([], []);
  }

  get levels(): ReadonlyMap<string, PriorityLevel> {
    return this.#levels;
  }

  get schemas(): ReadonlyMap<string, SchemaState> {
    return this.#schemas;
  }

  /** The share of its wanted seats that each level could get at the last division. */
  get fairFraction(): number {
    return this.#fairFraction;
  }

  /** Divides the seats anew every ten seconds, until {@link stop}. */
  start(): void {
    this.#timer = this.#clock.setTimeout(() => {
      this.#rebalance();
      this.start();
    }, rebalanceMs);
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /**
   * Goes over to these objects. Requests under way and waiting keep their places; a level without an object goes when
   * it is idle. Schemas whose level does not exist are left out.
   */
  configure(levels: readonly PriorityLevelConfiguration[], schemas: readonly FlowSchema[]): void {
    this.#classifier = this.#digest(levels, schemas);
  }

  classify(user: UserInfo, info: RequestInfo): Flow {
    return this.#classifier.classify(user, info);
  }

  /**
   * Takes `seats` of the flow's level, at most as many as it gives to one request. Waits for a quarter of the request's
   * timeout. Throws or rejects with 429.
   */
  enter(flow: Flow, seats: number, timeoutMs: number, waiter: Waiter): Seat | Promise<Seat> {
    const { level } = flow.schema;
    const most = seats > 1 ? Math.min(seats, level.maxSeats) : 1;
    return level.enter(flow, most, Math.min(timeoutMs / 4, maxWaitMs), waiter);
  }

  #digest(levels: readonly PriorityLevelConfiguration[], schemas: readonly FlowSchema[]): Classifier {
    const wanted = new Map(levels.filter(isUsable).map((one) => [nameOf(one), one]));
    const good = schemas.filter(({ spec }) => wanted.has(spec?.priorityLevelConfiguration.name ?? ''));
    for (const one of mandatory.levels) {
      const name = nameOf(one);
      if (!wanted.has(name)) wanted.set(name, this.#levels.get(name)?.object ?? one);
    }
    const next = new Map<string, PriorityLevel>();
    for (const [name, object] of wanted) {
      const level = this.#levels.get(name) ?? new PriorityLevel(object, this.#clock);
      level.object = object;
      level.quiescing = false;
      next.set(name, level);
    }
    for (const [name, level] of this.#levels) {
      if (next.has(name) || level.isIdle) continue;
      level.quiescing = true;
      next.set(name, level);
    }
    this.#levels = next;
    this.#divide();
    return this.#order(good);
  }

  #order(good: readonly FlowSchema[]): Classifier {
    const sorted = good.toSorted(compareSchemas);
    const [exempt, catchAll] = mandatory.schemas as [FlowSchema, FlowSchema];
    const has = (one: FlowSchema): boolean => sorted.some((other) => nameOf(other) === nameOf(one));
    if (!has(exempt)) sorted.unshift(exempt);
    if (!has(catchAll)) sorted.push(catchAll);
    const next = new Map<string, SchemaState>();
    for (const object of sorted) {
      const level = this.#levels.get(object.spec?.priorityLevelConfiguration.name ?? '') as PriorityLevel;
      const state = this.#schemas.get(nameOf(object)) ?? new SchemaState(object, level);
      // Requests that wait count for the level that they came to.
      state.object = object;
      state.level = level;
      next.set(state.name, state);
    }
    this.#schemas = next;
    return new Classifier([...next.values()], next.get('catch-all') as SchemaState);
  }

  /** Gives each level its nominal seats by its shares. */
  #divide(): void {
    const levels = [...this.#levels.values()];
    const sum = Math.max(
      1,
      levels.reduce((all, { object }) => all + sharesOf(object).shares, 0),
    );
    for (const level of levels) {
      const { shares, lendable, borrowing } = sharesOf(level.object);
      const nominal = Math.ceil((this.#totalSeats * shares) / sum);
      const lent = Math.round((nominal * lendable) / 100);
      const borrowed = borrowing === undefined ? this.#totalSeats : Math.round((nominal * borrowing) / 100);
      level.limits = { nominal, lower: nominal - lent, upper: nominal + borrowed };
    }
    this.#rebalance();
  }

  /** Lends seats that their level does not need to those that do (upstream: updateBorrowingLocked). */
  #rebalance(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [name, level] of this.#levels) {
      if (level.quiescing && level.isIdle) this.#levels.delete(name);
    }
    const levels = [...this.#levels.values()];
    const total = levels.reduce((sum, { limits }) => sum + limits.nominal, 0);
    let left = total;
    const claims = new Map<PriorityLevel, { lower: number; upper: number; target: number }>();
    for (const level of levels) {
      const { highest, average, deviation } = level.demand.reset(nowMs);
      const envelope = average + deviation;
      level.smoothedDemand = Math.max(
        envelope,
        smoothing * level.smoothedDemand + (1 - smoothing) * envelope,
      );
      const { nominal, lower, upper } = level.limits;
      if (level.exempt) {
        const seats = Math.max(lower, highest);
        level.limit = seats;
        left -= seats;
        continue;
      }
      const least = Math.max(lower, Math.min(nominal, highest));
      claims.set(level, { lower: least, upper, target: Math.max(least, level.smoothedDemand) });
    }
    this.#lend(left, total, claims);
  }

  #lend(
    left: number,
    total: number,
    claims: ReadonlyMap<PriorityLevel, { lower: number; upper: number; target: number }>,
  ): void {
    const lowest = [...claims.keys()].reduce((sum, { limits }) => sum + limits.lower, 0);
    const least = [...claims.values()].reduce((sum, { lower }) => sum + lower, 0);
    if (left > least) {
      const { seats, fraction } = allocate(total, [...claims.values()]);
      this.#fairFraction = fraction;
      for (const [i, level] of [...claims.keys()].entries()) level.limit = Math.round(seats[i] as number);
      return;
    }
    // Exempt requests take so much that the others cannot all have what they need.
    const fraction = left <= lowest ? 0 : (left - lowest) / (least - lowest);
    this.#fairFraction = 0;
    for (const [level, { lower }] of claims) {
      level.limit = level.limits.lower + Math.round((lower - level.limits.lower) * fraction);
    }
  }
}
