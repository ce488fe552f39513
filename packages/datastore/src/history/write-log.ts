import type { Log, LogHead, LogRecord } from '../log/log.ts';
import type { History, ReportProgress } from './history.ts';

/** One append: so much of a copy is lost when the process dies, and the target is not in place before the last. */
const batchBytes = 4 * 1024 * 1024;
const batchRecords = 4000;

/**
 * Writes a history into an empty log, every record at its revision. Positions are given anew: leases first, since
 * keys name them, then records, then the compaction.
 */
export async function writeToLog(
  log: Log,
  history: History,
  options: { report?: ReportProgress | undefined; signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const { leases, revision, compactRevision, recordCount } = history;
  let head: LogHead = { revision: 1, position: 0 };
  const append = async (records: readonly LogRecord[], end: LogHead, rest = {}): Promise<void> => {
    options.signal?.throwIfAborted();
    const batch = { records, leases: [], facts: [], compactRevision: undefined, head: end, ...rest };
    if ((await log.append(head, batch)) === 'head-moved')
      throw new Error('somebody else writes to the target of the copy');
    head = end;
  };
  if (leases.length > 0) {
    const grants = leases.map((lease) => ({ type: 'grant' as const, ...lease }));
    await append([], { ...head, position: leases.length }, { leases: grants });
  }
  let [records, bytes, total, of] = [[] as LogRecord[], 0, 0, recordCount];
  let totalBytes = 0;
  const flush = async (): Promise<void> => {
    const last = records[records.length - 1];
    if (last === undefined) return;
    await append(records, { revision: last.revision, position: last.position });
    total += records.length;
    totalBytes += bytes;
    of = Math.max(of, total);
    options.report?.({ records: total, of, bytes: totalBytes });
    [records, bytes] = [[], 0];
  };
  for await (const piece of history.records()) {
    for (const record of piece) {
      records.push({ ...record, position: head.position + records.length + 1 });
      bytes += record.key.byteLength + (record.value?.byteLength ?? 0);
    }
    if (bytes >= batchBytes || records.length >= batchRecords) await flush();
  }
  await flush();
  if (compactRevision > 0) await append([], { revision, position: head.position + 1 }, { compactRevision });
}
