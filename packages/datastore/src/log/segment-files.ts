import { existsSync, readFileSync } from 'node:fs';
import { keyOf } from '../mvcc/key.ts';
import { changesOf, recordsOf } from './frame.ts';
import type { FactChange, LeaseChange, LoadedRecord } from './log.ts';
import { Segment } from './segment.ts';
import { damaged, type FoundFrame, recoverSegments } from './segment-recovery.ts';
import { segmentPath } from './sqlite-file.ts';

/** What the segments hold that the database lacks, in order. */
export interface PendingLog {
  readonly records: readonly LoadedRecord[];
  readonly leases: readonly LeaseChange[];
  readonly facts: readonly FactChange[];
  /** 0: no compaction among it. */
  readonly compactRevision: number;
}

export interface OpenedSegments {
  readonly segments: readonly [Segment, Segment];
  /** Which one goes on being filled. */
  readonly current: number;
  /** Of the last frame. */
  readonly sequence: number;
  readonly checksum: number;
  readonly pending: PendingLog;
  /** Where a write that had not been acknowledged was cut off. */
  readonly torn: { readonly path: string; readonly at: number } | undefined;
}

/**
 * Opens the two segments of the database at `path`. `mark` is what the database says of them: undefined when it was
 * closed in order, so that whatever is in them is in the database too.
 *
 * @throws DatastoreFileError when they lack what was acknowledged
 */
export function openSegments(
  path: string,
  mark: { readonly epoch: number; readonly applied: number } | undefined,
  isSynchronous: boolean,
): OpenedSegments {
  const paths = [segmentPath(path, 0), segmentPath(path, 1)];
  const open = (segment: string): Segment => new Segment(segment, isSynchronous);
  if (mark === undefined) {
    const segments = [open(paths[0] as string), open(paths[1] as string)] as const;
    const pending = { records: [], leases: [], facts: [], compactRevision: 0 };
    return { segments, current: 0, sequence: 0, checksum: 0, pending, torn: undefined };
  }
  const files = paths.map((segment) => {
    if (!existsSync(segment)) throw damaged(path, segment, 'it is missing');
    const bytes = readFileSync(segment);
    if (bytes.length === 0) throw damaged(path, segment, 'it is empty');
    return { path: segment, bytes };
  });
  const { pending, last, torn } = recoverSegments(path, files, mark.epoch, mark.applied);
  const segments = paths.map(open);
  const order = [0, 1].sort((a, b) => (pending[a]?.[0]?.sequence ?? 0) - (pending[b]?.[0]?.sequence ?? 0));
  const taken: Taken = { records: [], leases: [], facts: [], compactRevision: 0 };
  for (const i of order) {
    takeOver(
      segments[i] as Segment,
      (files[i] as { bytes: Buffer }).bytes,
      pending[i] as FoundFrame[],
      taken,
    );
  }
  return {
    segments: [segments[0] as Segment, segments[1] as Segment],
    current: order[1] as number,
    sequence: last?.sequence ?? mark.applied,
    checksum: last?.checksum ?? 0,
    pending: taken,
    torn,
  };
}

interface Taken {
  records: LoadedRecord[];
  leases: LeaseChange[];
  facts: FactChange[];
  compactRevision: number;
}

function takeOver(segment: Segment, bytes: Buffer, frames: readonly FoundFrame[], taken: Taken): void {
  for (const frame of frames) {
    const firstRow = segment.rows.length;
    const records = recordsOf(bytes, frame.at, frame);
    let next = records.next();
    for (; !next.done; next = records.next()) {
      const { position, revision, key, createRevision, version, lease, valueAt, valueBytes } = next.value;
      segment.rows.add(position, valueAt, valueBytes);
      taken.records.push({
        position,
        revision,
        key: keyOf(key),
        createRevision,
        version,
        lease,
        valueBytes: valueAt < 0 ? -1 : valueBytes,
      });
    }
    const changes = changesOf(bytes, next.value, frame);
    taken.leases.push(...changes.leases);
    taken.facts.push(...changes.facts);
    if (frame.compactRevision > 0) taken.compactRevision = frame.compactRevision;
    segment.addFrame(frame.at, frame.at + frame.length, frame.sequence, firstRow, frame.position);
  }
  segment.adoptTail(bytes);
}
