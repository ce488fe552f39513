import type { CacheConfig } from '../corefile/config.ts';
import { isBelow, zoneAround } from '../cluster/zones.ts';
import { extendedError, rcode } from '../wire/types.ts';
import { AnswerStore, type StoredAnswer } from './answer-store.ts';
import type { ForwardedAnswer } from './forwarded-answer.ts';
import { ForwardError } from './forwarder.ts';
import { CacheCounts } from './metrics.ts';
import type { ForwardedQuestion } from './question.ts';

/** An answer and how its TTLs are to be told. */
export interface Told {
  readonly answer: ForwardedAnswer;
  readonly ageSeconds: number;
  readonly lifetimeSeconds: number;
  readonly staleTtlSeconds?: number | undefined;
}

/** A question as the cache knows it. */
export interface CacheQuestion {
  readonly question: ForwardedQuestion;
  /** Lower case. */
  readonly name: string;
  /** From {@link cacheKey}. */
  readonly key: string;
}

/** Asks upstream. Rejects with {@link ForwardError}. */
export type Fetch = (question: CacheQuestion, transport: 'udp' | 'tcp') => Promise<ForwardedAnswer>;

/** Bytes that positive answers may take, and others. */
const bytesPerKind = 16 * 1024 * 1024;
/** Servers that gave no answer at all are not asked the same again before this (RFC 9520 section 3.2: at least 1 s). */
const failureMs = 1000;
const maxFailures = 2000;
/** TTL of answers that are not kept is told up to here. */
const noLimitSeconds = 0x7fffffff;

/**
 * Answers from upstream, kept as they came for the very question they were given to: by name, type, class, DO, CD and
 * RD. Records in them are never used for anything else, so nothing that a server adds can displace another's names
 * (RFC 5452 section 6). Equal questions at one time are asked once.
 */
export class AnswerCache {
  readonly counts: CacheCounts;
  readonly #config: CacheConfig | undefined;
  readonly #store: AnswerStore;
  readonly #fetch: Fetch;
  readonly #nowMs: () => number;
  readonly #underWay = new Map<string, Promise<ForwardedAnswer>>();
  readonly #failures = new Map<string, { untilMs: number; error: ForwardError }>();

  /** `config` undefined: nothing is kept, only equal questions are asked once. */
  constructor(
    config: CacheConfig | undefined,
    fetch: Fetch,
    nowMs: () => number,
    counts = new CacheCounts(),
  ) {
    this.#config = config;
    this.#fetch = fetch;
    this.#nowMs = nowMs;
    this.counts = counts;
    this.#store = new AnswerStore(
      {
        successEntries: config?.success.entries ?? 0,
        denialEntries: config?.denial.entries ?? 0,
        bytesPerKind,
      },
      counts,
    );
  }

  get sizes(): { success: number; denial: number } {
    return this.#store.sizes;
  }

  /** The answer, at once where it is known. Rejects with {@link ForwardError}. */
  answer(asked: CacheQuestion, transport: 'udp' | 'tcp'): Told | Promise<Told> {
    return this.known(asked) ?? this.#missing(asked, transport);
  }

  /** What can be told without asking anyone; undefined: it has to be asked for. */
  known(asked: CacheQuestion): Told | undefined {
    if (!this.#config) return undefined;
    this.counts.requests += 1;
    const nowMs = this.#nowMs();
    const entry = this.#store.find(asked.key, nowMs);
    if (!entry) return undefined;
    if (entry.expiresMs <= nowMs) return this.#stale(asked, entry, nowMs);
    this.counts.hits[entry.kind] += 1;
    this.#prefetch(asked, entry, nowMs);
    return this.#fresh(entry, nowMs);
  }

  #fresh(entry: StoredAnswer, nowMs: number): Told {
    const age = this.#config?.keepTtl ? 0 : Math.floor((nowMs - entry.storedMs) / 1000);
    return { answer: entry.answer, ageSeconds: age, lifetimeSeconds: entry.lifetimeSeconds };
  }

  /** In mode `verify` only while there is nothing to be learned: the last try failed, or one is under way. */
  #stale(asked: CacheQuestion, entry: StoredAnswer, nowMs: number): Told | undefined {
    const stale = this.#config?.serveStale;
    if (!stale || entry.kind === 'error' || entry.expiresMs + stale.durationMs <= nowMs) return undefined;
    if (nowMs >= entry.recheckMs && !this.#underWay.has(`${asked.key}u`)) {
      if (stale.mode === 'verify') return undefined;
      void this.#refresh(asked, entry);
    }
    return this.#tellStale(entry, stale.ttlSeconds);
  }

  #tellStale(entry: StoredAnswer, ttlSeconds: number): Told {
    this.counts.servedStale += 1;
    this.counts.hits[entry.kind] += 1;
    return { ...this.#fresh(entry, this.#nowMs()), staleTtlSeconds: ttlSeconds };
  }

  #prefetch(asked: CacheQuestion, entry: StoredAnswer, nowMs: number): void {
    const prefetch = this.#config?.prefetch;
    if (!prefetch || prefetch.amount === 0 || entry.kind === 'error') return;
    entry.hits = nowMs - entry.lastHitMs <= prefetch.durationMs ? entry.hits + 1 : 1;
    entry.lastHitMs = nowMs;
    if (entry.hits < prefetch.amount) return;
    const leftMs = entry.expiresMs - nowMs;
    const thresholdMs = Math.max(1000, ((entry.expiresMs - entry.storedMs) * prefetch.percentage) / 100);
    if (leftMs > thresholdMs || nowMs < entry.recheckMs || this.#underWay.has(`${asked.key}u`)) return;
    this.counts.prefetches += 1;
    void this.#refresh(asked, entry);
  }

  /** Fetches anew behind an answer that was given. Never rejects. */
  async #refresh(asked: CacheQuestion, entry: StoredAnswer): Promise<void> {
    try {
      const answer = await this.#ask(asked, 'udp');
      if (answer.kind !== 'error' && !answer.truncated) return;
    } catch {
      // The entry goes on being served.
    }
    this.#holdBack(entry);
  }

  #holdBack(entry: StoredAnswer): void {
    entry.recheckMs = this.#nowMs() + Math.max(failureMs, this.#config?.serveStale?.failureRecheckMs ?? 0);
  }

  async #missing(asked: CacheQuestion, transport: 'udp' | 'tcp'): Promise<Told> {
    this.counts.misses += 1;
    const entry = this.#store.find(asked.key, this.#nowMs());
    const stale = this.#config?.serveStale;
    const isUsable =
      entry && stale && entry.kind !== 'error' && entry.expiresMs + stale.durationMs > this.#nowMs();
    const asking = this.#ask(asked, transport);
    if (!isUsable) return this.#told(await asking, asked.name);
    const inTime = stale.verifyTimeoutMs > 0 ? within(asking, stale.verifyTimeoutMs) : asking;
    try {
      const answer = await inTime;
      if (answer && answer.rcode !== rcode.servFail) return this.#told(answer, asked.name);
      if (answer) this.#holdBack(entry);
    } catch {
      this.#holdBack(entry);
    }
    return this.#tellStale(entry, stale.ttlSeconds);
  }

  #told(answer: ForwardedAnswer, name: string): Told {
    const lifetimeSeconds = this.#lifetimeSeconds(answer, name) ?? noLimitSeconds;
    return { answer, ageSeconds: 0, lifetimeSeconds };
  }

  /** Asks upstream, once for all who ask the same now, and keeps what may be kept. */
  #ask(asked: CacheQuestion, transport: 'udp' | 'tcp'): Promise<ForwardedAnswer> {
    const key = `${asked.key}${transport === 'tcp' ? 't' : 'u'}`;
    const there = this.#underWay.get(key);
    if (there) return there;
    const failure = this.#failures.get(key);
    if (failure && failure.untilMs > this.#nowMs()) return Promise.reject(failure.error);
    const asking = this.#fetch(asked, transport)
      .then(
        (answer) => {
          this.#failures.delete(key);
          this.#keep(asked, answer);
          return answer;
        },
        (error: unknown) => {
          this.#rememberFailure(key, error);
          throw error;
        },
      )
      .finally(() => this.#underWay.delete(key));
    // Those who wait hear of a failure; where a stale answer was given nobody does.
    asking.catch(() => {});
    this.#underWay.set(key, asking);
    return asking;
  }

  #rememberFailure(key: string, error: unknown): void {
    if (!(error instanceof ForwardError) || error.infoCode !== extendedError.networkError) return;
    if (this.#failures.size >= maxFailures) this.#failures.clear();
    this.#failures.set(key, { untilMs: this.#nowMs() + failureMs, error });
  }

  #keep(asked: CacheQuestion, answer: ForwardedAnswer): void {
    const seconds = this.#lifetimeSeconds(answer, asked.name);
    if (seconds !== undefined && seconds > 0)
      this.#store.keep(asked.key, answer, seconds * 1000, this.#nowMs());
  }

  /** How long an answer is kept; undefined: not at all. */
  #lifetimeSeconds(answer: ForwardedAnswer, name: string): number | undefined {
    const config = this.#config;
    if (!config || answer.truncated || answer.ttlSeconds === undefined) return undefined;
    if (zoneAround(config.zones, name) === undefined) return undefined;
    if (answer.kind === 'error') return config.servfailMs / 1000;
    const limits = config[answer.kind];
    if (limits.disabled.some((zone) => isBelow(name, zone))) return undefined;
    return Math.min(Math.max(answer.ttlSeconds, limits.minTtlSeconds), limits.maxTtlSeconds);
  }
}

/** The result, or undefined when it is not there in time. */
async function within<T>(work: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

const scratch = Buffer.alloc(300);

/**
 * The key of a question: its name in lower case, type and class as they stand on the wire, and the flags that change the
 * answer.
 */
export function cacheKey(question: ForwardedQuestion): string {
  const { bytes } = question;
  const nameEnd = bytes.length - 4;
  // Lengths of labels are below 64 and so no letters; type and class are left as they are.
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number;
    scratch[i] = i < nameEnd && byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
  }
  scratch[bytes.length] =
    (question.dnssecOk ? 1 : 0) | (question.checkingDisabled ? 2 : 0) | (question.recursionDesired ? 4 : 0);
  return scratch.toString('latin1', 0, bytes.length + 1);
}
