import type { LogRecord } from '../log/log.ts';
import { bytesOf } from '../mvcc/key.ts';
import type { Version } from '../mvcc/version.ts';
import type { MeasuredHistory, RecordSize } from './history.ts';
import type { Retained } from './retained.ts';

/** Sizes between two turns of the event loop. */
const stepSizes = 8192;
/** A piece of records ends when it holds so much, or took so long. */
const pieceBytes = 256 * 1024;
const sliceMs = 4;
/** Reads under way at a time in a log that answers later. */
const readsAtOnce = 64;

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export interface StateHistoryOptions {
  readonly name: string;
  readonly retained: Retained;
  /** The value of a version that is no tombstone. */
  readonly readValue: (version: Version) => Uint8Array | Promise<Uint8Array>;
  readonly close: () => Promise<void>;
}

/** The history that a state machine's versions are, with values read from its log as they are asked for. */
export function historyOfState({ name, retained, readValue, close }: StateHistoryOptions): MeasuredHistory {
  const { head, leases, versions } = retained;
  return {
    name,
    revision: head.revision,
    compactRevision: head.compactRevision,
    leases,
    recordCount: versions.length,
    records: () => recordsOf(versions, readValue),
    sizes: () => sizesOf(versions),
    close,
  };
}

async function* sizesOf(versions: readonly Version[]): AsyncGenerator<readonly RecordSize[]> {
  for (let from = 0; from < versions.length; from += stepSizes) {
    yield versions.slice(from, from + stepSizes).map(sizeOf);
    await nextTurn();
  }
}

const sizeOf = ({ key, revision, createRevision, version, lease, valueBytes }: Version): RecordSize => ({
  keyBytes: key.length,
  valueBytes,
  revision,
  createRevision,
  version,
  lease,
});

async function* recordsOf(
  versions: readonly Version[],
  readValue: StateHistoryOptions['readValue'],
): AsyncGenerator<readonly LogRecord[]> {
  for (let at = 0; at < versions.length;) {
    const piece: LogRecord[] = [];
    const until = performance.now() + sliceMs;
    let bytes = 0;
    do {
      const version = versions[at] as Version;
      const value = version.isTombstone ? undefined : readValue(version);
      if (value instanceof Promise) break;
      piece.push(recordOf(version, value));
      bytes += value?.byteLength ?? 0;
      at++;
    } while (at < versions.length && bytes < pieceBytes && performance.now() < until);
    if (piece.length > 0) {
      yield piece;
      await nextTurn();
    } else {
      // The log answers later: many are asked at once.
      const group = versions.slice(at, at + readsAtOnce);
      at += group.length;
      yield await Promise.all(
        group.map(async (version) =>
          recordOf(version, version.isTombstone ? undefined : await readValue(version)),
        ),
      );
    }
  }
}

function recordOf(version: Version, value: Uint8Array | undefined): LogRecord {
  const { key, position, revision, createRevision, lease } = version;
  return { position, revision, key: bytesOf(key), createRevision, version: version.version, lease, value };
}
