import type { LogRecord } from '../log/log.ts';
import { bytesOf } from '../mvcc/key.ts';
import type { ValueSource } from '../mvcc/value-reader.ts';
import type { Version } from '../mvcc/version.ts';
import type { MeasuredHistory, RecordSize } from './history.ts';
import type { Retained } from './retained.ts';

/** Sizes between two turns of the event loop. */
const stepSizes = 8192;
/** A piece of records ends when it holds so much, or took so long. */
const pieceBytes = 256 * 1024;
const sliceMs = 4;
/** Values asked for at a time of a log that answers later. */
const distantValues = 500;
const distantBytes = 4 * 1024 * 1024;

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export interface StateHistoryOptions {
  readonly name: string;
  readonly retained: Retained;
  readonly values: ValueSource & {
    /** The value if it is in memory. */
    hot?(version: Version): Uint8Array | undefined;
  };
  readonly close: () => Promise<void>;
}

/** The history that a state machine's versions are, with values read from its log as they are asked for. */
export function historyOfState({ name, retained, values, close }: StateHistoryOptions): MeasuredHistory {
  const { head, leases, versions } = retained;
  return {
    name,
    revision: head.revision,
    compactRevision: head.compactRevision,
    leases,
    recordCount: versions.length,
    records: () => recordsOf(versions, values),
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
  values: StateHistoryOptions['values'],
): AsyncGenerator<readonly LogRecord[]> {
  for (let at = 0; at < versions.length;) {
    const piece =
      values.readValues === undefined
        ? await readPiece(versions, at, values)
        : await readDistant(versions, at, values, values.readValues);
    at += piece.length;
    yield piece;
    await nextTurn();
  }
}

async function readPiece(
  versions: readonly Version[],
  from: number,
  values: StateHistoryOptions['values'],
): Promise<LogRecord[]> {
  const piece: LogRecord[] = [];
  const until = performance.now() + sliceMs;
  let bytes = 0;
  for (let at = from; at < versions.length && bytes < pieceBytes; at++) {
    if (at > from && performance.now() > until) break;
    const version = versions[at] as Version;
    const read = version.isTombstone
      ? undefined
      : (values.hot?.(version) ?? values.readValue(version.position));
    const value = read instanceof Promise ? await read : read;
    piece.push(recordOf(version, value));
    bytes += value?.byteLength ?? 0;
  }
  return piece;
}

async function readDistant(
  versions: readonly Version[],
  from: number,
  values: StateHistoryOptions['values'],
  readValues: NonNullable<ValueSource['readValues']>,
): Promise<LogRecord[]> {
  const found: Array<Uint8Array | undefined> = [];
  const cold: number[] = [];
  let bytes = 0;
  for (let at = from; at < versions.length && cold.length < distantValues && bytes < distantBytes; at++) {
    const version = versions[at] as Version;
    const value = version.isTombstone ? undefined : values.hot?.(version);
    if (!version.isTombstone && value === undefined) cold.push(at);
    found.push(value);
    bytes += Math.max(0, version.valueBytes);
  }
  const read = await readValues(cold.map((at) => (versions[at] as Version).position));
  for (const [i, at] of cold.entries()) found[at - from] = read[i];
  return found.map((value, i) => recordOf(versions[from + i] as Version, value));
}

function recordOf(version: Version, value: Uint8Array | undefined): LogRecord {
  const { key, position, revision, createRevision, lease } = version;
  return { position, revision, key: bytesOf(key), createRevision, version: version.version, lease, value };
}
