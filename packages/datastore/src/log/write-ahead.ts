import type { Logger } from '@cloudless/kube/logger';
import { NoSpaceError } from '../errors.ts';
import { FlushTimes } from './flush-times.ts';
import { frameLength } from './frame.ts';
import type { LogBatch } from './log.ts';
import { type PlacedFrame, placeOf, Segment } from './segment.ts';
import { isNoSpace } from './sqlite-file.ts';

/** Frames are applied in transactions of about so many bytes. */
const pieceBytes = 1024 * 1024;
/** A segment that took longer than this to fill is applied late: most of its rows are compacted by then. */
const slowFillMs = 60_000;
/** How full the other segment is when a slowly filled one is applied. */
const lateApplyFraction = 0.75;
const retryMs = 1000;

/** A run of frames of one segment, to be applied to the database in one transaction. */
export interface Piece {
  /** 0 or 1. */
  readonly segment: number;
  readonly from: number;
  readonly to: number;
  /** Offsets of the frames. */
  readonly frames: Float64Array<ArrayBuffer>;
  /** Sequence of the last frame. */
  readonly sequence: number;
  /** Positions of rows that a compaction took away meanwhile. */
  readonly dropped: Float64Array<ArrayBuffer>;
}

export interface WriteAheadOptions {
  path: string;
  log: Logger;
  segments: readonly [Segment, Segment];
  /** Which of them is being filled. */
  current: number;
  /** Full size of a segment. A batch that is larger makes its segment longer for once. */
  segmentBytes: number;
  epoch: number;
  /** Of the last frame written. */
  sequence: number;
  checksum: number;
  /** Makes what was written durable; absent when the segments' writes are synchronous. */
  flush: ((fd: number) => Promise<void>) | undefined;
  /** Called once, before the first frame: marks the database as one that has segments. */
  begin: () => Promise<void>;
  /** Brings a piece into the database. @throws NoSpaceError when the disk is full. */
  apply: (piece: Piece) => Promise<void>;
  /** Makes everything applied so far durable in the database. */
  settle: () => Promise<void>;
}

/**
 * The two segments in front of the database. A batch is acknowledged when its frame is on the device; the database
 * gets it later. One segment is filled while the other is applied; who finds both full waits.
 */
export class WriteAhead {
  readonly flushTimes = new FlushTimes();
  readonly #options: WriteAheadOptions;
  #current: number;
  #sequence: number;
  #checksum: number;
  #begun = false;
  #applying: Promise<void> | undefined;
  #noApplyBeforeMs = 0;
  /** No row above was handed over to be applied. */
  #handedOver = 0;
  /** Why applying failed for good: the next append says so. */
  #broken: unknown;

  constructor(options: WriteAheadOptions) {
    this.#options = options;
    this.#current = options.current;
    this.#sequence = options.sequence;
    this.#checksum = options.checksum;
  }

  get bytesWritten(): number {
    const [first, second] = this.#options.segments;
    return first.bytesWritten + second.bytesWritten;
  }

  /** Bytes of values that the database does not have yet. */
  get pendingBytes(): number {
    const [first, second] = this.#options.segments;
    return first.rows.bytes + second.rows.bytes;
  }

  /** Whether the database has everything. */
  get isApplied(): boolean {
    return this.#options.segments.every(({ hasPending }) => !hasPending);
  }

  /** Resolves when the batch is on the device. @throws NoSpaceError: nothing was written */
  async append(batch: LogBatch): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken;
    const { epoch, path } = this.#options;
    const { segment, at } = await this.#place(frameLength(batch)).catch((error: unknown) => {
      throw isNoSpace(error) ? new NoSpaceError(path, error) : error;
    });
    const sequence = this.#sequence + 1;
    const start = performance.now();
    try {
      const identity = { epoch, sequence, previousChecksum: this.#checksum };
      const checksum = await segment.write(at, batch, identity);
      await this.#options.flush?.(segment.fd);
      this.#checksum = checksum;
    } catch (error) {
      // A frame that is whole may be there after the next start, whatever was wrong: it is not refused, it is fatal.
      if (!isNoSpace(error) || segment.holdsFrame(at, frameLength(batch), epoch, sequence)) throw error;
      throw new NoSpaceError(path, error);
    }
    this.flushTimes.observe((performance.now() - start) / 1000);
    segment.adopt(at, batch, sequence);
    this.#sequence = sequence;
    this.#applyLate();
  }

  async #place(length: number): Promise<{ segment: Segment; at: number }> {
    if (!this.#begun) await this.#begin();
    return this.#room(length);
  }

  /** Both files get their first bytes before the database says that it has them: an empty one was cut. */
  async #begin(): Promise<void> {
    const { segments, segmentBytes, flush, begin } = this.#options;
    for (const segment of segments) {
      await segment.allocate(1, segmentBytes);
      await flush?.(segment.fd);
    }
    await begin();
    this.#begun = true;
  }

  get #other(): Segment {
    return this.#options.segments[1 - this.#current] as Segment;
  }

  /** A place for a frame of `length` bytes, its blocks allocated. */
  async #room(length: number): Promise<{ segment: Segment; at: number }> {
    const { segments, segmentBytes } = this.#options;
    for (;;) {
      const segment = segments[this.#current] as Segment;
      const at = placeOf(segment.end, length);
      if (at === 0 || at + length <= segmentBytes) {
        try {
          await segment.allocate(at + length, segmentBytes);
          return { segment, at };
        } catch (error) {
          if (!isNoSpace(error)) throw error;
          // What is allocated already may do, here or in the other.
          if (at + length <= segment.fileBytes) return { segment, at };
          if (at === 0) throw error;
        }
      }
      await this.#switch();
    }
  }

  async #switch(): Promise<void> {
    if (!this.#other.isFree) await this.#apply(this.#other);
    const full = this.#options.segments[this.#current] as Segment;
    this.#current = 1 - this.#current;
    if (performance.now() - full.beganAtMs < slowFillMs) this.#applyBehind(full);
  }

  #applyLate(): void {
    const { segments, segmentBytes } = this.#options;
    const { end } = segments[this.#current] as Segment;
    if (!this.#other.isFree && end > segmentBytes * lateApplyFraction) this.#applyBehind(this.#other);
  }

  #applyBehind(segment: Segment): void {
    if (this.#applying !== undefined || performance.now() < this.#noApplyBeforeMs) return;
    this.#apply(segment).catch((error: unknown) => {
      this.#noApplyBeforeMs = performance.now() + retryMs;
      const { path, log } = this.#options;
      const message = error instanceof Error ? error.message : String(error);
      if (error instanceof NoSpaceError) {
        log.warn({ error: message, path }, 'a segment could not be applied to the database yet');
      } else {
        this.#broken = error;
        log.error({ error: message, path }, 'a segment could not be applied to the database');
      }
    });
  }

  /** Brings the segment into the database and frees it; joins whoever does that already. */
  async #apply(segment: Segment): Promise<void> {
    while (this.#applying !== undefined) await this.#applying;
    if (segment.isFree) return;
    this.#applying = this.#applyAll(segment).finally(() => {
      this.#applying = undefined;
    });
    await this.#applying;
  }

  async #applyAll(segment: Segment): Promise<void> {
    const { segments, apply, settle, segmentBytes } = this.#options;
    const index = segments.indexOf(segment);
    while (segment.hasPending) {
      const frames = segment.nextFrames(pieceBytes);
      const first = frames[0] as PlacedFrame;
      const last = frames[frames.length - 1] as PlacedFrame;
      this.#handedOver = last.lastPosition;
      await apply({
        segment: index,
        from: first.at,
        to: last.end,
        frames: Float64Array.from(frames, ({ at }) => at),
        sequence: last.sequence,
        dropped: segment.rows.droppedIn(first.firstRow, last.endRow),
      });
      segment.applied(frames);
    }
    await settle();
    segment.release(segmentBytes);
  }

  /** The value of a row that the database does not have yet. */
  readValue(position: number): Uint8Array | undefined {
    for (const segment of this.#options.segments) {
      const place = segment.rows.find(position);
      if (place !== undefined) return segment.readValue(place.at, place.bytes);
    }
    return undefined;
  }

  /** Leaves these rows out when their frames are applied. Returns those that the database may have. */
  drop(positions: Iterable<number>): number[] {
    const rest: number[] = [];
    for (const position of positions) {
      const isHere = this.#options.segments.some(({ rows }) => rows.drop(position));
      if (!isHere || position <= this.#handedOver) rest.push(position);
    }
    return rest;
  }

  /** Brings everything into the database. Nothing may be appended any more. */
  async applyAll(): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken;
    await this.#apply(this.#other);
    await this.#apply(this.#options.segments[this.#current] as Segment);
  }

  /** Waits for what is under way and closes the files. */
  async close(): Promise<void> {
    await this.#applying?.catch(() => undefined);
    for (const segment of this.#options.segments) segment.close();
  }
}
