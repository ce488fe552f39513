import { openHistory, parsePlace, placeName } from '@cloudless/datastore/history/place';
import { connectEtcd } from '@cloudless/kube/etcd/client/client';
import { Progress } from '../../progress.ts';
import {
  megabytes,
  type PlaceFlags,
  placeOptions,
  printJson,
  printTable,
  step,
  wantsJson,
} from './place-options.ts';

/** `cloudless datastore status`. */
export async function status(flags: PlaceFlags): Promise<void> {
  const place = parsePlace(flags.endpoint);
  const isJson = wantsJson(flags.output);
  const progress = new Progress();
  const name = placeName(place);
  const found = await step(progress, `look at ${name}`, () =>
    place.kind === 'etcd' ? ofServer(place.endpoints, flags, progress) : ofStore(flags, progress),
  );
  if (isJson) return printJson({ endpoint: name, ...found });
  const rows: Array<[string, string | number]> = Object.entries(found).map(([key, value]) => [
    words[key] ?? key,
    key.endsWith('Bytes')
      ? megabytes(value as number)
      : Array.isArray(value)
        ? value.join(', ') || 'none'
        : value,
  ]);
  printTable([['endpoint', name], ...rows]);
}

const words: Record<string, string> = {
  compactRevision: 'history from',
  sizeBytes: 'size',
  inUseBytes: 'in use',
};

type Found = Record<string, string | number | string[]>;

async function ofServer(endpoints: readonly string[], flags: PlaceFlags, progress: Progress): Promise<Found> {
  const { log, tls } = placeOptions(flags, progress);
  const store = await connectEtcd({ endpoints, log, ...tls });
  try {
    const everything = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0), countOnly: true };
    const [{ version, revision, dbSizeBytes, dbSizeInUseBytes }, { count }, leases, alarms] =
      await Promise.all([store.status(), store.range(everything), store.leaseLeases(), store.alarms()]);
    return {
      version: `etcd API ${version}`,
      revision,
      keys: count,
      leases: leases.length,
      sizeBytes: dbSizeBytes,
      inUseBytes: dbSizeInUseBytes,
      alarms: alarms.map(({ alarm }) => alarm.toUpperCase()),
    };
  } finally {
    await store.close();
  }
}

async function ofStore(flags: PlaceFlags, progress: Progress): Promise<Found> {
  const history = await openHistory(parsePlace(flags.endpoint), placeOptions(flags, progress));
  try {
    const { revision, compactRevision, recordCount, leases } = history;
    return { revision, compactRevision, records: recordCount, leases: leases.length };
  } finally {
    await history.close();
  }
}
