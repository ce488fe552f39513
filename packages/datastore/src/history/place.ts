/**
 * Where a history lies, as people write it, and how it is opened or written there. What a kind of place needs is
 * loaded when it is used.
 */
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { resolve } from 'node:path';
import type { EtcdConnection, EtcdOptions } from '@cloudless/kube/etcd/client/client';
import type { Logger } from '@cloudless/kube/logger';
import { type Endpoint, endpointName, parseEndpoint } from '../endpoint.ts';
import type { CheckReport } from './check.ts';
import { CopyError } from './errors.ts';
import type { History, ReportProgress } from './history.ts';
import type { TargetOptions } from './sqlite-target.ts';

export type Place =
  | Endpoint
  /** An etcd snapshot file, by its absolute path. */
  | { readonly kind: 'snapshot'; readonly path: string }
  /** A running etcd, or anything that speaks its API. */
  | { readonly kind: 'etcd'; readonly endpoints: readonly string[] };

const shapes =
  'write sqlite:///path/state.db, postgres://user:password@host/database, snapshot:///path/file.db or ' +
  'https://host:2379';

/** @throws CopyError or EndpointError in a sentence that repeats no password */
export function parsePlace(text: string): Place {
  const [, scheme] = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text) ?? [];
  if (scheme === 'http' || scheme === 'https' || scheme === 'unix') {
    return { kind: 'etcd', endpoints: text.split(',') };
  }
  if (scheme === 'snapshot') {
    const [, path] = /^snapshot:\/\/(\/.*[^/])$/.exec(text) ?? [];
    if (path === undefined)
      throw new CopyError('unusable', `${text} names no file: write snapshot:///path/file.db`);
    return { kind: 'snapshot', path: decodeURIComponent(path) };
  }
  if (scheme !== undefined) return parseEndpoint(text);
  if (/^[^/]+:\d+$/.test(text)) return { kind: 'etcd', endpoints: [text] };
  const path = resolve(text);
  if (text !== '' && existsSync(path)) return { kind: isSqlite(path) ? 'sqlite' : 'snapshot', path };
  throw new CopyError('unusable', `${JSON.stringify(text)} is no file and no address: ${shapes}`);
}

export function placeName(place: Place): string {
  if (place.kind === 'etcd') return place.endpoints.join(',');
  return place.kind === 'snapshot' ? place.path : endpointName(place);
}

/** Every SQLite database begins so (sqlite.org/fileformat2.html). */
function isSqlite(path: string): boolean {
  const fd = openSync(path, 'r');
  try {
    const head = Buffer.alloc(16);
    readSync(fd, head, 0, head.length, 0);
    return head.toString('latin1') === 'SQLite format 3\0';
  } finally {
    closeSync(fd);
  }
}

export interface PlaceOptions {
  log: Logger;
  /** For places of kind etcd. */
  tls?: Pick<EtcdOptions, 'ca' | 'cert' | 'key'> | undefined;
  /** For places of kind postgres, instead of one in the URL. */
  password?: string | undefined;
  /** Take a bbolt file without a checksum too. */
  skipHashCheck?: boolean | undefined;
  report?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Opens what is there, kine's tables included, without changing it.
 *
 * @throws CopyError when nothing is there; else what the kind of place throws, in sentences
 */
export async function openHistory(place: Place, options: PlaceOptions): Promise<History> {
  switch (place.kind) {
    case 'sqlite':
      return openSqlite(place.path, options);
    case 'postgres':
      return openPostgres(place.url, options);
    case 'snapshot': {
      if (!existsSync(place.path)) throw missing(place.path);
      const { openSnapshot } = await import('../snapshot/etcd-reader.ts');
      return openSnapshot(place.path, options);
    }
    default: {
      const [store, { historyOfEtcd }] = await Promise.all([
        connect(place.endpoints, options),
        import('./etcd-history.ts'),
      ]);
      try {
        return await historyOfEtcd(placeName(place), store, options);
      } finally {
        await store.close();
      }
    }
  }
}

const missing = (path: string): CopyError =>
  new CopyError('unusable', `${path} does not exist: give the path of the file to copy from`);

async function openSqlite(path: string, { log }: PlaceOptions): Promise<History> {
  if (!existsSync(path)) throw missing(path);
  const { isKineSqlite, openKineSqlite } = await import('../kine/kine-sqlite.ts');
  if (isKineSqlite(path)) {
    const { historyOfKine } = await import('../kine/kine-history.ts');
    const table = openKineSqlite(path);
    try {
      return await historyOfKine(table);
    } catch (error) {
      await table.close();
      throw error;
    }
  }
  const [{ openSqliteLog }, { historyOfLog }] = await Promise.all([
    import('./sqlite.ts'),
    import('./log-history.ts'),
  ]);
  return historyOfLog(path, openSqliteLog({ path, log }));
}

async function openPostgres(url: string, { password }: PlaceOptions): Promise<History> {
  const { connectForReading, tablesOf } = await import('../postgres/reading.ts');
  const place = await connectForReading(url, password);
  const { address, session } = place;
  try {
    const ours = `${address.schema}.head`;
    const kine = `${url.includes('schema=') ? address.schema : 'public'}.kine`;
    const tables = await tablesOf(place, [ours, kine]);
    if (tables.has(ours)) {
      const { historyOfPostgres } = await import('./postgres-history.ts');
      return await historyOfPostgres(place);
    }
    if (tables.has(kine)) {
      const [{ historyOfKine }, { kineInPostgres }] = await Promise.all([
        import('../kine/kine-history.ts'),
        import('../kine/kine-postgres.ts'),
      ]);
      return await historyOfKine(kineInPostgres(place, kine));
    }
    throw new CopyError(
      'foreign',
      `${address.name} holds neither a datastore (${ours}) nor kine's table (${kine}): check the database's name, ` +
        'or say ?schema=NAME',
    );
  } catch (error) {
    session.end();
    throw error;
  }
}

async function connect(endpoints: readonly string[], { tls, log }: PlaceOptions): Promise<EtcdConnection> {
  const { connectEtcd } = await import('@cloudless/kube/etcd/client/client');
  return connectEtcd({ endpoints, log, ...tls });
}

/**
 * Writes a history where nothing is yet. Into a live etcd only keys, values and leases go; everywhere else all of it.
 *
 * @throws CopyError when something is there and `force` was not said
 */
export async function writeHistory(
  place: Place,
  history: History,
  options: PlaceOptions & TargetOptions,
): Promise<void> {
  switch (place.kind) {
    case 'sqlite': {
      const { writeSqlite } = await import('./sqlite-target.ts');
      return writeSqlite(place.path, history, options);
    }
    case 'postgres': {
      const { writePostgres } = await import('./postgres-target.ts');
      return writePostgres(place.url, history, options);
    }
    case 'snapshot': {
      const { writeSnapshotFile } = await import('./snapshot-target.ts');
      return writeSnapshotFile(place.path, history, options);
    }
    case 'etcd': {
      const { writeEtcd } = await import('./etcd-target.ts');
      const store = await connect(place.endpoints, options);
      try {
        await writeEtcd(placeName(place), store, history, options);
      } finally {
        await store.close();
      }
    }
  }
}

/**
 * Checks every invariant of what is there.
 *
 * @throws what {@link openHistory} throws for what cannot be read at all
 */
export async function checkPlace(place: Place, options: PlaceOptions): Promise<CheckReport> {
  const { checkHistory } = await import('./check.ts');
  if (place.kind === 'sqlite' && existsSync(place.path) && !(await isKine(place.path))) {
    const { openSqliteRows } = await import('./sqlite-rows.ts');
    const { history, findings } = await openSqliteRows(place.path, options.log);
    return checkAndClose(history, { ...options, findings });
  }
  return checkAndClose(await openHistory(place, options), options);

  async function checkAndClose(
    history: History,
    rest: Parameters<typeof checkHistory>[1],
  ): Promise<CheckReport> {
    try {
      return await checkHistory(history, rest);
    } finally {
      await history.close();
    }
  }
}

const isKine = async (path: string): Promise<boolean> =>
  (await import('../kine/kine-sqlite.ts')).isKineSqlite(path);
