import { resolve } from 'node:path';
import { writeStream } from '@cloudless/datastore/history/snapshot-target';
import {
  openHistory,
  parsePlace,
  placeName,
  type Place,
  writeHistory,
} from '@cloudless/datastore/history/place';
import { openSnapshot, type SnapshotHistory } from '@cloudless/datastore/snapshot/etcd-reader';
import { connectEtcd } from '@cloudless/kube/etcd/client/client';
import { Progress } from '../../progress.ts';
import { megabytes, type PlaceFlags, placeOptions, printJson, step, wantsJson } from './place-options.ts';

export interface SnapshotFlags extends PlaceFlags {
  force?: boolean;
}

/** `cloudless datastore snapshot FILE`: of a running server, a file or a database. */
export async function snapshot(file: string, flags: SnapshotFlags): Promise<void> {
  const path = resolve(file);
  const place = parsePlace(flags.endpoint);
  const isJson = wantsJson(flags.output);
  const progress = new Progress();
  await step(progress, `save ${placeName(place)} as ${path}`, () => save(place, path, flags, progress));
  // Read as a restore would: a snapshot that cannot be is found today.
  const found = await step(progress, 'verify it', () =>
    openSnapshot(path, { report: placeOptions(flags, progress).report }),
  );
  await found.close();
  if (isJson) printJson(describe(path, found));
  else
    process.stdout.write(
      `${path}: revision ${found.revision}, ${found.recordCount} records, ${megabytes(found.fileBytes)}, SHA-256 ${found.sha256}\n`,
    );
}

async function save(place: Place, path: string, flags: SnapshotFlags, progress: Progress): Promise<void> {
  const options = { ...placeOptions(flags, progress), force: flags.force };
  if (place.kind === 'etcd') {
    // As it comes: the file is the server's own.
    const store = await connectEtcd({ endpoints: place.endpoints, log: options.log, ...options.tls });
    try {
      await writeStream(path, store.snapshot(), options);
    } finally {
      await store.close();
    }
    return;
  }
  const history = await openHistory(place, options);
  try {
    await writeHistory({ kind: 'snapshot', path }, history, options);
  } finally {
    await history.close();
  }
}

function describe(path: string, found: SnapshotHistory): object {
  const { revision, compactRevision, recordCount, leases, fileBytes, sha256 } = found;
  return {
    path,
    revision,
    compactRevision,
    records: recordCount,
    leases: leases.length,
    bytes: fileBytes,
    sha256,
  };
}
