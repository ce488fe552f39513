import type { Clock } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import { LogUnavailableError } from '../errors.ts';
import type { PostgresAddress } from './address.ts';
import { messageOf, PostgresError } from './errors.ts';
import { connectSession, type Session } from './session.ts';

/** What is asked for waits so long for a lost connection to be back, before it is refused. */
const graceMs = 3000;
const firstRetryMs = 50;
const longestRetryMs = 2000;

/** Our connections, all to one server: what one of them says, the others know. */
export interface Sessions {
  /** Appends, and nothing else that could hold one up. */
  readonly writer: Session;
  /** Reads. */
  readonly reader: Session;
  /** Hears of what others do, and holds the lock of the lessor. */
  readonly listener: Session;
}

export interface LinkOptions {
  address: PostgresAddress;
  applicationName: string;
  clock: Clock;
  log: Logger;
  /** Run on new connections before anyone uses them. A PostgresError it throws ends the link for good. */
  prepare: (sessions: Sessions) => Promise<void>;
  /** The connections are lost; `prepare` comes again before the next use. */
  lost: () => void;
}

/**
 * Keeps the connections to the server that takes writes. When one is lost, all are dropped and made anew, so that
 * after a failover no read comes from a former primary while writes go to the new one.
 */
export class Link {
  readonly #options: LinkOptions;
  #sessions: Sessions | undefined;
  #connecting: Promise<void> | undefined;
  #waiting: Array<{ resolve: (sessions: Sessions) => void; reject: (error: Error) => void }> = [];
  #lastError = 'not connected yet';
  #lostMs = 0;
  #closed = false;
  #failed: Error | undefined;
  #stopWaiting: () => void = () => undefined;
  /** Connections so far. */
  generation = 0;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** The connections if they stand. */
  get current(): Sessions | undefined {
    return this.#sessions;
  }

  /** Connects for the first time. @throws PostgresError at once, when it cannot be */
  async open(): Promise<void> {
    await this.#connectOnce();
  }

  /**
   * The connections, waiting a little for them if they are lost.
   *
   * @throws LogUnavailableError with outcome `refused`
   */
  async use(): Promise<Sessions> {
    if (this.#sessions !== undefined) return this.#sessions;
    const { clock, address } = this.#options;
    const restMs = this.#lostMs + graceMs - clock.monotonicMs();
    const refusal = (): LogUnavailableError =>
      new LogUnavailableError(
        'refused',
        `the database ${address.name} is out of reach: ${this.#lastError}. What needs it is refused until it answers`,
      );
    if (this.#failed !== undefined) throw this.#failed;
    if (this.#closed || restMs <= 0) throw refusal();
    return new Promise((resolve, reject) => {
      const entry = {
        resolve: (sessions: Sessions) => settle(() => resolve(sessions)),
        reject: (error: Error) => settle(() => reject(error)),
      };
      const timer = clock.setTimeout(() => entry.reject(refusal()), restMs);
      const settle = (then: () => void): void => {
        timer.cancel();
        this.#waiting = this.#waiting.filter((other) => other !== entry);
        then();
      };
      this.#waiting.push(entry);
    });
  }

  /** Gives up these connections, all of them, and makes new ones. */
  drop(sessions: Sessions, error: unknown): void {
    if (this.#sessions !== sessions) return;
    this.#sessions = undefined;
    endAll(sessions);
    if (this.#closed) return;
    this.#lastError = messageOf(error);
    this.#lostMs = this.#options.clock.monotonicMs();
    this.#options.log.warn({ error: this.#lastError, host: sessions.writer.host }, 'the database is lost');
    this.#options.lost();
    this.#connecting ??= this.#reconnect().finally(() => {
      this.#connecting = undefined;
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stopWaiting();
    if (this.#sessions !== undefined) endAll(this.#sessions);
    this.#sessions = undefined;
    for (const { reject } of this.#waiting.splice(0))
      reject(new LogUnavailableError('refused', 'it is closed'));
    await this.#connecting;
  }

  async #reconnect(): Promise<void> {
    let delayMs = firstRetryMs;
    while (!this.#closed && this.#failed === undefined) {
      try {
        await this.#connectOnce();
        return;
      } catch (error) {
        if (error instanceof PostgresError && error.reason === 'history-lost') return this.#fail(error);
        if (messageOf(error) !== this.#lastError) {
          this.#lastError = messageOf(error);
          this.#options.log.warn({ error: this.#lastError }, 'the database does not answer yet');
        }
      }
      await this.#pause(delayMs * (0.75 + Math.random() / 2));
      delayMs = Math.min(longestRetryMs, delayMs * 2);
    }
  }

  #fail(error: Error): void {
    this.#failed = error;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.clock.setTimeout(resolve, ms);
      this.#stopWaiting = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  async #connectOnce(): Promise<void> {
    const sessions = await this.#connectAll();
    let lost: Error | undefined;
    for (const session of Object.values(sessions) as Session[]) {
      session.onLost = (error) => {
        lost ??= error;
        // Before they stand, whatever is asked of them fails by itself.
        this.drop(sessions, error);
      };
    }
    try {
      await this.#options.prepare(sessions);
      if (lost !== undefined) throw lost;
      if (this.#closed) throw new Error('it is closed');
    } catch (error) {
      endAll(sessions);
      throw error;
    }
    this.#sessions = sessions;
    if (this.generation++ > 0) this.#options.log.info({ host: sessions.writer.host }, 'the database is back');
    for (const { resolve } of this.#waiting.splice(0)) resolve(sessions);
  }

  /** To the first of the hosts that takes writes. */
  async #connectAll(): Promise<Sessions> {
    const { address, applicationName } = this.#options;
    const errors: unknown[] = [];
    for (const { host, port } of address.hosts) {
      const made: Session[] = [];
      try {
        const options = { address, host, port, applicationName };
        const writer = await connectSession(options);
        made.push(writer);
        const others = await Promise.allSettled([connectSession(options), connectSession(options)]);
        for (const other of others) if (other.status === 'fulfilled') made.push(other.value);
        for (const other of others) if (other.status === 'rejected') throw other.reason;
        const [, reader, listener] = made as [Session, Session, Session];
        return { writer, reader, listener };
      } catch (error) {
        for (const session of made) session.end();
        errors.push(error);
      }
    }
    if (errors.length === 1) throw errors[0];
    const reason = errors.every((error) => error instanceof PostgresError && error.reason === 'read-only')
      ? 'read-only'
      : 'unreachable';
    throw new PostgresError(reason, `none of the servers takes writes: ${errors.map(messageOf).join('; ')}`);
  }
}

function endAll(sessions: Sessions): void {
  for (const session of Object.values(sessions) as Session[]) session.end();
}
