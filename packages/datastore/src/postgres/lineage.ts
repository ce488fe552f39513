import type { PostgresAddress } from './address.ts';
import { PostgresError } from './errors.ts';
import type { Sessions } from './link.ts';
import type { Session } from './session.ts';
import { headOf, type KnownHead, selectTagAt } from './statements.ts';

/**
 * Ends what is left of this server's former connections: a statement that still waits there would hold locks. Only
 * ours: the application's name holds this server's own number.
 */
export async function endStrays(sessions: Sessions, applicationName: string): Promise<void> {
  const ours = Object.values(sessions).map((session: Session) => session.pid);
  await sessions.reader.rows({
    text:
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 ' +
      'AND usename = current_user AND pid <> ALL($2::int[])',
    values: [applicationName, `{${ours.join(',')}}`],
  });
}

/**
 * After a new connection, perhaps to another server: the log must go on from what this one has seen.
 *
 * @throws PostgresError `history-lost` when it does not
 */
export async function verifyHistory(
  session: Session,
  known: KnownHead,
  address: PostgresAddress,
): Promise<KnownHead> {
  const [row = []] = await session.rows(selectTagAt(known.position));
  const head = headOf(row);
  const tag = row[8] ?? null;
  historyLost(known, head, tag === null ? undefined : { position: known.position, tag }, address);
  return head;
}

/**
 * Compares what is there with what this server knows.
 *
 * @param at the row at the known head; it may be missing only where a compaction took it
 * @throws PostgresError `history-lost`
 */
export function historyLost(
  known: KnownHead,
  head: KnownHead,
  at: { readonly position: number; readonly tag: string | null } | undefined,
  { name }: PostgresAddress,
): void {
  const isSame = at?.position === known.position && at.tag === known.tag;
  const mayBeRemoved = at?.position !== known.position && head.removingRevision >= known.revision;
  if (head.position >= known.position && (known.position === 0 || isSame || mayBeRemoved)) return;
  throw new PostgresError(
    'history-lost',
    `the database ${name} lost writes that were acknowledged: this server has seen revision ${known.revision} ` +
      `(position ${known.position}), the database is at revision ${head.revision} (position ${head.position}) ` +
      'with another history, as after a failover to a replica that was behind. Bring the former primary back, or ' +
      'restore a backup; starting again accepts the database as it is. A synchronous replica ' +
      '(synchronous_standby_names) keeps this from happening',
  );
}
