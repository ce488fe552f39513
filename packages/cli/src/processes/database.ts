import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Datastore } from '@cloudless/datastore';
import { openPostgresDatastore, PostgresError } from '@cloudless/datastore/postgres/open';
import type { Clock } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import { MachineError } from '../machine.ts';
import type { DatabaseOptions } from '../options.ts';
import { awaitStore } from './await-store.ts';

export interface OpenDatabaseOptions {
  database: DatabaseOptions;
  /** PEM: the authority that signs this cluster's certificates. A database belongs to one cluster. */
  clusterCa: string;
  clock: Clock;
  log: Logger;
  /** Aborted when nobody wants the store any more. */
  signal: AbortSignal;
  /** Told once, when the database does not answer at once. */
  onWaiting: (why: string) => void;
}

/**
 * Opens the datastore in the database that `--datastore-endpoint` names. One that does not answer yet is waited for;
 * what waiting cannot mend is said at once. Undefined when it is to stop before.
 *
 * @throws MachineError naming the database and the remedy
 */
export async function openDatabase(options: OpenDatabaseOptions): Promise<Datastore | undefined> {
  const { database, clock, log, signal, onWaiting } = options;
  const password = passwordOf(database);
  return awaitStore({
    async open() {
      const store = await openPostgresDatastore({ url: database.url, password, clock, log });
      try {
        await claim(store, options);
        return store;
      } catch (error) {
        await store.close();
        throw error;
      }
    },
    mayPass(error) {
      if (!(error instanceof PostgresError)) throw error;
      if (error.reason === 'unreachable' || error.reason === 'starting') return error.message;
      throw new MachineError(`--datastore-endpoint: ${error.message}`);
    },
    flag: '--datastore-endpoint',
    clock,
    signal,
    onWaiting,
  });
}

/** Beside what the API server stores. */
const ownerKey = Buffer.from('/cloudless/cluster-ca');

/**
 * Makes the database this cluster's, or finds that it is: two clusters in one would undo each other's work.
 *
 * @throws MachineError when it is another's
 */
async function claim(store: Datastore, { clusterCa, database }: OpenDatabaseOptions): Promise<void> {
  const { fingerprint256 } = new X509Certificate(clusterCa);
  const read = { range: { key: ownerKey } };
  const { responses } = await store.txn({
    compare: [{ key: ownerKey, target: 'create', result: 'equal', operand: 0 }],
    success: [{ put: { key: ownerKey, value: Buffer.from(fingerprint256) } }, read],
    failure: [read],
  });
  const last = responses.at(-1);
  const owner = last !== undefined && 'range' in last ? last.range.kvs[0]?.value : undefined;
  if (Buffer.from(owner ?? []).toString() === fingerprint256) return;
  throw new MachineError(
    `--datastore-endpoint ${database.url}: it holds another cluster, whose certificates are signed by another ` +
      "authority. Give this one a database of its own (or add schema=NAME), or copy that one's certificates here first",
  );
}

function passwordOf({ passwordFile }: DatabaseOptions): string | undefined {
  // The variable of PostgreSQL's own programs.
  if (passwordFile === undefined) return process.env['PGPASSWORD'];
  try {
    return readFileSync(passwordFile, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    throw new MachineError(`--datastore-password-file ${passwordFile}: ${(error as Error).message}`);
  }
}
