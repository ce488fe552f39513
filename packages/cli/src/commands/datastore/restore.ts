import { resolve } from 'node:path';
import { parsePlace } from '@cloudless/datastore/history/place';
import { UsageError } from '../../options.ts';
import { copy } from './copy.ts';

export interface RestoreFlags {
  endpoint: string;
  force?: boolean;
  skipHashCheck?: boolean;
}

/** `cloudless datastore restore FILE`. */
export async function restore(file: string, flags: RestoreFlags): Promise<void> {
  const { kind } = parsePlace(flags.endpoint);
  if (kind !== 'sqlite' && kind !== 'postgres') {
    throw new UsageError(
      `--endpoint ${flags.endpoint}: a snapshot is restored to sqlite:///path or postgres://; ` +
        (kind === 'etcd'
          ? 'for etcd use etcdutl snapshot restore, or cloudless datastore copy for keys alone'
          : 'this is one'),
    );
  }
  await copy({ ...flags, from: `snapshot://${encodeURI(resolve(file))}`, to: flags.endpoint });
}
