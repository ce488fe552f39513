import { DatastoreFileError } from '../errors.ts';
import type { LogRecord } from '../log/log.ts';
import { type BinaryKey, keyOf } from '../mvcc/key.ts';
import type { History, HistoryHead, ReportProgress } from './history.ts';

/** One thing that is not as it must be. */
export interface Finding {
  /** Position of the row in the log; absent when it is about no row. */
  readonly row?: number | undefined;
  readonly revision?: number | undefined;
  readonly key?: string | undefined;
  readonly problem: string;
}

export interface CheckReport {
  readonly name: string;
  readonly revision: number;
  readonly compactRevision: number;
  readonly rows: number;
  /** Keys that exist. */
  readonly keys: number;
  readonly leases: number;
  /** Rows that no read can reach any more; a server removes them at its next start. */
  readonly unreachableRows: number;
  readonly findings: readonly Finding[];
  /** Findings that were not kept, because there are so many. */
  readonly moreFindings: number;
}

const maxFindings = 100;

/** The last row seen of a key. */
interface Newest {
  readonly position: number;
  readonly revision: number;
  readonly createRevision: number;
  /** 0: deleted. */
  readonly version: number;
  readonly lease: bigint;
}

/**
 * Every invariant of the log, row by row: positions and revisions grow, and no revision is missing behind the
 * compaction; a deletion carries nothing and deletes something; create revisions and versions go on from the key's row
 * before; a lease that an existing key names exists. Memory grows with the keys, not with their values.
 */
export class LogChecker {
  readonly #head: HistoryHead;
  readonly #leases: ReadonlySet<bigint>;
  readonly #newest = new Map<BinaryKey, Newest>();
  readonly #findings: Finding[] = [];
  #more = 0;
  #position = 0;
  #revision = 1;
  #rows = 0;
  #unreachable = 0;

  constructor(head: HistoryHead) {
    this.#head = head;
    this.#leases = new Set(head.leases.map(({ id }) => id));
    for (const { id, ttlSeconds } of head.leases) {
      if (id <= 0n || ttlSeconds <= 0)
        this.found({ problem: `lease ${id.toString(16)} has ${ttlSeconds} seconds to live` });
    }
  }

  /** Keeps a finding that was made elsewhere. */
  found(finding: Finding): void {
    if (this.#findings.length < maxFindings) this.#findings.push(finding);
    else this.#more++;
  }

  /** The next row, in order of positions. */
  see(record: LogRecord): void {
    this.#rows++;
    const problem = (text: string): void =>
      this.found({
        row: record.position,
        revision: record.revision,
        key: Buffer.from(record.key).toString(),
        problem: text,
      });
    this.#checkOrder(record, problem);
    if (record.key.byteLength === 0) problem('it has no key');
    const key = keyOf(record.key);
    const before = this.#newest.get(key);
    if (before !== undefined) this.#count(before, record);
    if (record.value === undefined) this.#checkTombstone(record, before, problem);
    else this.#checkPut(record, before, problem);
    const { position, revision, createRevision, version, lease } = record;
    this.#newest.set(key, { position, revision, createRevision, version, lease });
  }

  #checkOrder({ position, revision }: LogRecord, problem: (text: string) => void): void {
    if (position <= this.#position) problem(`it follows row ${this.#position}`);
    if (revision < this.#revision) problem(`it follows revision ${this.#revision}`);
    const expected = Math.max(this.#revision, this.#head.compactRevision, 1) + 1;
    if (revision > expected) {
      const missing =
        expected === revision - 1
          ? `revision ${expected} is`
          : `revisions ${expected} to ${revision - 1} are`;
      problem(`${missing} missing before it`);
    }
    this.#position = Math.max(this.#position, position);
    this.#revision = Math.max(this.#revision, revision);
  }

  /** A row that was replaced before the compaction is out of reach. */
  #count(before: Newest, { revision }: LogRecord): void {
    const { compactRevision } = this.#head;
    if (revision <= compactRevision && before.revision < compactRevision) this.#unreachable++;
  }

  #checkTombstone(
    { revision, createRevision, version, lease }: LogRecord,
    before: Newest | undefined,
    problem: (text: string) => void,
  ): void {
    if (createRevision !== 0 || version !== 0 || lease !== 0n)
      problem(
        `it deletes the key, yet has create revision ${createRevision}, version ${version}, lease ${lease.toString(16)}`,
      );
    // What a compaction left of the past says nothing about what it took.
    if (revision > this.#head.compactRevision && (before === undefined || before.version === 0))
      problem('it deletes a key that does not exist');
    if (before?.revision === revision) problem('the key was written twice in its revision');
  }

  #checkPut(
    { revision, createRevision, version, lease }: LogRecord,
    before: Newest | undefined,
    problem: (text: string) => void,
  ): void {
    if (createRevision < 1 || createRevision > revision)
      problem(`it was created at revision ${createRevision}`);
    if (version < 1 || (version === 1) !== (createRevision === revision))
      problem(`its version is ${version}, and it was created at revision ${createRevision}`);
    if (lease < 0n) problem(`its lease is ${lease}`);
    if (before?.revision === revision) problem('the key was written twice in its revision');
    if (revision <= this.#head.compactRevision) return;
    if (before === undefined || before.version === 0) {
      if (version !== 1) problem(`its version is ${version}, but the key did not exist before it`);
    } else if (version !== before.version + 1 || createRevision !== before.createRevision) {
      problem(
        `its version is ${version} and it was created at revision ${createRevision}; row ${before.position} before ` +
          `it has version ${before.version}, created at ${before.createRevision}`,
      );
    }
  }

  finish(name: string): CheckReport {
    const { revision, compactRevision, leases } = this.#head;
    let keys = 0;
    for (const [key, { version, lease, position, revision: at }] of this.#newest) {
      if (version === 0) {
        if (at < compactRevision) this.#unreachable++;
        continue;
      }
      keys++;
      if (lease !== 0n && !this.#leases.has(lease)) {
        this.found({
          row: position,
          revision: at,
          key: Buffer.from(key, 'latin1').toString(),
          problem: `it names the lease ${lease.toString(16)}, which does not exist`,
        });
      }
    }
    // Whatever was found before explains it.
    if (this.#findings.length === 0 && Math.max(this.#revision, compactRevision) !== revision)
      this.found({ problem: `the log ends at revision ${this.#revision}, its head says ${revision}` });
    return {
      name,
      revision,
      compactRevision,
      rows: this.#rows,
      keys,
      leases: leases.length,
      unreachableRows: this.#unreachable,
      findings: this.#findings,
      moreFindings: this.#more,
    };
  }
}

/** Checks every row of a history. */
export async function checkHistory(
  history: History,
  options: {
    /** Found before, such as in the file that it is read from. */
    findings?: readonly Finding[] | undefined;
    report?: ReportProgress | undefined;
    signal?: AbortSignal | undefined;
  } = {},
): Promise<CheckReport> {
  const checker = new LogChecker(history);
  for (const finding of options.findings ?? []) checker.found(finding);
  let [records, bytes, last] = [0, 0, 0];
  try {
    for await (const piece of history.records()) {
      options.signal?.throwIfAborted();
      for (const record of piece) {
        checker.see(record);
        last = record.position;
        bytes += record.key.byteLength + (record.value?.byteLength ?? 0);
      }
      records += piece.length;
      options.report?.({ records, of: Math.max(records, history.recordCount), bytes });
    }
  } catch (error) {
    if (!(error instanceof DatastoreFileError) || error.reason !== 'corrupt') throw error;
    checker.found({ problem: `no row after ${last} can be read: ${error.message}` });
  }
  return checker.finish(history.name);
}
