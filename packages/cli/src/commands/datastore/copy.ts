import { openHistory, parsePlace, placeName, writeHistory } from '@cloudless/datastore/history/place';
import { Progress } from '../../progress.ts';
import { placeOptions, step, type TlsFlags } from './place-options.ts';

export interface CopyFlags extends TlsFlags {
  from: string;
  to: string;
  force?: boolean;
  skipHashCheck?: boolean;
}

/** `cloudless datastore copy`. */
export async function copy(flags: CopyFlags): Promise<void> {
  const [from, to] = [parsePlace(flags.from), parsePlace(flags.to)];
  const progress = new Progress();
  const options = placeOptions(flags, progress);
  const history = await step(
    progress,
    `read ${placeName(from)}`,
    () => openHistory(from, options),
    ({ revision, compactRevision, recordCount, leases }) =>
      `revision ${revision}, history from ${Math.max(1, compactRevision)}, ${recordCount} records, ${leases.length} leases`,
  );
  try {
    await step(progress, `write ${placeName(to)}`, () =>
      writeHistory(to, history, { ...options, force: flags.force }),
    );
    if (to.kind === 'etcd')
      progress.note(
        'Keys, values and leases are there; revisions and history are its own. To keep them: restore a snapshot.',
      );
  } finally {
    await history.close();
  }
}
