import type { Clock } from '../clock.ts';
import type { Event } from '../generated/types/core-v1.ts';
import { formatTime } from '../time.ts';
import { TokenBucket } from '../workqueue/rate-limiter.ts';

/** Entries each of the three caches keeps (upstream: tools/record/events_cache.go, as all numbers here). */
const cacheEntries = 4096;
/** Different messages for one reason after which they are combined … */
const maxSimilarEvents = 10;
/** … when they come within this time of each other. */
const similarWithinMs = 600_000;
/** Events one source may send about one object at once, and how fast it may send more. */
const spamBurst = 25;
const spamPerSecond = 1 / 300;

/** What to do with an event. */
export type Correlated =
  | { action: 'skip' }
  | { action: 'create'; event: Event; key: string }
  /** It was seen before: count it. */
  | { action: 'patch'; event: Event; patch: Partial<Event>; key: string };

/** The least recently used entries leave first. */
class Cache<V> {
  readonly #entries = new Map<string, V>();

  get(key: string): V | undefined {
    const value = this.#entries.get(key);
    if (value !== undefined) this.set(key, value);
    return value;
  }

  set(key: string, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size <= cacheEntries) return;
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest);
      return;
    }
  }
}

interface Observation {
  count: number;
  firstTimestamp: string | undefined;
  name: string;
}

function spamKey(event: Event): string {
  const { kind, namespace, name, uid, apiVersion } = event.involvedObject;
  return JSON.stringify([
    event.source?.component,
    event.source?.host,
    kind,
    namespace,
    name,
    uid,
    apiVersion,
    event.type,
  ]);
}

const aggregateKey = (event: Event): string =>
  `${spamKey(event)}${JSON.stringify([event.reason, event.reportingComponent, event.reportingInstance])}`;
const eventKey = (event: Event): string =>
  `${spamKey(event)}${JSON.stringify([event.involvedObject.fieldPath, event.reason, event.message])}`;

let lastNanos = 0n;

/** `object.HEX`: unique, in upstream's form (nanoseconds since the epoch). */
export function eventName(object: string, clock: Clock): string {
  const nanos = BigInt(Math.floor(clock.nowMs())) * 1_000_000n;
  lastNanos = nanos > lastNanos ? nanos : lastNanos + 1n;
  return `${object}.${lastNanos.toString(16)}`;
}

/**
 * Keeps events from flooding the API: counts repeats, combines events that differ only in their message once
 * there are ten, and holds a source that says too much about one object to one event in five minutes. Pure but
 * for its memory.
 */
export class EventCorrelator {
  readonly #clock: Clock;
  readonly #similar = new Cache<{ messages: Set<string>; lastMs: number }>();
  readonly #observed = new Cache<Observation>();
  readonly #buckets = new Cache<TokenBucket<string>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  correlate(event: Event): Correlated {
    const { event: aggregated, key } = this.#aggregate(event);
    const result = this.#observe(aggregated, key);
    return this.#isSpam(aggregated) ? { action: 'skip' } : result;
  }

  /** The server's answer: later repeats patch that event. */
  stored(key: string, event: Event): void {
    this.#observed.set(key, {
      count: event.count ?? 1,
      firstTimestamp: event.firstTimestamp,
      name: event.metadata.name ?? '',
    });
  }

  #aggregate(event: Event): { event: Event; key: string } {
    const nowMs = this.#clock.nowMs();
    const key = aggregateKey(event);
    let record = this.#similar.get(key);
    if (!record || nowMs - record.lastMs > similarWithinMs) record = { messages: new Set(), lastMs: nowMs };
    record.messages.add(event.message ?? '');
    record.lastMs = nowMs;
    this.#similar.set(key, record);
    if (record.messages.size < maxSimilarEvents) return { event, key: eventKey(event) };
    for (const oldest of record.messages) {
      record.messages.delete(oldest);
      break;
    }
    const now = formatTime(nowMs);
    const combined: Event = {
      ...event,
      metadata: { ...event.metadata, name: eventName(event.involvedObject.name ?? '', this.#clock) },
      message: `(combined from similar events): ${event.message ?? ''}`,
      count: 1,
      firstTimestamp: now,
      lastTimestamp: now,
    };
    return { event: combined, key };
  }

  #observe(event: Event, key: string): Correlated {
    const last = this.#observed.get(key);
    if (!last) {
      this.stored(key, event);
      return { action: 'create', event, key };
    }
    const counted: Event = {
      ...event,
      metadata: { ...event.metadata, name: last.name },
      ...(last.firstTimestamp === undefined ? {} : { firstTimestamp: last.firstTimestamp }),
      count: last.count + 1,
    };
    this.stored(key, counted);
    const { count, lastTimestamp, message } = counted;
    const patch: Partial<Event> = {
      ...(count === undefined ? {} : { count }),
      ...(lastTimestamp === undefined ? {} : { lastTimestamp }),
      ...(message === undefined ? {} : { message }),
    };
    return { action: 'patch', event: counted, patch, key };
  }

  #isSpam(event: Event): boolean {
    const key = spamKey(event);
    let bucket = this.#buckets.get(key);
    if (!bucket) {
      bucket = new TokenBucket<string>(spamPerSecond, spamBurst, this.#clock);
      this.#buckets.set(key, bucket);
    }
    return !bucket.tryTake();
  }
}
