import { GapFinder } from '../history/gaps.ts';
import type { History, HistoryHead } from '../history/history.ts';
import type { LogRecord } from '../log/log.ts';
import { CopyError } from '../history/errors.ts';
import { type BinaryKey, keyOf } from '../mvcc/key.ts';

/** One row of kine's table. */
export interface KineRow {
  readonly id: number;
  readonly name: Uint8Array;
  readonly created: boolean;
  readonly deleted: boolean;
  readonly createRevision: number;
  readonly prevRevision: number;
  /** Seconds to live; 0: none. */
  readonly lease: number;
  /** Absent when the table is read without values, and where the column is NULL. */
  readonly value: Uint8Array | undefined;
}

/** kine's table as it is at one moment, however often it is read. */
export interface KineTable {
  readonly name: string;
  /** Every row in order of ids. */
  rows(withValues: boolean): AsyncIterable<readonly KineRow[]>;
  close(): Promise<void>;
}

const compactRow = 'compact_rev_key';
const fillRow = /^gap-\d+$/;

/**
 * kine's table as a history (its columns: https://github.com/k3s-io/kine). A row is a change, and its id is the
 * change's revision, which every key keeps.
 *
 * - `created`: the key came to be; its create revision is the row's own id, whatever the column says.
 * - `deleted`: a tombstone.
 * - `compact_rev_key` is no key: its `prev_revision` is the revision up to which kine has compacted.
 * - `gap-ID` is no key: kine fills ids with it that a failed transaction used up. Where ids are missing without, or
 *   filled so, history before is compacted away (see {@link GapFinder}).
 * - kine hands out the seconds to live as the lease's id, so each number becomes one lease of that id and time.
 * - kine keeps no versions: they are counted over the rows that are there, and only 1 means "just created".
 */
export async function historyOfKine(table: KineTable): Promise<History> {
  const survey = await surveyOf(table);
  return {
    ...survey,
    name: table.name,
    async *records() {
      const keys = new Keys();
      let position = 0;
      for await (const rows of table.rows(true)) {
        const piece = rows.filter(isKey).map((row) => recordOf(row, keys.see(row), ++position));
        if (piece.length > 0) yield piece;
      }
    },
    close: () => table.close(),
  };
}

const nameOf = ({ name }: KineRow): string => Buffer.from(name).toString('latin1');
const isKey = (row: KineRow): boolean => nameOf(row) !== compactRow && !fillRow.test(nameOf(row));

async function surveyOf(table: KineTable): Promise<HistoryHead & { recordCount: number }> {
  const keys = new Keys();
  let [compacted, last, recordCount] = [0, 0, 0];
  for await (const rows of table.rows(false)) {
    for (const row of rows) {
      last = row.id;
      if (nameOf(row) === compactRow) compacted = Math.max(compacted, row.prevRevision);
      if (!isKey(row)) continue;
      verify(table.name, row);
      keys.see(row);
      recordCount++;
    }
  }
  const gaps = new GapFinder(compacted);
  // Again, now that it is known how far kine has compacted.
  for await (const rows of table.rows(false)) for (const row of rows.filter(isKey)) gaps.see(row.id);
  const compactRevision = gaps.revision < last ? last : gaps.compactRevision;
  return {
    revision: Math.max(1, last, compactRevision),
    compactRevision,
    recordCount,
    leases: [...keys.leases()].map((ttlSeconds) => ({ id: BigInt(ttlSeconds), ttlSeconds })),
  };
}

function verify(table: string, { id, createRevision, lease, name }: KineRow): void {
  const wrong =
    !Number.isSafeInteger(id) || id < 1
      ? 'its id is no revision'
      : createRevision > id
        ? `it was created at ${createRevision}, after itself`
        : name.byteLength === 0
          ? 'it has no name'
          : lease < 0
            ? `its lease is ${lease}`
            : undefined;
  if (wrong === undefined) return;
  throw new CopyError(
    'foreign',
    `row ${id} of ${table} is no row of kine's: ${wrong}. Mend or delete it, then copy again`,
  );
}

/** What kine does not write down about the keys that exist: versions. */
class Keys {
  readonly #live = new Map<BinaryKey, { createRevision: number; version: number; lease: number }>();

  see(row: KineRow): { createRevision: number; version: number } {
    const key = keyOf(row.name);
    if (row.deleted) {
      this.#live.delete(key);
      return { createRevision: 0, version: 0 };
    }
    const createRevision = row.created || row.createRevision === 0 ? row.id : row.createRevision;
    const before = this.#live.get(key);
    const version = createRevision === row.id ? 1 : Math.max(2, (before?.version ?? 0) + 1);
    this.#live.set(key, { createRevision, version, lease: row.lease });
    return { createRevision, version };
  }

  leases(): Set<number> {
    return new Set([...this.#live.values()].map(({ lease }) => lease).filter((lease) => lease > 0));
  }
}

function recordOf(
  { id, name, deleted, lease, value }: KineRow,
  { createRevision, version }: { createRevision: number; version: number },
  position: number,
): LogRecord {
  const named = { position, revision: id, key: name, createRevision, version };
  if (deleted) return { ...named, lease: 0n, value: undefined };
  return { ...named, lease: BigInt(lease), value: value ?? new Uint8Array(0) };
}
