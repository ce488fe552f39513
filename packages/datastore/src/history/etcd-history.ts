import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EtcdMaintenance } from '@cloudless/kube/etcd/maintenance';
import { EtcdError, grpcCode } from '@cloudless/kube/etcd/store';
import type { Logger } from '@cloudless/kube/logger';
import { openSnapshot } from '../snapshot/etcd-reader.ts';
import { CopyError } from './errors.ts';
import type { History, ReportProgress } from './history.ts';
import { writeStream } from './snapshot-target.ts';

/**
 * The history of a running etcd, or of anything that serves its Maintenance.Snapshot: the snapshot goes to a file in a
 * folder of its own for as long as it is read.
 *
 * @throws EtcdError when the server cannot be reached or refuses
 * @throws SnapshotFileError when what it sent is damaged
 */
export async function historyOfEtcd(
  name: string,
  server: Pick<EtcdMaintenance, 'snapshot'>,
  options: { log: Logger; report?: ReportProgress | undefined; signal?: AbortSignal | undefined },
): Promise<History> {
  const folder = await mkdtemp(join(tmpdir(), 'etcd-snapshot-'));
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const path = join(folder, 'snapshot.db');
    await writeStream(path, server.snapshot({ signal: options.signal }), options);
    const history = await openSnapshot(path, { signal: options.signal });
    return { ...history, name, close: () => history.close().then(remove, remove) };
  } catch (error) {
    await remove();
    if (!(error instanceof EtcdError) || error.code !== grpcCode.unimplemented) throw error;
    throw new CopyError(
      'unusable',
      `${name} gives out no snapshots (kine does not): copy from its database instead, such as ` +
        'sqlite:///path/state.db or postgres://user@host/database',
      error,
    );
  }
}
