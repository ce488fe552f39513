import { PostgresError } from './errors.ts';
import type { LoadedRecord, LoadedState } from '../log/log.ts';
import { RecordOrder } from '../log/order.ts';
import type { PostgresAddress } from './address.ts';
import type { Sessions } from './link.ts';
import { connectSession, type Session } from './session.ts';
import { headOf, type KnownHead, rowOf, selectHead, selectLeases, selectRecords } from './statements.ts';

const rowsPerPage = 5000;

/**
 * Everything that is retained, as of one moment: a transaction of its own on a connection of its own, since reads
 * of the present go on beside it. The connection ends with `records`.
 */
export async function loadState(
  address: PostgresAddress,
  applicationName: string,
  { writer }: Sessions,
): Promise<{ head: KnownHead; state: LoadedState }> {
  const { host, port } = writer;
  const session = await connectSession({ address, host, port, applicationName });
  try {
    await session.run('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const [[headRow = []], leases] = await Promise.all([
      session.rows(selectHead),
      session.rows(selectLeases),
    ]);
    const head = headOf(headRow);
    const { revision, position, compactRevision, facts } = head;
    const state: LoadedState = {
      compactRevision,
      leases: leases.map(([id, ttl]) => ({ id: BigInt(id ?? 0), ttlSeconds: Number(ttl) })),
      facts,
      head: { revision, position },
      records: recordsOf(session, head, address),
    };
    return { head, state };
  } catch (error) {
    session.end();
    throw error;
  }
}

async function* recordsOf(
  session: Session,
  head: KnownHead,
  address: PostgresAddress,
): AsyncGenerator<readonly LoadedRecord[]> {
  try {
    const order = new RecordOrder(head.compactRevision);
    // The next page is under way while this one is taken over.
    let page = session.rows(selectRecords(0, rowsPerPage));
    for (;;) {
      const records = (await page).map(rowOf).flatMap((row) => ('record' in row ? [row.record] : []));
      const last = records.at(-1);
      if (last === undefined) break;
      page = session.rows(selectRecords(last.position, rowsPerPage));
      // Should the reader give up, nobody waits for it.
      page.catch(() => undefined);
      const problem = order.problem(records);
      if (problem !== undefined) throw damaged(address, problem);
      yield records;
    }
    let { revision } = order;
    if (revision < head.revision && revision < head.compactRevision) revision = head.compactRevision;
    if (revision !== head.revision)
      throw damaged(address, `it ends at ${revision}, its head at ${head.revision}`);
  } finally {
    session.end();
  }
}

const damaged = ({ name, schema }: PostgresAddress, what: string): PostgresError =>
  new PostgresError(
    'unusable',
    `the datastore ${name} (schema ${schema}) is damaged: ${what}. Restore it from a backup`,
  );
