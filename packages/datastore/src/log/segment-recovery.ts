import { DatastoreFileError } from '../errors.ts';
import { frameAt, type FrameHeader, magicBytes } from './frame.ts';
import { alignUp, blockBytes } from './segment.ts';

/** A segment's file as it was found. */
export interface SegmentFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

export interface FoundFrame extends FrameHeader {
  readonly at: number;
}

export interface Recovered {
  /** For each file, the frames that the database lacks, in order. */
  readonly pending: readonly (readonly FoundFrame[])[];
  /** The last frame of all; undefined when the database has everything. */
  readonly last: FoundFrame | undefined;
  /** Where a write was cut off: it had not been acknowledged, and is gone. */
  readonly torn: { readonly path: string; readonly at: number } | undefined;
}

/** The frame behind `end`: right there or, if it would not have fitted, in the next block. */
function frameAfter(bytes: Uint8Array, end: number, epoch: number): FoundFrame | undefined {
  const near = alignUp(end, 8);
  for (const at of new Set([near, alignUp(near, blockBytes)])) {
    const header = frameAt(bytes, at, epoch);
    if (header !== undefined) return { ...header, at };
  }
  return undefined;
}

/** The unbroken run of frames from the beginning of the file. */
function chainOf(bytes: Uint8Array, epoch: number): FoundFrame[] {
  const chain: FoundFrame[] = [];
  let end = 0;
  for (;;) {
    const frame = frameAfter(bytes, end, epoch);
    const before = chain[chain.length - 1];
    if (frame === undefined || (before !== undefined && !follows(frame, before))) return chain;
    chain.push(frame);
    end = frame.at + frame.length;
  }
}

const follows = (frame: FoundFrame, before: FoundFrame): boolean =>
  frame.sequence === before.sequence + 1 && frame.previousChecksum === before.checksum;

/**
 * Reads what a process that did not close in order left in its two segments: every frame after `applied`, the last
 * that the database has.
 *
 * Only the very last write may be cut off, since each is flushed before the next begins. So a frame that is missing
 * or damaged with a later one behind it was acknowledged, and the segment is refused.
 *
 * @throws DatastoreFileError
 */
export function recoverSegments(
  path: string,
  files: readonly SegmentFile[],
  epoch: number,
  applied: number,
): Recovered {
  const chains = files.map(({ bytes }) => chainOf(bytes, epoch));
  const pending = chains.map((chain) => chain.filter(({ sequence }) => sequence > applied));
  const ordered = pending.flat().sort((a, b) => a.sequence - b.sequence);
  let before: FoundFrame | undefined;
  for (const frame of ordered) {
    const broken = before === undefined ? frame.sequence !== applied + 1 : !follows(frame, before);
    if (broken) {
      const file = files[pending.findIndex((frames) => frames.includes(frame))] as SegmentFile;
      throw damaged(path, file.path, `what comes before the write at byte ${frame.at} is missing`);
    }
    before = frame;
  }
  const last = ordered[ordered.length - 1];
  const lastSequence = last?.sequence ?? applied;
  let torn: Recovered['torn'];
  for (const [i, file] of files.entries()) {
    const frames = pending[i] as FoundFrame[];
    const final = frames[frames.length - 1];
    if (final !== undefined && final.fileBytes > file.bytes.byteLength) {
      throw damaged(path, file.path, `it has ${file.bytes.byteLength} of ${final.fileBytes} bytes`);
    }
    const later = laterFrame(file.bytes, final === undefined ? 0 : final.at + 8, epoch, lastSequence);
    if (later !== undefined) {
      throw damaged(path, file.path, `a write before byte ${later.at} cannot be read`);
    }
    if (final !== undefined && final === last) {
      const end = alignUp(final.at + final.length, 8);
      const at = [end, alignUp(end, blockBytes)].find((offset) => beginsAt(file.bytes, offset));
      // What the segment held before has lower sequences and whole checksums.
      if (at !== undefined && frameAt(file.bytes, at, epoch) === undefined) torn = { path: file.path, at };
    }
  }
  return { pending, last, torn };
}

const beginsAt = (bytes: Uint8Array, at: number): boolean =>
  magicBytes.equals(bytes.subarray(at, at + magicBytes.length));

/** A whole frame from `from` on that is later than `sequence`. */
function laterFrame(
  bytes: Uint8Array,
  from: number,
  epoch: number,
  sequence: number,
): FoundFrame | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = buffer.indexOf(magicBytes, from); at >= 0; at = buffer.indexOf(magicBytes, at + 1)) {
    const header = at % 8 === 0 ? frameAt(bytes, at, epoch) : undefined;
    if (header !== undefined && header.sequence > sequence) return { ...header, at };
  }
  return undefined;
}

/** @returns the error for a segment that lacks acknowledged writes */
export function damaged(path: string, segment: string, what: string): DatastoreFileError {
  return new DatastoreFileError(
    path,
    'corrupt',
    `the datastore ${path} is damaged: its segment ${segment} holds writes that the database does not have yet, ` +
      `and ${what}. Put the file back as it was, restore the datastore from a backup, or move ${path}* away to ` +
      'begin empty',
  );
}
