import type { Clock } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import { LogUnavailableError } from '../errors.ts';
import type { LeaseAuthority, LocalLessor } from '../lease/authority.ts';
import type { Link, Sessions } from './link.ts';

/** Questions are asked again after this: the lessor may be another by then. */
const askAgainMs = 1000;
const giveUpMs = 5000;
/** A notification holds 8000 bytes; a question takes at most 30. */
const questionsPerNotification = 200;
/** A lessor that holds its lock and answers nothing for so long (stopped, or hung) is deposed. */
const deposeMs = 6000;

export interface PostgresLessorOptions {
  /** Tells servers apart; without spaces. */
  serverId: string;
  channel: string;
  schema: string;
  clock: Clock;
  log: Logger;
  link: Link;
}

type Question = { kind: 'r' | 't'; id: bigint; answer: (value: number) => void };

/**
 * One lessor among the servers of a database: whoever holds an advisory lock on the connection on which it hears
 * notifications. Keep-alives travel to it and back as notifications (`ask`, `answer`).
 *
 * An answer counts because it is sent on the connection that holds the lock: whoever becomes lessor later gives every
 * lease its full time from then on, which is later than the answer. A former lessor revokes nothing: taking over
 * moves the fence of the log, so that what it has under way misses, and it stops when its connection is gone.
 */
export class PostgresLessor implements LeaseAuthority {
  readonly #options: PostgresLessorOptions;
  #local: LocalLessor | undefined;
  /** The connections that hold the lock. */
  #owner: Sessions | undefined;
  #electing = false;
  #stopped = false;
  #nextQuestion = 1;
  readonly #questions = new Map<number, Question>();
  #unsent: number[] = [];
  #confirmation: Promise<void> | undefined;
  /** Since when the lessor owes an answer. */
  #silentSinceMs: number | undefined;

  constructor(options: PostgresLessorOptions) {
    this.#options = options;
  }

  /** Whether this server owns the leases' time, and with it other work that one of them does. */
  get isOwner(): boolean {
    return this.#owner !== undefined && this.#owner === this.#options.link.current;
  }

  serve(local: LocalLessor): void {
    this.#local = local;
    this.#soon();
  }

  /** New connections. */
  attach(): void {
    this.#soon();
  }

  /** The connections are lost, and the lock with them. */
  detach(): void {
    this.#silentSinceMs = undefined;
    if (this.#owner === undefined) return;
    this.#owner = undefined;
    void this.#local?.own(false);
  }

  stop(): void {
    this.#stopped = true;
    this.#owner = undefined;
  }

  #soon(): void {
    setImmediate(() => {
      const sessions = this.#options.link.current;
      if (sessions === undefined || this.#stopped) return;
      this.tick(sessions).catch((error: unknown) => this.#options.link.drop(sessions, error));
    });
  }

  /** Now and then: becomes lessor if there is none, and makes sure that there is one. */
  async tick(sessions: Sessions): Promise<void> {
    if (this.#local === undefined || this.#owner === sessions || this.#electing || this.#stopped) return;
    this.#electing = true;
    try {
      const [row] = await sessions.listener.rows({
        name: 'elect',
        text: 'SELECT pg_try_advisory_lock(hashtextextended($1, 0))',
        values: [this.#lockName],
      });
      if (row?.[0] === 't') await this.#takeOver(sessions, this.#local);
      else await this.#watchOver(sessions, this.#local);
    } finally {
      this.#electing = false;
    }
  }

  get #lockName(): string {
    return `cloudless lessor ${this.#options.schema}`;
  }

  async #takeOver(sessions: Sessions, local: LocalLessor): Promise<void> {
    const { serverId, link, log } = this.#options;
    await sessions.listener.rows({
      text: 'UPDATE head SET fence = fence + 1, lessor = $1',
      values: [serverId],
    });
    if (link.current !== sessions || this.#stopped) return;
    this.#owner = sessions;
    log.info({ server: serverId }, 'this server owns the leases from here on');
    await local.own(true);
    if (this.#owner !== sessions) await local.own(false);
  }

  /** Another is lessor: is it alive? */
  async #watchOver(sessions: Sessions, local: LocalLessor): Promise<void> {
    const { clock, log } = this.#options;
    if (local.leaseCount() === 0) {
      this.#silentSinceMs = undefined;
      return;
    }
    const now = clock.monotonicMs();
    if (now - (this.#silentSinceMs ?? now) > deposeMs) {
      log.warn('the lessor answers nothing and is deposed');
      this.#silentSinceMs = undefined;
      await sessions.listener.rows({
        text: `SELECT pg_terminate_backend(l.pid) FROM pg_locks l, (SELECT hashtextextended($1, 0) AS key) k
               WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
               AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
               AND l.classid = ((k.key >> 32) & 4294967295)::bigint::oid AND l.objid = (k.key & 4294967295)::oid`,
        values: [this.#lockName],
      });
      return;
    }
    if (this.#silentSinceMs === undefined) await this.#notify(sessions, `ask ${this.#options.serverId}`);
    this.#silentSinceMs ??= now;
  }

  renew(id: bigint): Promise<number> {
    return this.#throughLessor('r', id, (local) => local.renew(id));
  }

  async remainingMs(id: bigint): Promise<number | undefined> {
    const ms = await this.#throughLessor('t', id, async (local) => (await local.remainingMs(id)) ?? -1);
    return ms < 0 ? undefined : ms;
  }

  async #throughLessor(
    kind: Question['kind'],
    id: bigint,
    here: (local: LocalLessor) => Promise<number>,
  ): Promise<number> {
    const { clock, link } = this.#options;
    const untilMs = clock.monotonicMs() + giveUpMs;
    do {
      const sessions = await link.use();
      if (this.#owner === sessions && this.#local !== undefined) {
        const value = await here(this.#local);
        if (await this.#confirm(sessions)) return value;
      } else {
        const value = await this.#ask(kind, id);
        if (value !== undefined) return value;
      }
    } while (clock.monotonicMs() < untilMs && !this.#stopped);
    throw new LogUnavailableError('refused', 'no server that owns the leases answered');
  }

  /** Whether the lock was still held after the call: the answer was this server's to give. */
  async #confirm(sessions: Sessions): Promise<boolean> {
    // All that wait in this turn of the loop share the question, which is sent after them.
    this.#confirmation ??= new Promise((resolve, reject) => {
      setImmediate(() => {
        this.#confirmation = undefined;
        sessions.listener.rows({ name: 'confirm', text: 'SELECT 1' }).then(() => resolve(), reject);
      });
    });
    try {
      await this.#confirmation;
      return this.#owner === sessions;
    } catch (error) {
      this.#options.link.drop(sessions, error);
      return false;
    }
  }

  /** Asks the lessor; undefined when it does not answer for a while. */
  #ask(kind: Question['kind'], id: bigint): Promise<number | undefined> {
    return new Promise((resolve) => {
      const number = this.#nextQuestion++;
      const timer = this.#options.clock.setTimeout(() => {
        this.#questions.delete(number);
        resolve(undefined);
      }, askAgainMs);
      const answer = (value: number): void => {
        timer.cancel();
        this.#questions.delete(number);
        resolve(value);
      };
      this.#questions.set(number, { kind, id, answer });
      if (this.#unsent.push(number) === 1) setImmediate(() => this.#send());
    });
  }

  #send(): void {
    const sessions = this.#options.link.current;
    const numbers = this.#unsent;
    this.#unsent = [];
    if (sessions === undefined) return;
    this.#silentSinceMs ??= this.#options.clock.monotonicMs();
    for (let at = 0; at < numbers.length; at += questionsPerNotification) {
      const words = numbers.slice(at, at + questionsPerNotification).flatMap((number) => {
        const question = this.#questions.get(number);
        return question === undefined ? [] : [`${number}${question.kind}${question.id}`];
      });
      this.#notify(sessions, ['ask', this.#options.serverId, ...words].join(' ')).catch((error: unknown) =>
        this.#options.link.drop(sessions, error),
      );
    }
  }

  async #notify(sessions: Sessions, payload: string): Promise<void> {
    const { channel } = this.#options;
    await sessions.listener.rows({
      name: 'notify',
      text: 'SELECT pg_notify($1, $2)',
      values: [channel, payload],
    });
  }

  /** A notification about leases. */
  heard(payload: string): void {
    const [kind, server, ...words] = payload.split(' ');
    if (kind === 'answer' && server === this.#options.serverId) {
      this.#silentSinceMs = undefined;
      for (const word of words) {
        const [number, value] = word.split('=');
        this.#questions.get(Number(number))?.answer(Number(value));
      }
    }
    const owner = this.#owner;
    if (kind !== 'ask' || server === undefined || owner === undefined) return;
    this.#answer(owner, server, words).catch((error: unknown) =>
      this.#options.log.warn({ err: error }, 'a question about leases could not be answered'),
    );
  }

  async #answer(owner: Sessions, to: string, words: readonly string[]): Promise<void> {
    const local = this.#local as LocalLessor;
    const answers = await Promise.all(
      words.map(async (word) => {
        const [, number, kind, id = '0'] = /^(\d+)([rt])(\d+)$/.exec(word) ?? [];
        const value = kind === 'r' ? local.renew(BigInt(id)) : local.remainingMs(BigInt(id));
        return `${number}=${Math.floor((await value) ?? -1)}`;
      }),
    );
    // On the connection that holds the lock: once it is sent, the lease has its time.
    if (this.#owner === owner) await this.#notify(owner, ['answer', to, ...answers].join(' '));
  }
}
