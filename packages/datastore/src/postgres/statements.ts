import type { FactChange, FactName, LeaseChange, LoadedRecord, LogBatch, LogHead } from '../log/log.ts';
import { keyOf } from '../mvcc/key.ts';
import type { Cell, Statement } from './session.ts';

/** The head row, as this server last saw it. */
export interface KnownHead extends LogHead {
  /** Of the last batch: whoever has the same has the same log up to here. */
  readonly tag: string;
  /** Changes when appends under way must miss. */
  readonly fence: string;
  readonly compactRevision: number;
  /** Rows of history before this revision may be gone. */
  readonly removingRevision: number;
  /** Rows of history before this revision are gone. */
  readonly removedRevision: number;
  readonly facts: readonly FactChange[];
}

const headColumns =
  'h.revision, h.position, h.tag, h.fence, h.compact_revision, h.removing_revision, h.removed_revision, h.facts';
const headCells = 8;
const rowColumns =
  'l.position, l.revision, l.created, l.version, l.lease, l.tag, l.key, octet_length(l.value)';

export const selectHead: Statement = { name: 'head', text: `SELECT ${headColumns} FROM head h` };
export const selectPosition: Statement = { name: 'position', text: 'SELECT position FROM head' };
export const selectLeases: Statement = { text: 'SELECT id, ttl FROM lease' };
/** Whoever has it appends; the others wait in line. */
export const lockHead: Statement = { name: 'lock', text: 'SELECT FROM head FOR UPDATE' };
/** Appends that are still under way somewhere miss from here on; durable like a write, with all before it. */
export const moveFence: Statement = { text: 'UPDATE head SET fence = fence + 1' };

/** The head, with the rows from `position` on: that one proves that the log is still the same. */
export const selectChanges = (position: number, limit: number): Statement => ({
  name: 'changes',
  text:
    `SELECT ${headColumns}, ${rowColumns} FROM head h LEFT JOIN log l ON l.position >= $1 ` +
    'ORDER BY l.position LIMIT $2',
  values: [String(position), String(limit)],
});

/** Writes of keys after `position`, without their values. */
export const selectRecords = (position: number, limit: number): Statement => ({
  name: 'records',
  text: `SELECT ${rowColumns} FROM log l WHERE l.position > $1 AND l.key IS NOT NULL ORDER BY l.position LIMIT $2`,
  values: [String(position), String(limit)],
});

export const selectValues = (positions: readonly number[]): Statement => ({
  name: 'values',
  text: 'SELECT position, value FROM log WHERE position = ANY($1::bigint[])',
  values: [`{${positions.join(',')}}`],
});

/** The tag of the batch that ends at `position`, if one does, with the head. */
export const selectTagAt = (position: number): Statement => ({
  text: `SELECT ${headColumns}, (SELECT tag FROM log WHERE position = $1) FROM head h`,
  values: [String(position)],
});

export function headOf(row: readonly Cell[]): KnownHead {
  const [revision, position, tag, fence, compact, removing, removed, facts] = row;
  return {
    revision: Number(revision),
    position: Number(position),
    tag: tag as string,
    fence: fence as string,
    compactRevision: Number(compact),
    removingRevision: Number(removing),
    removedRevision: Number(removed),
    facts: parseFacts(facts ?? ''),
  };
}

/** A row of the log: a write of a key, a change of a lease, or only the end of a batch. */
export type LogRow = { readonly position: number; readonly tag: string | null } & (
  | { readonly record: LoadedRecord }
  | { readonly lease: LeaseChange }
  | { readonly end: true }
);

/** The row that follows the head's columns; undefined when there is none. */
export function rowAfterHead(cells: readonly Cell[]): LogRow | undefined {
  return cells[headCells] === null ? undefined : rowOf(cells.slice(headCells));
}

export function rowOf(cells: readonly Cell[]): LogRow {
  const [positionText, revision, created, version, leaseText, tag = null, key, valueBytes] = cells;
  const position = Number(positionText);
  const lease = leaseText == null ? 0n : BigInt(leaseText);
  if (key != null) {
    const record: LoadedRecord = {
      position,
      revision: Number(revision),
      key: keyOf(bytesOf(key)),
      createRevision: Number(created),
      version: Number(version),
      lease,
      valueBytes: valueBytes == null ? -1 : Number(valueBytes),
    };
    return { position, tag, record };
  }
  if (lease === 0n) return { position, tag, end: true };
  const ttlSeconds = Number(created);
  const change: LeaseChange =
    ttlSeconds < 0 ? { type: 'revoke', id: lease } : { type: 'grant', id: lease, ttlSeconds };
  return { position, tag, lease: change };
}

/** Bytes from PostgreSQL's text form (`bytea_output = hex`). */
export const bytesOf = (cell: string): Buffer => Buffer.from(cell.slice(2), 'hex');

/** The facts as the head row keeps them: `name=value` with spaces between. */
function parseFacts(text: string): FactChange[] {
  const words = text.split(' ').filter(Boolean);
  return words.map((word) => {
    const [name, value] = word.split('=') as [FactName, string];
    return { name, value: BigInt(value) };
  });
}

function factsText(known: readonly FactChange[], changes: readonly FactChange[]): string | null {
  if (changes.length === 0) return null;
  const all = new Map([...known, ...changes].map(({ name, value }) => [name, value]));
  return [...all].map(([name, value]) => `${name}=${value}`).join(' ');
}

/**
 * One statement: it moves the head if that is where this server left it, appends all rows, and tells the others.
 * It answers one row if it did, none if the head had moved. Keys and values travel as one piece of bytes each,
 * which is cut into rows there: arrays of bytes would be sent as text, twice as long.
 */
export function appendStatement(
  batch: LogBatch,
  expected: KnownHead,
  tag: string,
  notify: Notify,
): Statement {
  const columns = columnsOf(expected, batch);
  const { revision, position } = batch.head;
  return {
    name: 'append',
    text: appendText,
    values: [
      ...[revision, position, tag].map(String),
      batch.compactRevision === undefined ? null : String(batch.compactRevision),
      factsText(expected.facts, batch.facts),
      ...[expected.position, expected.tag, expected.fence].map(String),
      ...columns,
      ...leaseColumns(batch.leases),
      notify.channel,
      notify.payload,
    ],
  };
}

export interface Notify {
  readonly channel: string;
  readonly payload: string;
}

const appendText = `
  WITH moved AS (
    UPDATE head SET revision = $1, position = $2, tag = $3, compact_revision = coalesce($4, compact_revision),
      facts = coalesce($5, facts)
    WHERE position = $6 AND tag = $7 AND fence = $8 RETURNING 1
  ), appended AS (
    INSERT INTO log (position, revision, created, version, lease, tag, key, value)
    SELECT r.position, r.revision, r.created, r.version, r.lease, CASE WHEN r.position = $2 THEN $3::bigint END,
      CASE WHEN r.key_bytes >= 0 THEN substring($16::bytea FROM r.key_at + 1 FOR r.key_bytes) END,
      CASE WHEN r.value_bytes >= 0 THEN substring($17::bytea FROM r.value_at + 1 FOR r.value_bytes) END
    FROM moved, unnest($9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::int[],
      $15::int[], $18::int[], $19::int[])
      AS r(position, revision, created, version, lease, key_at, key_bytes, value_at, value_bytes)
  ), granted AS (
    INSERT INTO lease SELECT g.id, g.ttl FROM moved, unnest($20::bigint[], $21::bigint[]) AS g(id, ttl)
    ON CONFLICT (id) DO UPDATE SET ttl = excluded.ttl
  ), revoked AS (
    DELETE FROM lease USING moved WHERE id = ANY($22::bigint[])
  )
  SELECT pg_notify($23, $24) FROM moved`;

/** $9 to $19: the rows, column by column, with the pieces of bytes. */
function columnsOf(expected: LogHead, { records, leases, head }: LogBatch): Array<string | Buffer> {
  const columns: Array<Array<number | string>> = Array.from({ length: 9 }, () => []);
  const keys: Uint8Array[] = [];
  const values: Uint8Array[] = [];
  let keyAt = 0;
  let valueAt = 0;
  const add = (...cells: ReadonlyArray<number | string>): void => {
    for (const [i, cell] of cells.entries()) (columns[i] as Array<number | string>).push(cell);
  };
  const taken = new Set<number>();
  for (const { position, revision, key, createRevision, version, lease, value } of records) {
    taken.add(position);
    const valueBytes = value === undefined ? -1 : value.byteLength;
    const leaseText = lease === 0n ? 'NULL' : String(lease);
    add(position, revision, createRevision, version, leaseText, keyAt, key.byteLength, valueAt, valueBytes);
    keys.push(key);
    keyAt += key.byteLength;
    if (value === undefined) continue;
    values.push(value);
    valueAt += valueBytes;
  }
  // What is no write of a key takes the positions between.
  const free: number[] = [];
  for (let at = expected.position + 1; at <= head.position; at++) if (!taken.has(at)) free.push(at);
  for (const [i, change] of leases.entries()) {
    const seconds = change.type === 'grant' ? change.ttlSeconds : -1;
    add(free[i] as number, head.revision, seconds, 0, String(change.id), 0, -1, 0, -1);
  }
  // The last position has a row, which carries the tag.
  if (free.length > leases.length && free.at(-1) === head.position) {
    add(head.position, head.revision, 0, 0, 'NULL', 0, -1, 0, -1);
  }
  const text = columns.map((column) => `{${column.join(',')}}`);
  return [...text.slice(0, 7), Buffer.concat(keys), Buffer.concat(values), ...text.slice(7)];
}

/** $20 to $22: what becomes of each lease in the end. One statement sees none of its own changes. */
function leaseColumns(leases: readonly LeaseChange[]): string[] {
  const last = new Map(leases.map((change) => [change.id, change]));
  const granted = [...last.values()].filter((change) => change.type === 'grant');
  const revoked = [...last.values()].filter((change) => change.type === 'revoke');
  return [
    `{${granted.map(({ id }) => id).join(',')}}`,
    `{${granted.map(({ ttlSeconds }) => ttlSeconds).join(',')}}`,
    `{${revoked.map(({ id }) => id).join(',')}}`,
  ];
}
