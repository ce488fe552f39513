import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { lowerName, parseName, printName } from '../wire/name.ts';
import type { Zone } from '../zone/zone.ts';
import type { Zones } from '../zone/zones.ts';
import { PowerDnsClient, type ApiZone } from './client.ts';
import { setsToChange, wholeSets } from './engine-changes.ts';
import { zoneId } from './names.ts';

export interface PowerDnsEngineOptions {
  readonly zones: Zones;
  /** Resolves when `zones` is whole: zones that are not in it are taken away then, not before. */
  readonly ready: Promise<void>;
  /** Of PowerDNS's webserver. */
  readonly url: string;
  readonly key: string;
  readonly log: Logger;
  readonly clock: Clock;
}

export interface PowerDnsEngine extends Running {
  /** What keeps PowerDNS from having a zone as it is; undefined: nothing. */
  readonly problem: string | undefined;
  /** Resolves when PowerDNS has every zone of now. */
  fed(): Promise<void>;
}

/** Zones with this account are ours: those alone are changed or deleted. */
const account = 'cloudless';
/** How soon a PowerDNS that has lost its zones, or has others, is seen. */
const checkMs = 5000;
const firstRetryMs = 500;
const longestRetryMs = 30_000;
const setsInOneCall = 1000;

/**
 * Feeds a PowerDNS by its HTTP API: makes zones, changes what differs and nothing else, and takes away zones of ours that are
 * gone. A PowerDNS that started anew, empty or not, is brought up to date within seconds. Primary zones only, unsigned.
 */
export function startPowerDnsEngine(options: PowerDnsEngineOptions): PowerDnsEngine {
  const feeder = new Feeder(options);
  const end = options.zones.onChange(() => feeder.wake());
  options.ready.then(
    () => feeder.becomeWhole(),
    () => undefined,
  );
  feeder.wake();
  return {
    get problem() {
      return feeder.problem;
    },
    fed: () => feeder.fed(),
    ...running(async () => {
      end();
      await feeder.stop();
    }),
  };
}

class Feeder {
  problem: string | undefined;
  readonly #options: PowerDnsEngineOptions;
  readonly #client: PowerDnsClient;
  readonly #stopping = new AbortController();
  /** What PowerDNS has for certain, by origin. */
  readonly #given = new Map<string, Zone>();
  readonly #waiting = new Set<() => void>();
  #isWhole = false;
  #isWorking = false;
  #isWoken = false;
  #retryMs = firstRetryMs;
  #timer: ClockTimer | undefined;
  #work: Promise<void> = Promise.resolve();

  constructor(options: PowerDnsEngineOptions) {
    this.#options = options;
    this.#client = new PowerDnsClient(options.url, options.key, this.#stopping.signal);
  }

  becomeWhole(): void {
    this.#isWhole = true;
    this.wake();
  }

  fed(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.add(resolve);
      this.wake();
    });
  }

  wake(): void {
    this.#isWoken = true;
    if (this.#isWorking || this.#stopping.signal.aborted) return;
    this.#timer?.cancel();
    this.#isWorking = true;
    this.#work = this.#rounds().finally(() => {
      this.#isWorking = false;
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#timer?.cancel();
    await this.#work;
    for (const resolve of this.#waiting) resolve();
  }

  async #rounds(): Promise<void> {
    while (this.#isWoken && !this.#stopping.signal.aborted) {
      this.#isWoken = false;
      try {
        await this.#round();
        this.#succeeded();
      } catch (error) {
        this.#failed(error as Error);
        return;
      }
    }
    this.#later(checkMs);
  }

  #succeeded(): void {
    if (this.problem !== undefined) this.#options.log.info('PowerDNS has every zone again');
    this.problem = undefined;
    this.#retryMs = firstRetryMs;
    if (this.#isWoken) return;
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  #failed(error: Error): void {
    if (this.#stopping.signal.aborted) return;
    if (error.message !== this.problem)
      this.#options.log.warn(
        { why: error.message },
        'PowerDNS does not have every zone as it is; tried again',
      );
    this.problem = error.message;
    this.#given.clear();
    this.#later(this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, longestRetryMs);
  }

  #later(delayMs: number): void {
    this.#timer?.cancel();
    if (this.#stopping.signal.aborted) return;
    this.#timer = this.#options.clock.setTimeout(() => {
      // After this turn, in which a round may be ending.
      this.wake();
    }, delayMs);
  }

  async #round(): Promise<void> {
    const there = new Map((await this.#client.list()).map((zone) => [originOf(zone), zone]));
    let refusal: Error | undefined;
    for (const { zone, role } of this.#options.zones.all.values()) {
      if (role !== 'primary') continue;
      const theirs = there.get(zone.origin);
      try {
        if (theirs && theirs.account !== account)
          throw new Error(
            `PowerDNS has a zone ${zone.origin}. already that is not ours: delete it there, or set its account to ${account} to hand it over`,
          );
        await this.#give(zone, theirs);
      } catch (error) {
        // One bad zone does not keep the others from being fed; an absent server does.
        if (error instanceof Error && 'status' in error && error.status === undefined) throw error;
        refusal ??= error as Error;
        this.#given.delete(zone.origin);
      }
    }
    if (this.#isWhole)
      for (const [origin, zone] of there)
        if (zone.account === account && this.#options.zones.all.get(origin)?.role !== 'primary') {
          await this.#client.remove(zoneId(origin));
          this.#given.delete(origin);
          this.#options.log.info({ zone: origin }, 'took a zone away from PowerDNS');
        }
    if (refusal) throw refusal;
  }

  async #give(zone: Zone, theirs: ApiZone | undefined): Promise<void> {
    const id = zoneId(zone.origin);
    const known = theirs && this.#given.get(zone.origin);
    // Somebody has changed it there, or it is another PowerDNS by now.
    const isKnown = known !== undefined && known.serial === theirs?.serial;
    if (isKnown && known === zone) return;
    if (!theirs)
      await this.#client.create({
        name: printName(zone.origin),
        kind: 'Master',
        account,
        nameservers: [],
        soa_edit: '',
        soa_edit_api: '',
        rrsets: wholeSets(zone),
      });
    else {
      const sets = setsToChange(
        zone,
        isKnown ? { zone: known } : { sets: (await this.#client.get(id))?.rrsets ?? [] },
      );
      if (sets.length === 0) {
        this.#given.set(zone.origin, zone);
        return;
      }
      for (let i = 0; i < sets.length; i += setsInOneCall)
        await this.#client.patch(id, sets.slice(i, i + setsInOneCall));
    }
    this.#given.set(zone.origin, zone);
    this.#options.log.info({ zone: zone.origin, serial: zone.serial }, 'gave PowerDNS a zone');
    await this.#client.notify(id);
  }
}

function originOf({ name }: ApiZone): string {
  return lowerName(parseName(name));
}
