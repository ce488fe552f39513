import type { Log } from '../log/log.ts';
import { MvccState } from '../mvcc/state.ts';
import { ValueCache } from '../mvcc/value-cache.ts';
import type { MeasuredHistory } from './history.ts';
import { gatherRetained } from './retained.ts';
import { historyOfState } from './state-history.ts';

/**
 * The history in a log that nobody serves: no lease of it expires and nothing is written. It closes the log.
 *
 * @throws DatastoreFileError when what is stored cannot be a log
 */
export async function historyOfLog(name: string, log: Log): Promise<MeasuredHistory> {
  try {
    const state = new MvccState(new ValueCache(0));
    const { compactRevision, leases, head, records } = await log.load();
    state.adoptLeases(leases.map((lease) => ({ type: 'grant' as const, ...lease })));
    let [revision, position] = [Math.max(1, compactRevision), 0];
    for await (const piece of records) {
      state.adopt(piece, compactRevision, []);
      const last = piece[piece.length - 1];
      if (last !== undefined) ({ revision, position } = last);
    }
    revision = Math.max(revision, compactRevision);
    state.adoptHead({ ...(head ?? { revision, position }), compactRevision });
    const retained = await gatherRetained(state);
    const values = {
      readValue: (at: number) => log.readValue(at),
      ...(log.readValues && { readValues: log.readValues.bind(log) }),
    };
    return historyOfState({ name, retained, values, close: () => log.close() });
  } catch (error) {
    await log.close();
    throw error;
  }
}
