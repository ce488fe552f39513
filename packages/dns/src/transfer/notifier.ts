import { type Clock, sleep } from '@cloudless/kube/clock';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { ExternalDnsConfig } from '../external/config.ts';
import { recordsOf } from '../zone/rrset.ts';
import type { ServedZone, Zones } from '../zone/zones.ts';
import { opcode, rcode, rcodeName, rrClass, rrType } from '../wire/types.ts';
import { ask, remoteName } from './ask.ts';
import type { Remote } from './keys.ts';
import { Limiter } from './limiter.ts';
import { startWait } from './wait.ts';

export interface NotifierOptions {
  readonly zones: Zones;
  /** What is in force now. */
  readonly config: () => Pick<ExternalDnsConfig, 'transfers' | 'tsigKeys' | 'secondaries'>;
  /**
   * Resolves once what is published is also what is answered: a server that is told earlier would ask, and be shown the old
   * version. A rejection ends the telling. Default: at once.
   */
  readonly settled?: (() => Promise<unknown>) | undefined;
  readonly log: Logger;
  readonly clock: Clock;
}

export interface Notifier extends Running {
  /** The configuration has changed: remotes that are new are told of every zone. */
  reload(): void;
  /** Tells the servers of this zone once more, whether or not they know its serial. */
  tellAgain(origin: string): void;
}

/** Tries by UDP before TCP is tried. */
const udpTries = 3;
/** Tries in a row; after the last the secondary's own refresh has to do, or the next change. */
const tries = 10;
/** Wait after a try that failed: doubled with each, up to the second value. */
const firstWaitMs = 1000;
const longestWaitMs = 60_000;
/** Between two messages about one zone to one server: changes in between are told together. */
const spacingMs = 300;
/** Messages under way to one server. */
const atOncePerRemote = 10;

/** One zone and one server that is told of it. */
interface Target {
  readonly origin: string;
  readonly remote: Remote;
  /** What the server was told last, or given up on. */
  toldSerial: number | undefined;
  isRunning: boolean;
  /** Cuts a wait after a failure short. */
  wake: (() => void) | undefined;
}

/**
 * Tells the servers of `transfers.notify` of every version of every zone (RFC 1996): at the start, for what they missed, and
 * at each change; signed with the server's key. Over UDP, then TCP, with longer and longer waits, until it is answered.
 */
export function startNotifier(options: NotifierOptions): Notifier {
  const part = new ZoneNotifier(options);
  const end = options.zones.onChange(({ origin, current }) => part.changed(origin, current));
  part.tellAll();
  return {
    reload: () => part.tellAll(),
    tellAgain: (origin) => part.tellAgain(origin),
    ...running(async () => {
      end();
      await part.stop();
    }),
  };
}

class ZoneNotifier {
  readonly #options: NotifierOptions;
  readonly #targets = new Map<string, Target>();
  readonly #limiters = new Map<string, Limiter>();
  readonly #stopped = new AbortController();
  readonly #underWay = new Set<Promise<void>>();

  constructor(options: NotifierOptions) {
    this.#options = options;
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.all(this.#underWay);
  }

  /** Starts for targets that are new, forgets those that are gone. */
  tellAll(): void {
    const wanted = new Set<string>();
    for (const [origin, served] of this.#options.zones.all)
      for (const key of this.changed(origin, served)) wanted.add(key);
    for (const key of this.#targets.keys()) if (!wanted.has(key)) this.#targets.delete(key);
  }

  tellAgain(origin: string): void {
    for (const target of this.#targets.values()) if (target.origin === origin) target.toldSerial = undefined;
    this.changed(origin, this.#options.zones.all.get(origin));
  }

  /** Sees to it that each server knows of this version; the targets' keys. */
  changed(origin: string, current: ServedZone | undefined): string[] {
    const { transfers, secondaries } = this.#options.config();
    const primaries = secondaries.get(origin)?.primaries ?? [];
    const keys: string[] = [];
    for (const remote of transfers.notify) {
      // Whoever it comes from has it.
      if (primaries.some(({ address, port }) => address === remote.address && port === remote.port)) continue;
      const key = `${origin} ${remoteName(remote)} ${remote.key ?? ''}`;
      keys.push(key);
      if (current) this.#tell(key, origin, remote);
      else this.#targets.delete(key);
    }
    return keys;
  }

  #tell(key: string, origin: string, remote: Remote): void {
    let target = this.#targets.get(key);
    if (!target) {
      target = { origin, remote, toldSerial: undefined, isRunning: false, wake: undefined };
      this.#targets.set(key, target);
    }
    if (target.isRunning) {
      target.wake?.();
      return;
    }
    if (this.#stopped.signal.aborted || this.#serialToTell(key, target) === undefined) return;
    target.isRunning = true;
    const work = this.#run(key, target).finally(() => this.#underWay.delete(work));
    this.#underWay.add(work);
  }

  /** Undefined: the server knows it, or there is nothing to tell it. */
  #serialToTell(key: string, target: Target): number | undefined {
    if (this.#targets.get(key) !== target || this.#stopped.signal.aborted) return undefined;
    const served = this.#options.zones.all.get(target.origin);
    if (!served || served.isExpired || served.zone.serial === target.toldSerial) return undefined;
    return served.zone.serial;
  }

  async #run(key: string, target: Target): Promise<void> {
    let failures = 0;
    for (;;) {
      if (!(await this.#isSettled())) break;
      const serial = this.#serialToTell(key, target);
      if (serial === undefined) break;
      const error = await this.#send(target, failures < udpTries ? 'udp' : 'tcp');
      if (this.#stopped.signal.aborted) break;
      if (error === undefined) {
        target.toldSerial = serial;
        failures = 0;
        await sleep(this.#options.clock, spacingMs, this.#stopped.signal);
        continue;
      }
      failures += 1;
      if (failures < tries) {
        await this.#wait(Math.min(firstWaitMs * 2 ** (failures - 1), longestWaitMs), target);
        continue;
      }
      failures = 0;
      target.toldSerial = serial;
      const about = { zone: target.origin, serial, to: remoteName(target.remote), err: error };
      this.#options.log.warn(
        about,
        `a secondary does not answer NOTIFY: it will see the change when it refreshes`,
      );
    }
    target.isRunning = false;
  }

  /** False when it never will be: this part is stopped, or that one. */
  #isSettled(): Promise<boolean> {
    const { settled } = this.#options;
    const { signal } = this.#stopped;
    if (!settled) return Promise.resolve(true);
    return new Promise((resolve) => {
      const end = (isSettled: boolean) => (): void => {
        signal.removeEventListener('abort', stopped);
        resolve(isSettled);
      };
      const stopped = end(false);
      signal.addEventListener('abort', stopped, { once: true });
      if (signal.aborted) stopped();
      else settled().then(end(true), stopped);
    });
  }

  /** One message; undefined: it was answered, even if by a refusal, which no repetition would change. */
  async #send({ origin, remote }: Target, transport: 'udp' | 'tcp'): Promise<string | undefined> {
    const { log } = this.#options;
    const about = { zone: origin, to: remoteName(remote) };
    try {
      const answer = await this.#limiterOf(remote).run(async () => this.#exchange(origin, remote, transport));
      if (!answer) return undefined;
      if (answer.rcode === rcode.servFail) return 'it answers SERVFAIL';
      if (answer.rcode === rcode.noError) log.debug(about, 'a secondary was told of a change');
      else
        log.warn(
          about,
          `a secondary answers NOTIFY with ${rcodeName(answer.rcode)}: does it know the zone and this server?`,
        );
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  /** RFC 1996 section 3: the SOA as a hint in the answer section. */
  async #exchange(
    origin: string,
    remote: Remote,
    transport: 'udp' | 'tcp',
  ): Promise<Awaited<ReturnType<typeof ask>> | undefined> {
    const served = this.#options.zones.all.get(origin);
    if (!served) return undefined;
    const message = {
      opcode: opcode.notify,
      authoritative: true,
      questions: [{ name: origin, type: rrType.SOA, class: rrClass.IN }],
      answers: recordsOf(served.zone.soa),
    };
    const { clock, config } = this.#options;
    return ask(message, remote, transport, {
      clock,
      keys: config().tsigKeys,
      signal: this.#stopped.signal,
    });
  }

  #limiterOf(remote: Remote): Limiter {
    const name = remoteName(remote);
    let limiter = this.#limiters.get(name);
    if (!limiter) this.#limiters.set(name, (limiter = new Limiter(atOncePerRemote)));
    return limiter;
  }

  /** A change cuts the wait short, but not below the spacing. */
  async #wait(ms: number, target: Target): Promise<void> {
    const { clock } = this.#options;
    const startedMs = clock.monotonicMs();
    const wait = startWait(ms, clock, this.#stopped.signal);
    target.wake = () => wait.endIn(Math.max(0, firstWaitMs - (clock.monotonicMs() - startedMs)));
    await wait.over;
    target.wake = undefined;
  }
}
