import type { Clock } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import type { ExternalDnsConfig } from '../external/config.ts';
import { WireError } from '../wire/name.ts';
import { readSoa } from '../wire/rdata/typed.ts';
import { isSerialHigher, ZoneContentError } from '../zone/build.ts';
import type { ServedZone, Zones } from '../zone/zones.ts';
import { remoteName } from './ask.ts';
import { askSerial, type FetchContext, fetchZone, type TransferLimits } from './fetch-zone.ts';
import { TransferError, type TransferResult } from './incoming.ts';
import type { Remote } from './keys.ts';
import type { Limiter } from './limiter.ts';
import { DifferenceError } from './steps.ts';
import { startWait } from './wait.ts';

/** What is known of one zone that is held for others. */
export interface SecondaryStatus {
  readonly origin: string;
  /** `waiting`: it was never received; `expired`: no primary has answered for too long. */
  readonly state: 'waiting' | 'serving' | 'expired';
  readonly serial: number | undefined;
  /** When a primary last said that this is what it has, milliseconds since the epoch; undefined: never. */
  readonly confirmedMs: number | undefined;
  /** Why the last refresh brought nothing; undefined: it did. */
  readonly error: string | undefined;
}

export interface SecondaryZoneOptions {
  readonly zones: Zones;
  readonly config: () => Pick<ExternalDnsConfig, 'secondaries' | 'tsigKeys'>;
  readonly log: Logger;
  readonly clock: Clock;
  readonly limits: TransferLimits;
  readonly random: () => number;
  /** Shared by all zones. */
  readonly limiter: Limiter;
}

/** SOA times are kept within these bounds: no primary has itself asked without end, nor never. */
const shortestRefreshMs = 2000;
const longestRefreshMs = 7 * 24 * 3600_000;
/** Tries to get a zone that was never received: doubled with each, up to the second value. */
const firstRetryMs = 1000;
const longestFirstRetryMs = 60_000;
/** NOTIFYs within this time lead to one refresh. */
const coalesceMs = 50;

/** One secondary zone: its timers, and the refresh that they, or a NOTIFY, set off. */
export class SecondaryZone {
  readonly #origin: string;
  readonly #options: SecondaryZoneOptions;
  readonly #stopped = new AbortController();
  readonly #ended: Promise<void>;
  #wake: (() => void) | undefined;
  /** The primary that sent a NOTIFY which was not looked into yet. */
  #notifiedBy: string | undefined;
  #isReloaded = false;
  #confirmed: { monotonicMs: number; wallMs: number } | undefined;
  #error: string | undefined;
  /** What was warned of last: said once. */
  readonly #warned = new Map<string, string>();

  constructor(origin: string, options: SecondaryZoneOptions) {
    this.#origin = origin;
    this.#options = options;
    this.#ended = this.#run();
  }

  stop(): Promise<void> {
    this.#stopped.abort();
    return this.#ended;
  }

  notified(from: string): void {
    this.#notifiedBy = from;
    this.#wake?.();
  }

  /** Its primaries or keys may be others now. */
  reloaded(): void {
    this.#isReloaded = true;
    this.#wake?.();
  }

  status(): SecondaryStatus {
    const held = this.#held;
    const state = !held ? 'waiting' : held.isExpired ? 'expired' : 'serving';
    return {
      origin: this.#origin,
      state,
      serial: held?.zone.serial,
      confirmedMs: this.#confirmed?.wallMs,
      error: this.#error,
    };
  }

  get #held(): ServedZone | undefined {
    const served = this.#options.zones.all.get(this.#origin);
    return served?.role === 'secondary' ? served : undefined;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    let failures = 0;
    while (!signal.aborted) {
      const notifiedBy = this.#notifiedBy;
      this.#notifiedBy = undefined;
      this.#isReloaded = false;
      const isFresh = await this.#options.limiter.run(() => this.#refresh(notifiedBy));
      if (signal.aborted) return;
      failures = isFresh ? 0 : failures + 1;
      this.#expireWhenDue();
      await this.#wait(this.#nextMs(failures));
    }
  }

  /** Asks the primaries in turn, the one that sent a NOTIFY first. Whether one of them confirmed or renewed the zone. */
  async #refresh(notifiedBy: string | undefined): Promise<boolean> {
    const primaries = [...(this.#options.config().secondaries.get(this.#origin)?.primaries ?? [])];
    if (notifiedBy !== undefined)
      primaries.sort((a, b) => Number(b.address === notifiedBy) - Number(a.address === notifiedBy));
    let error = 'it has no primaries';
    for (const primary of primaries) {
      if (this.#stopped.signal.aborted) return false;
      try {
        await this.#refreshFrom(primary);
        this.#warned.delete(remoteName(primary));
        const { clock } = this.#options;
        this.#confirmed = { monotonicMs: clock.monotonicMs(), wallMs: clock.nowMs() };
        this.#error = undefined;
        return true;
      } catch (failure) {
        if (this.#stopped.signal.aborted) return false;
        error = this.#warn(primary, failure);
      }
    }
    this.#error = error;
    return false;
  }

  async #refreshFrom(primary: Remote): Promise<void> {
    const { config, clock, limits, log } = this.#options;
    const context: FetchContext = { keys: config().tsigKeys, clock, limits, signal: this.#stopped.signal };
    const held = this.#held;
    if (held) {
      const serial = await askSerial(this.#origin, primary, context);
      if (serial === held.zone.serial) return this.#confirm(held);
      if (!isSerialHigher(serial, held.zone.serial))
        throw new TransferError(`its serial ${serial} is lower than ${held.zone.serial}, which we hold`);
    }
    const startedMs = clock.monotonicMs();
    const result = await this.#fetch(held, primary, context);
    if (this.#stopped.signal.aborted) return;
    if (result.kind === 'current') {
      if (held) this.#confirm(held);
      return;
    }
    const { zone, style, outside } = result;
    if (held && !isSerialHigher(zone.serial, held.zone.serial)) {
      if (zone.serial === held.zone.serial) return this.#confirm(held);
      throw new TransferError(`it sent serial ${zone.serial}, lower than ${held.zone.serial}, which we hold`);
    }
    this.#options.zones.publish(zone, { role: 'secondary' });
    const about = {
      zone: this.#origin,
      from: remoteName(primary),
      serial: zone.serial,
      records: zone.recordCount,
    };
    const tookMs = Math.round(clock.monotonicMs() - startedMs);
    log.info({ ...about, style, tookMs }, 'a secondary zone was received');
    if (outside > 0)
      log.warn({ ...about, outside }, 'a primary sends records outside of the zone: they are left out');
  }

  /** By IXFR, and by AXFR when the primary does not do that, or its differences do not fit what is held. */
  async #fetch(
    held: ServedZone | undefined,
    primary: Remote,
    context: FetchContext,
  ): Promise<TransferResult> {
    if (!held) return fetchZone(this.#origin, undefined, primary, context);
    try {
      return await fetchZone(this.#origin, held.zone, primary, context);
    } catch (error) {
      context.signal.throwIfAborted();
      if (!isAboutContent(error)) throw error;
      const about = { zone: this.#origin, from: remoteName(primary) };
      this.#options.log.info(
        about,
        `no difference of a zone could be received, so it is asked for whole: ${error.message}`,
      );
      return fetchZone(this.#origin, undefined, primary, context);
    }
  }

  /** A zone that had expired counts again. */
  #confirm(held: ServedZone): void {
    if (held.isExpired) this.#options.zones.publish(held.zone, { role: 'secondary' });
  }

  #expireWhenDue(): void {
    const held = this.#held;
    if (!held || held.isExpired || this.#untilExpiryMs(held) > 0) return;
    this.#options.zones.publish(held.zone, { role: 'secondary', isExpired: true });
    const about = { zone: this.#origin, serial: held.zone.serial, err: this.#error };
    this.#options.log.error(about, 'a secondary zone has expired: no primary has answered for too long');
  }

  #untilExpiryMs(held: ServedZone): number {
    const { clock } = this.#options;
    this.#confirmed ??= { monotonicMs: clock.monotonicMs(), wallMs: clock.nowMs() };
    return this.#confirmed.monotonicMs + soaOf(held).expireSeconds * 1000 - clock.monotonicMs();
  }

  /** Until the next refresh: the SOA's times, a little earlier each time by chance, so that zones do not ask all at once. */
  #nextMs(failures: number): number {
    const held = this.#held;
    const spread = 1 - this.#options.random() / 10;
    if (!held) return Math.min(firstRetryMs * 2 ** Math.min(failures - 1, 20), longestFirstRetryMs) * spread;
    const { refreshSeconds, retrySeconds } = soaOf(held);
    const wanted = (failures === 0 ? refreshSeconds : retrySeconds) * 1000;
    const next = Math.min(Math.max(wanted, shortestRefreshMs), longestRefreshMs) * spread;
    return held.isExpired ? next : Math.max(0, Math.min(next, this.#untilExpiryMs(held)));
  }

  /** Ends early when a primary sends a NOTIFY or the configuration changes. */
  async #wait(ms: number): Promise<void> {
    const wait = startWait(ms, this.#options.clock, this.#stopped.signal);
    let isWoken = false;
    this.#wake = () => {
      if (isWoken) return;
      isWoken = true;
      wait.endIn(coalesceMs);
    };
    if (this.#notifiedBy !== undefined || this.#isReloaded) this.#wake();
    await wait.over;
    this.#wake = undefined;
  }

  /** Names the primary and what is wrong with it, once for each thing. */
  #warn(primary: Remote, failure: unknown): string {
    const name = remoteName(primary);
    const why = failure instanceof Error ? failure.message : String(failure);
    const about = { zone: this.#origin, primary: name };
    const text = `primary ${name} gave no zone ${this.#origin}.: ${why}`;
    if (this.#warned.get(name) === text) this.#options.log.debug(about, text);
    else this.#options.log.warn(about, text);
    this.#warned.set(name, text);
    return text;
  }
}

/** Whether what was sent is at fault, and not the network or a signature. */
function isAboutContent(error: unknown): error is Error {
  return [TransferError, DifferenceError, ZoneContentError, WireError].some((kind) => error instanceof kind);
}

function soaOf({ zone }: ServedZone): ReturnType<typeof readSoa> {
  return readSoa(zone.soa.data[0] as Buffer);
}
