import { readFileSync } from 'node:fs';
import type { PlaceOptions } from '@cloudless/datastore/history/place';
import type { ReportProgress } from '@cloudless/datastore/history/history';
import { logger } from '@cloudless/kube/logger';
import { UsageError } from '../../options.ts';
import type { Progress } from '../../progress.ts';

/** Flags of every command that works on a store. */
export interface PlaceFlags extends TlsFlags {
  endpoint: string;
  output?: string;
  skipHashCheck?: boolean;
}

export interface TlsFlags {
  cacert?: string;
  cert?: string;
  key?: string;
}

/** Reads the files that the flags name. @throws UsageError */
export function tlsOf({ cacert, cert, key }: TlsFlags): { ca?: Buffer; cert?: Buffer; key?: Buffer } {
  if ((cert === undefined) !== (key === undefined)) throw new UsageError('--cert and --key go together');
  const read = (flag: string, path: string): Buffer => {
    try {
      return readFileSync(path);
    } catch (error) {
      throw new UsageError(`${flag} ${path} cannot be read: ${(error as Error).message}`);
    }
  };
  return {
    ...(cacert !== undefined && { ca: read('--cacert', cacert) }),
    ...(cert !== undefined && { cert: read('--cert', cert) }),
    ...(key !== undefined && { key: read('--key', key) }),
  };
}

/** What opening a place needs, with progress shown. The password is the variable of PostgreSQL's own programs. */
export function placeOptions(
  flags: TlsFlags & { skipHashCheck?: boolean },
  progress: Progress,
): PlaceOptions {
  return {
    log: logger('datastore'),
    tls: tlsOf(flags),
    password: process.env['PGPASSWORD'],
    skipHashCheck: flags.skipHashCheck,
    report: showProgress(progress),
  };
}

export const showProgress =
  (progress: Progress): ReportProgress =>
  ({ records, of, bytes }) => {
    const share = of > 0 ? ` of ${of} records (${Math.floor((records / of) * 100)} %)` : ' records';
    progress.detail(records > 0 ? `${records}${share}, ${megabytes(bytes)}` : megabytes(bytes));
  };

export function wantsJson(output: string | undefined): boolean {
  if (output === undefined || output === 'text') return false;
  if (output === 'json') return true;
  throw new UsageError(`--output ${output}: expected text or json`);
}

export function megabytes(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  return bytes < 1e5 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Runs one step; how it ended is shown. */
export async function step<T>(
  progress: Progress,
  text: string,
  work: () => Promise<T>,
  detail: (result: T) => string = () => '',
): Promise<T> {
  progress.step(text);
  try {
    const result = await work();
    progress.done(detail(result));
    return result;
  } catch (error) {
    progress.fail('');
    throw error;
  }
}

/** Lines of a name and what it is. */
export function printTable(rows: ReadonlyArray<readonly [string, string | number]>): void {
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  for (const [name, value] of rows) process.stdout.write(`${name.padEnd(width)}${value}\n`);
}

export const printJson = (value: object): void =>
  void process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
