import { randomBytes } from 'node:crypto';
import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import { LogUnavailableError, NoSpaceError, RowGoneError } from '../errors.ts';
import type { LeaseAuthority } from '../lease/authority.ts';
import { FlushTimes } from '../log/flush-times.ts';
import type { LoadedState, Log, LogBatch, LogChanges, LogFigures, LogHead } from '../log/log.ts';
import type { PostgresAddress } from './address.ts';
import { Doubt } from './doubt.ts';
import { messageOf, PostgresError, sqlState, sqlStateOf } from './errors.ts';
import { PostgresLessor } from './lessor.ts';
import { connectSession } from './session.ts';
import { Link, type Sessions } from './link.ts';
import { endStrays, historyLost, verifyHistory } from './lineage.ts';
import { loadState } from './load.ts';
import { Removal } from './removal.ts';
import { explainTables, prepareSchema } from './schema.ts';
import {
  appendStatement,
  bytesOf,
  headOf,
  type KnownHead,
  lockHead,
  type LogRow,
  rowAfterHead,
  selectChanges,
  selectPosition,
  selectValues,
} from './statements.ts';

const rowsPerPage = 5000;
/** Looks at the head by itself, should a notification be missed; also finds a connection that is dead. */
const pollMs = 1000;
const sizeEveryPolls = 30;
/** How long an append whose connection broke waits to learn what became of it. */
const resolveMs = 3000;

export interface PostgresLogOptions {
  address: PostgresAddress;
  clock: Clock;
  log: Logger;
}

/**
 * The log in a PostgreSQL database that any number of servers share: a one-row head orders them. Every append is
 * one statement that moves the head if it is where this server left it; else another was first. Who competes takes
 * turns by the head row's lock. What others append is told by NOTIFY.
 */
export class PostgresLog implements Log {
  readonly leaseAuthority: LeaseAuthority;
  readonly failed: Promise<Error>;
  readonly #address: PostgresAddress;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #serverId = randomBytes(8).toString('hex');
  readonly #applicationName = `cloudless datastore ${this.#serverId}`;
  readonly #channel: string;
  readonly #link: Link;
  readonly #lessor: PostgresLessor;
  readonly #removal: Removal;
  readonly #flushTimes = new FlushTimes();
  #fail: (error: Error) => void = () => undefined;
  #known: KnownHead | undefined;
  /** The connections on which the head row is locked for the next append. */
  #held: Sessions | undefined;
  /** The append under way, or one whose outcome is not known yet. */
  #doubt: Doubt | undefined;
  #warning: string | undefined;
  #moved: () => void = () => undefined;
  #poll: ClockTimer | undefined;
  #polls = 0;
  #size = { bytes: 0, bytesInUse: 0 };
  #bytesWritten = 0;
  #closed = false;

  constructor({ address, clock, log }: PostgresLogOptions) {
    this.#address = address;
    this.#clock = clock;
    this.#log = log;
    this.#channel = `cloudless_${address.schema}`;
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
    this.#link = new Link({
      address,
      applicationName: this.#applicationName,
      clock,
      log,
      prepare: (sessions) => this.#prepare(sessions),
      lost: () => this.#lost(),
    });
    this.#lessor = new PostgresLessor({
      serverId: this.#serverId,
      channel: this.#channel,
      schema: address.schema,
      clock,
      log,
      link: this.#link,
    });
    this.leaseAuthority = this.#lessor;
    this.#removal = new Removal({ link: this.#link, clock, mayRemove: () => this.#lessor.isOwner });
  }

  /** Connects, and makes the tables if there are none. @throws PostgresError */
  async open(): Promise<void> {
    await this.#link.open();
    const unsafe = this.#link.current?.writer.facts.unsafe ?? [];
    if (unsafe.length > 0) {
      this.#log.warn(
        { settings: unsafe },
        `this PostgreSQL may lose acknowledged writes in a crash: ${unsafe.join(' and ')} is off there`,
      );
    }
    this.#schedulePoll();
  }

  /** New connections: makes sure that the log is the one this server knows, and learns what became of its append. */
  async #prepare(sessions: Sessions): Promise<void> {
    const { writer, listener } = sessions;
    writer.onWarning = (message) => (this.#warning = message);
    listener.onNotify = (payload) => this.#heard(payload);
    if (this.#known === undefined) {
      await prepareSchema(writer, this.#address);
    } else {
      await endStrays(sessions, this.#applicationName);
      try {
        const head = await verifyHistory(writer, this.#known, this.#address);
        await this.#doubt?.resolve(writer, head, () => this.#takeWarning());
      } catch (error) {
        if (error instanceof PostgresError && error.reason === 'history-lost') this.#fail(error);
        throw error;
      }
    }
    await listener.run(`SET synchronous_commit = off; LISTEN ${this.#channel}`);
    this.#lessor.attach();
    if (this.#known !== undefined) setImmediate(() => this.#moved());
  }

  #lost(): void {
    this.#held = undefined;
    this.#lessor.detach();
  }

  #takeWarning(): string | undefined {
    const warning = this.#warning;
    this.#warning = undefined;
    return warning;
  }

  async load(): Promise<LoadedState> {
    try {
      const { head, state } = await loadState(this.#address, this.#applicationName, await this.#link.use());
      this.#adopt(head);
      await this.#measure();
      return state;
    } catch (error) {
      throw sqlStateOf(error) === undefined ? error : explainTables(this.#address, error);
    }
  }

  #adopt(head: KnownHead): void {
    this.#known = head;
    this.#removal.learned(head);
  }

  async append(expected: LogHead, batch: LogBatch): Promise<'appended' | 'head-moved'> {
    const known = this.#known as KnownHead;
    const held = this.#held;
    this.#held = undefined;
    const sessions = held ?? (await this.#link.use());
    // Its connection was lost with all that it held.
    if (this.#link.current !== sessions || known.position !== expected.position) return 'head-moved';
    const tag = String(randomBytes(8).readBigInt64BE());
    const payload = `head ${batch.head.position} ${this.#serverId}`;
    const statement = appendStatement(batch, known, tag, { channel: this.#channel, payload });
    const doubt = new Doubt(tag, batch.head, this.#address);
    this.#doubt = doubt;
    this.#warning = undefined;
    const startMs = performance.now();
    try {
      const [rows, command] = await Promise.all([
        sessions.writer.rows(statement),
        held === undefined ? 'COMMIT' : sessions.writer.run('COMMIT'),
      ]);
      const warning = this.#takeWarning();
      // The commit is there, and whether it is on the replica that it must be on is not known.
      if (warning !== undefined) throw new Error(warning);
      if (command !== 'COMMIT') throw new Error(`the transaction ended by ${command}`);
      this.#doubt = undefined;
      if (rows.length === 0) return 'head-moved';
    } catch (error) {
      if ((await this.#appendFailed(sessions, doubt, error)) === 'head-moved') return 'head-moved';
    }
    this.#flushTimes.observe((performance.now() - startMs) / 1000);
    for (const value of statement.values ?? []) this.#bytesWritten += value?.length ?? 0;
    const facts = new Map([...known.facts, ...batch.facts].map((fact) => [fact.name, fact]));
    this.#adopt({
      ...known,
      ...batch.head,
      tag,
      compactRevision: batch.compactRevision ?? known.compactRevision,
      facts: [...facts.values()],
    });
    return 'appended';
  }

  /** What the server refused is certainly not there; after a lost connection that must be found out. */
  async #appendFailed(sessions: Sessions, doubt: Doubt, error: unknown): Promise<'appended' | 'head-moved'> {
    const state = sqlStateOf(error);
    // Class 57P: the connection was ended by the server, perhaps after the commit.
    if (state !== undefined && !state.startsWith('57P')) {
      this.#doubt = undefined;
      if (state === sqlState.diskFull) throw new NoSpaceError(this.#address.name, error);
      if (state === sqlState.serialization || state === sqlState.deadlock) return 'head-moved';
      // A row where there must be none, or tables that are gone: this is no log any more.
      if (state.startsWith('23') || state.startsWith('42')) throw explainTables(this.#address, error);
      if (state === sqlState.readOnly) this.#link.drop(sessions, error);
      throw this.#refused(error);
    }
    this.#link.drop(sessions, error);
    const outcome = await doubt.outcome(this.#clock, resolveMs);
    if (outcome === 'landed') return 'appended';
    if (outcome === 'absent') return 'head-moved';
    throw new LogUnavailableError(
      'unknown',
      `the connection to ${this.#address.name} was lost in the middle of a write (${messageOf(error)}), and whether ` +
        'it was made is not known: look before you repeat it',
      error,
    );
  }

  #refused(error: unknown): LogUnavailableError {
    const why =
      sqlStateOf(error) === sqlState.canceled
        ? 'it was too slow, or another server held the log for too long'
        : messageOf(error);
    return new LogUnavailableError('refused', `the database ${this.#address.name} refused: ${why}`, error);
  }

  async catchUp(head: LogHead, hold: boolean): Promise<LogChanges> {
    await this.release();
    return this.#reading((sessions) => this.#changes(sessions, head, hold));
  }

  async #changes(sessions: Sessions, head: LogHead, hold: boolean): Promise<LogChanges> {
    const known = this.#known as KnownHead;
    const session = hold ? sessions.writer : sessions.reader;
    try {
      const [, , rows] = await Promise.all([
        hold ? session.run('BEGIN') : undefined,
        hold ? session.rows(lockHead) : undefined,
        session.rows(selectChanges(head.position, rowsPerPage)),
      ]);
      if (hold) this.#held = sessions;
      const changed = headOf(rows[0] ?? []);
      if (changed.removingRevision > known.revision) return await this.#reload(sessions, changed);
      const found = rows.flatMap((row) => rowAfterHead(row) ?? []);
      historyLost(known, changed, found[0], this.#address);
      const last = (): number => found.at(-1)?.position ?? 0;
      while (found.length % rowsPerPage === 0 && last() < changed.position) {
        const more = await session.rows(selectChanges(last() + 1, rowsPerPage));
        if (headOf(more[0] ?? []).removingRevision > known.revision)
          return await this.#reload(sessions, changed);
        found.push(...more.flatMap((row) => rowAfterHead(row) ?? []));
      }
      this.#adopt(changed);
      return changesOf(head, changed, found);
    } catch (error) {
      this.#held = undefined;
      if (hold && sqlStateOf(error) !== undefined) void session.run('ROLLBACK').catch(() => undefined);
      throw error;
    }
  }

  /** Reads, once more on new connections if the first are lost. */
  async #reading<T>(read: (sessions: Sessions) => Promise<T>): Promise<T> {
    for (let isFirst = true; ; isFirst = false) {
      const sessions = await this.#link.use();
      try {
        return await read(sessions);
      } catch (error) {
        const failure = this.#readFailed(sessions, error);
        const isLost = this.#link.current !== sessions && failure instanceof LogUnavailableError;
        if (!isFirst || !isLost) throw failure;
      }
    }
  }

  async #reload(sessions: Sessions, changed: KnownHead): Promise<LogChanges> {
    const { head, state } = await loadState(this.#address, this.#applicationName, sessions);
    this.#adopt(head);
    const { compactRevision, facts } = changed;
    return { reload: state, records: [], leases: [], facts, compactRevision, head };
  }

  async release(): Promise<void> {
    const held = this.#held;
    this.#held = undefined;
    await held?.writer.run('ROLLBACK').catch((error: unknown) => this.#link.drop(held, error));
  }

  /** What a failed read means: the connection is lost, the log is, or only this answer. */
  #readFailed(sessions: Sessions, error: unknown): Error {
    if (error instanceof LogUnavailableError || error instanceof RowGoneError) return error;
    if (error instanceof PostgresError) {
      if (error.reason === 'history-lost') this.#fail(error);
      return error.reason === 'unreachable' || error.reason === 'starting' ? this.#refused(error) : error;
    }
    const state = sqlStateOf(error);
    if (state?.startsWith('42')) return explainTables(this.#address, error);
    if (state === undefined || state.startsWith('57P')) this.#link.drop(sessions, error);
    return this.#refused(error);
  }

  headPosition(): Promise<number> {
    return this.#reading(async ({ reader }) => {
      const [row] = await reader.rows(selectPosition);
      return Number(row?.[0]);
    });
  }

  async readValue(position: number): Promise<Uint8Array> {
    const [value] = await this.readValues([position]);
    return value as Uint8Array;
  }

  readonly readValues = (positions: readonly number[]): Promise<Uint8Array[]> =>
    this.#reading(async ({ reader }) => {
      const rows = await reader.rows(selectValues(positions));
      const found = new Map(rows.map(([position, value]) => [Number(position), value]));
      return positions.map((position) => {
        const value = found.get(position);
        if (value == null) throw new RowGoneError(position);
        return bytesOf(value);
      });
    });

  follow(moved: () => void): void {
    this.#moved = moved;
  }

  #heard(payload: string): void {
    const [kind, position, from] = payload.split(' ');
    if (kind !== 'head') return this.#lessor.heard(payload);
    if (from !== this.#serverId && Number(position) > (this.#known?.position ?? 0)) this.#moved();
  }

  #schedulePoll(): void {
    if (this.#closed) return;
    this.#poll = this.#clock.setTimeout(() => {
      void this.#look().finally(() => this.#schedulePoll());
    }, pollMs);
  }

  async #look(): Promise<void> {
    const sessions = this.#link.current;
    if (sessions === undefined) return;
    try {
      const [row] = await sessions.listener.rows(selectPosition);
      if (Number(row?.[0]) !== this.#known?.position) this.#moved();
      await this.#lessor.tick(sessions);
      if (this.#polls++ % sizeEveryPolls === 0) await this.#measure();
    } catch (error) {
      this.#readFailed(sessions, error);
    }
  }

  async remove(positions: readonly number[], signal: AbortSignal): Promise<void> {
    await this.#removal.remove(positions, this.#known as KnownHead, signal);
  }

  /** Autovacuum makes room for coming rows by itself; `all` does it now. */
  async reclaim(_signal: AbortSignal, all = false): Promise<void> {
    const { writer } = await this.#link.use();
    if (all) {
      const { host, port } = writer;
      const options = { address: this.#address, host, port, applicationName: this.#applicationName };
      const session = await connectSession({ ...options, isPatient: true });
      try {
        await session.run('VACUUM head, log, lease');
      } finally {
        session.end();
      }
    }
    await this.#measure();
  }

  async #measure(): Promise<void> {
    const sessions = await this.#link.use();
    const [row] = await sessions.reader.rows({
      text: `SELECT sum(pg_total_relation_size(relid)), sum(pg_total_relation_size(relid) *
             CASE WHEN n_dead_tup > 0 THEN n_live_tup::float8 / (n_live_tup + n_dead_tup) ELSE 1 END)::bigint
             FROM pg_stat_user_tables WHERE schemaname = $1 AND relname IN ('head', 'log', 'lease')`,
      values: [this.#address.schema],
    });
    this.#size = { bytes: Number(row?.[0] ?? 0), bytesInUse: Number(row?.[1] ?? 0) };
  }

  size(): { bytes: number; bytesInUse: number } {
    return this.#size;
  }

  figures(): LogFigures {
    return {
      appends: this.#flushTimes.count,
      bytesWritten: this.#bytesWritten,
      checkpoints: 0,
      rowsRemoved: this.#removal.rowsRemoved,
      bytesReclaimed: 0,
      flushSeconds: this.#flushTimes.buckets(),
      flushSecondsSum: this.#flushTimes.sum,
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#poll?.cancel();
    this.#lessor.stop();
    await this.#link.close();
  }
}

/** The rows behind `from`; the one at it is there only to be compared. */
function changesOf(from: LogHead, head: KnownHead, rows: readonly LogRow[]): LogChanges {
  const fresh = rows.filter(({ position }) => position > from.position && position <= head.position);
  return {
    records: fresh.flatMap((row) => ('record' in row ? [row.record] : [])),
    leases: fresh.flatMap((row) => ('lease' in row ? [{ ...row.lease, position: row.position }] : [])),
    facts: head.facts,
    compactRevision: head.compactRevision,
    head: { revision: head.revision, position: head.position },
  };
}
