import { openEndpoint } from '@cloudless/datastore/endpoint';
import { parsePlace, placeName } from '@cloudless/datastore/history/place';
import { connectEtcd } from '@cloudless/kube/etcd/client/client';
import type { EtcdStore } from '@cloudless/kube/etcd/store';
import { UsageError } from '../../options.ts';
import { Progress } from '../../progress.ts';
import { megabytes, placeOptions, step, type PlaceFlags } from './place-options.ts';

export interface CompactFlags extends PlaceFlags {
  revision?: string;
}

/** `cloudless datastore compact`: by a running server, or in a file or database that nobody serves. */
export async function compact(flags: CompactFlags): Promise<void> {
  const place = parsePlace(flags.endpoint);
  if (place.kind === 'snapshot')
    throw new UsageError(
      `--endpoint ${flags.endpoint}: a snapshot is not changed; restore it and compact the store`,
    );
  const revision = flags.revision === undefined ? undefined : Number(flags.revision);
  if (revision !== undefined && (!Number.isSafeInteger(revision) || revision < 1))
    throw new UsageError(`--revision ${flags.revision}: expected a revision such as 1234`);
  const progress = new Progress();
  const { log, tls, password } = placeOptions(flags, progress);
  if (place.kind === 'etcd') {
    const store = await connectEtcd({ endpoints: place.endpoints, log, ...tls });
    await compactAndClose(store, revision, placeName(place), progress);
    return;
  }
  const store = await openEndpoint(place, { log, password });
  await compactAndClose(store, revision, placeName(place), progress, () => store.compacted());
}

async function compactAndClose(
  store: EtcdStore,
  wanted: number | undefined,
  name: string,
  progress: Progress,
  spaceIsBack: () => Promise<void> = async () => undefined,
): Promise<void> {
  try {
    const before = await store.status();
    const revision = wanted ?? before.revision;
    await step(
      progress,
      `compact ${name} at revision ${revision}`,
      async () => {
        await store.compact(revision);
        await spaceIsBack();
        return store.status();
      },
      ({ dbSizeInUseBytes }) =>
        `${megabytes(before.dbSizeInUseBytes)} in use before, ${megabytes(dbSizeInUseBytes)} now`,
    );
  } finally {
    await store.close();
  }
}
