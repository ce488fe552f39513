import { createHash } from 'node:crypto';
import { type Clock, type ClockTimer, systemClock } from '@cloudless/kube/clock';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { soaData } from '../wire/rdata/typed.ts';
import { rrType } from '../wire/types.ts';
import { isSerialHigher, zoneOf } from '../zone/build.ts';
import type { Zone } from '../zone/zone.ts';
import type { SigningPolicy, Zones } from '../zone/zones.ts';
import type { ZoneComposer } from './composer.ts';
import type { RevisionTracker } from './revisions.ts';
import { compareVersions, following, judgeSerial, type SerialEntry, type SerialVerdict } from './serial.ts';
import type { SerialRecord } from './serial-record.ts';

/** How one zone is signed now. */
export interface ZoneSigning {
  /** Undefined: its keys are not active (yet, or any more), so it goes out unsigned. */
  readonly policy: SigningPolicy | undefined;
  /** Changes when what secondaries get changes though the zone's records do not: its serial has to rise. */
  readonly digest: string;
  /** Rises with each new stretch of signatures: the version of `signatures`. */
  readonly epoch: string;
}

export interface PublisherOptions {
  composer: ZoneComposer;
  zones: Zones;
  /** Undefined: there is no cluster, and the texts' own serials count. */
  serials: SerialRecord | undefined;
  tracker: RevisionTracker;
  /** What is not seen yet and has to be before anything is composed; undefined: nothing. */
  waitingFor(): string | undefined;
  /** Puts what changed into the composer; returns the origins that are gone. */
  refresh(): readonly string[];
  /** Undefined: the zone is not signed. */
  signing(origin: string): ZoneSigning | undefined;
  /** Forget serials of zones that no configuration names any more. */
  prunes: boolean;
  /** Within the turn in which zones were published, or found to need nothing new. */
  onPublished?(): void;
  /** After each round, whether or not something was published. */
  onRound?(): void;
  log: Logger;
  clock?: Clock | undefined;
}

/** Publishes composed zones under serials that all replicas agree on. */
export interface Publisher extends Running {
  /** Resolves after the first round that published every zone it can. */
  readonly ready: Promise<void>;
  readonly isReady: boolean;
  /** Why something is not published; undefined: all is. */
  readonly waitingFor: string | undefined;
  /** Zones whose newest content waits. */
  readonly pending: ReadonlySet<string>;
  /** Something may have changed, in these zones if they are known. Many calls become one round, milliseconds later. */
  poke(origins?: readonly string[]): void;
}

/** Changes that come together are published together. */
const settleMs = 3;
/** A replica that is behind looks again: watches tell of changes, not of where they are. */
const behindMs = 100;
/** Two replicas that make different content of one state take turns at this pace, doubled each time. */
const contestedMs = 1000;
const contestedMaxMs = 300_000;
const retryMs = 250;
const retryMaxMs = 10_000;

export function startPublisher(options: PublisherOptions): Publisher {
  return new RoundPublisher(options);
}

class RoundPublisher implements Publisher {
  readonly ready: Promise<void>;
  readonly pending = new Set<string>();
  isReady = false;
  waitingFor: string | undefined = 'the first sync';
  readonly #options: PublisherOptions;
  readonly #clock: Clock;
  readonly #running: Running;
  readonly #contested = new Map<string, { untilMs: number; delayMs: number }>();
  /** Of what is served, signing included. */
  readonly #servedHashes = new Map<string, string>();
  #resolveReady: () => void = () => {};
  #timer: { timer: ClockTimer; atMs: number } | undefined;
  #round: Promise<void> | undefined;
  #isStopped = false;
  #failures = 0;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    let reject: (error: Error) => void = () => {};
    this.ready = new Promise((resolve, rejectReady) => {
      this.#resolveReady = resolve;
      reject = rejectReady;
    });
    this.ready.catch(() => {});
    const unsubscribe = options.serials?.onChange((origins) => {
      this.poke(origins);
    });
    this.#running = running(async () => {
      this.#isStopped = true;
      unsubscribe?.();
      this.#timer?.timer.cancel();
      const error = new Error('the authoritative DNS is stopped');
      reject(error);
      await this.#round;
    });
  }

  stop(): Promise<void> {
    return this.#running.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#running.stop();
  }

  poke(origins: readonly string[] = []): void {
    for (const origin of origins) if (this.#options.composer.zone(origin)) this.pending.add(origin);
    this.#schedule(settleMs);
  }

  #schedule(delayMs: number): void {
    if (this.#isStopped) return;
    const atMs = this.#clock.monotonicMs() + delayMs;
    if (this.#timer && this.#timer.atMs <= atMs) return;
    this.#timer?.timer.cancel();
    const timer = this.#clock.setTimeout(() => {
      this.#timer = undefined;
      // A round that is under way looks again before it ends.
      if (this.#round) this.#schedule(settleMs);
      else this.#round = this.#work().finally(() => (this.#round = undefined));
    }, delayMs);
    this.#timer = { timer, atMs };
  }

  async #work(): Promise<void> {
    try {
      for (;;) {
        if (this.#isStopped) return;
        const writes = this.#judgeAll();
        this.#options.onPublished?.();
        if (!writes || writes.size === 0) break;
        // oxlint-disable-next-line no-await-in-loop -- what is recorded decides what comes next
        await this.#record(writes);
      }
      this.#failures = 0;
      this.#settle();
    } catch (error) {
      if (this.#isStopped) return;
      this.waitingFor = `serials cannot be recorded: ${error instanceof Error ? error.message : String(error)}`;
      if (this.#failures === 0)
        this.#options.log.warn({ err: String(error) }, 'cannot record the serials of zones');
      this.#schedule(Math.min(retryMaxMs, retryMs * 2 ** Math.min(this.#failures++, 10)));
    }
    this.#options.onRound?.();
  }

  /** Records, and publishes what was recorded: nothing is ever served under a serial that is not recorded. */
  async #record(writes: ReadonlyMap<string, Recorded | undefined>): Promise<void> {
    const entries = new Map([...writes].map(([origin, recorded]) => [origin, recorded?.entry]));
    const isWritten = await this.#options.serials?.write(entries);
    if (!isWritten || this.#isStopped) return;
    for (const [origin, recorded] of writes)
      if (recorded && this.#options.composer.zone(origin))
        this.#publish(recorded.zone.withSerial(recorded.entry.serial));
    this.#options.onPublished?.();
  }

  /** One look at everything, within one turn: content and the state of the cluster it is of belong together. */
  #judgeAll(): Map<string, Recorded | undefined> | undefined {
    const { composer, tracker, serials, zones } = this.#options;
    this.waitingFor = this.#options.waitingFor();
    if (this.waitingFor !== undefined) return undefined;
    for (const origin of this.#options.refresh()) {
      this.pending.delete(origin);
      this.#contested.delete(origin);
      this.#servedHashes.delete(origin);
      zones.withdraw(origin);
      this.#options.log.info({ zone: origin }, 'zone is no longer served');
    }
    for (const origin of composer.compose()) this.pending.add(origin);
    const writes = new Map<string, Recorded | undefined>();
    const state = { own: tracker.own(), seen: tracker.seen() };
    for (const origin of Array.from(this.pending)) {
      const composed = composer.zone(origin);
      if (!composed) this.pending.delete(origin);
      else if (!composed.zone) this.#publishBad(origin);
      else if (!serials) this.#publish(this.#withTextSerial(origin, composed.zone));
      else {
        const recorded = serials.entry(origin);
        const signing = this.#options.signing(origin);
        const verdict = judgeSerial({
          contentHash: hashOf(composed.zone, signing),
          textSerial: composer.textSerial(origin),
          served: this.#served(origin),
          recorded,
          own: { ...state.own, ...(signing?.policy ? { signatures: signing.epoch } : {}) },
          seen: { ...state.seen, ...(signing?.policy ? { signatures: signing.epoch } : {}) },
          nowSeconds: Math.floor(this.#clock.nowMs() / 1000),
        });
        this.#follow(origin, composed.zone, verdict, writes);
      }
    }
    if (serials && this.#options.prunes) this.#prune(serials, state.seen, writes);
    return writes;
  }

  #follow(
    origin: string,
    zone: Zone,
    verdict: SerialVerdict,
    writes: Map<string, Recorded | undefined>,
  ): void {
    switch (verdict.kind) {
      case 'adopt':
        this.#contested.delete(origin);
        this.#publish(zone.withSerial(verdict.serial));
        return;
      case 'advance':
        this.#contested.delete(origin);
        writes.set(origin, { zone, entry: verdict.entry });
        return;
      case 'behind':
        this.waitingFor = `zone ${origin}. waits until ${verdict.resource} has been seen as far as another replica has`;
        this.#schedule(behindMs);
        return;
      case 'contested':
        if (this.#insists(origin)) writes.set(origin, { zone, entry: verdict.entry });
    }
  }

  /** Whether it is this replica's turn to record content that another one contradicts. */
  #insists(origin: string): boolean {
    const nowMs = this.#clock.monotonicMs();
    const contest = this.#contested.get(origin);
    if (contest && nowMs >= contest.untilMs) {
      const delayMs = Math.min(contestedMaxMs, contest.delayMs * 2);
      this.#contested.set(origin, { untilMs: nowMs + delayMs, delayMs });
      return true;
    }
    if (!contest) {
      this.#contested.set(origin, { untilMs: nowMs + contestedMs, delayMs: contestedMs });
      this.#options.log.warn(
        { zone: origin },
        'another replica makes other content of the same objects: give all the same configuration and version',
      );
    }
    this.waitingFor = `another replica makes other content of zone ${origin}.: give all the same configuration and version`;
    this.#schedule(Math.max(settleMs, (contest?.untilMs ?? nowMs + contestedMs) - nowMs));
    return false;
  }

  #prune(
    serials: SerialRecord,
    seen: Readonly<Record<string, string>>,
    writes: Map<string, Recorded | undefined>,
  ): void {
    for (const origin of serials.origins()) {
      if (this.#options.composer.zone(origin)) continue;
      const { revisions } = serials.entry(origin) as SerialEntry;
      const isBehind = Object.entries(revisions).some(
        ([resource, version]) => compareVersions(seen[resource] ?? '', version) < 0,
      );
      if (!isBehind) writes.set(origin, undefined);
    }
  }

  #served(origin: string): { serial: number; contentHash: string } | undefined {
    const served = this.#options.zones.all.get(origin);
    if (!served || served.isExpired || served.role === 'secondary') return undefined;
    const contentHash = this.#servedHashes.get(origin) ?? served.zone.contentHash;
    return { serial: served.zone.serial, contentHash };
  }

  /** With no cluster, the serial that the text has; one more than before where it was not raised. */
  #withTextSerial(origin: string, zone: Zone): Zone {
    const served = this.#served(origin);
    if (!served || isSerialHigher(zone.serial, served.serial)) return zone;
    if (served.contentHash === hashOf(zone, this.#options.signing(origin)))
      return zone.withSerial(served.serial);
    const serial = following(served.serial);
    if (this.#options.zones.all.get(origin)?.zone.contentHash !== zone.contentHash)
      this.#options.log.warn(
        { zone: origin, serial },
        'the zone has other content under a serial that is not higher; it is served under the next one',
      );
    return zone.withSerial(serial);
  }

  #publish(zone: Zone): void {
    const { zones, log } = this.#options;
    const { origin } = zone;
    this.pending.delete(origin);
    const before = zones.all.get(origin);
    const zoneSigning = this.#options.signing(origin);
    const signing = zoneSigning?.policy;
    this.#servedHashes.set(origin, hashOf(zone, zoneSigning));
    const isPlaceholder = before?.isExpired === true && before.role === 'primary';
    if (isPlaceholder) zones.withdraw(origin);
    else if (
      before?.zone.serial === zone.serial &&
      before.signing === signing &&
      before.zone.contentHash === zone.contentHash
    )
      return;
    zones.publish(before && !isPlaceholder && before.zone.serial === zone.serial ? before.zone : zone, {
      signing,
    });
    log.debug({ zone: origin, serial: zone.serial, records: zone.recordCount }, 'zone is published');
  }

  /** A zone without any good text: it exists, and nothing is known of it, so SERVFAIL. */
  #publishBad(origin: string): void {
    this.pending.delete(origin);
    if (this.#options.zones.all.has(origin)) return;
    const data = soaData({
      primary: origin,
      mailbox: origin,
      serial: 1,
      refreshSeconds: 3600,
      retrySeconds: 600,
      expireSeconds: 86_400,
      minimumSeconds: 60,
    });
    const soa = { name: origin, type: rrType.SOA, ttlSeconds: 60, data };
    this.#options.zones.publish(zoneOf(origin, [soa]), { isExpired: true });
  }

  /** After a round: whether every zone is served that can be. */
  #settle(): void {
    if (this.#options.waitingFor() !== undefined) return;
    if (this.isReady) return;
    // A zone that is behind and was never served is not whole; one that has no good text is as good as it gets.
    for (const { origin } of this.#options.composer.composed)
      if (!this.#options.zones.all.has(origin)) return;
    this.isReady = true;
    this.#resolveReady();
  }
}

/** The hash that stands for a zone's content and how it is signed. */
function hashOf({ contentHash }: Zone, signing: ZoneSigning | undefined): string {
  if (!signing?.policy) return contentHash;
  return createHash('sha256').update(`${contentHash} ${signing.digest}`).digest('hex');
}

interface Recorded {
  readonly zone: Zone;
  readonly entry: SerialEntry;
}
