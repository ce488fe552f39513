import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, write } from 'node:fs';
import { encodeFrame, frameAt, frameHeaderBytes, frameLength, recordHeaderBytes } from './frame.ts';
import { FramedRows } from './framed-rows.ts';
import type { LogBatch } from './log.ts';

/** What the device writes at least: a flush touches as few of these as its bytes need. */
export const blockBytes = 4096;
/** A segment that is not at its full size grows by so many zeroed bytes before they are needed. */
const extentBytes = 512 * 1024;
const frameAlignment = 8;
/** A segment keeps a buffer of this size for its writes. */
const keptBufferBytes = 256 * 1024;

export const alignUp = (offset: number, to: number): number => Math.ceil(offset / to) * to;

/**
 * Where a frame of `length` bytes goes in a segment whose frames end at `end`: right behind them, unless a new block
 * means fewer blocks to write.
 */
export function placeOf(end: number, length: number): number {
  const at = alignUp(end, frameAlignment);
  const packed = Math.ceil(((at % blockBytes) + length) / blockBytes);
  return packed <= Math.ceil(length / blockBytes) ? at : alignUp(at, blockBytes);
}

/** A frame that the database does not have yet. */
export interface PlacedFrame {
  readonly at: number;
  readonly end: number;
  readonly sequence: number;
  /** Its rows among the segment's. */
  readonly firstRow: number;
  readonly endRow: number;
  readonly lastPosition: number;
}

/** What every frame tells beside its batch. */
export interface FrameIdentity {
  readonly epoch: number;
  readonly sequence: number;
  readonly previousChecksum: number;
}

const writeAt = (fd: number, bytes: Uint8Array, length: number, at: number): Promise<number> =>
  new Promise((resolve, reject) => {
    write(fd, bytes, 0, length, at, (error, written) => (error === null ? resolve(written) : reject(error)));
  });

/** All of it, in as many calls as it takes. @throws the system's error; what was written before it stays. */
async function writeWhole(fd: number, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) {
    const rest = bytes.subarray(done);
    done += await writeAt(fd, rest, rest.byteLength, at + done);
  }
}

/**
 * One file of frames, written from its beginning to its end and then, when the database has all of it, from the
 * beginning again. Its bytes are on the device before they are needed, so that a flush writes data and no metadata.
 */
export class Segment {
  readonly path: string;
  readonly fd: number;
  readonly rows = new FramedRows();
  /** Where the last frame ends. */
  end = 0;
  /** Whether it may be written from its beginning: the database has all of it, on the device. */
  isFree = true;
  /** When its first frame was written, by `performance.now()`. */
  beganAtMs = 0;
  fileBytes: number;
  bytesWritten = 0;
  #frames: PlacedFrame[] = [];
  #applied = 0;
  #kept: Uint8Array | undefined;
  /** What the block that holds `end` contains. */
  readonly #tail = new Uint8Array(blockBytes);

  /** `isSynchronous`: a write comes back when it is on the device, as if followed by fdatasync. */
  constructor(path: string, isSynchronous: boolean) {
    this.path = path;
    this.fd = openSync(path, isSynchronous ? constants.O_RDWR | constants.O_DSYNC : constants.O_RDWR);
    this.fileBytes = fstatSync(this.fd).size;
  }

  get hasPending(): boolean {
    return this.#applied < this.#frames.length;
  }

  /** Makes the file at least so long, filled with zeros, and a piece longer up to `limit`. */
  async allocate(bytes: number, limit: number): Promise<void> {
    const comfortable = Math.min(limit, bytes + extentBytes / 2);
    if (this.fileBytes >= Math.max(bytes, comfortable)) return;
    const target = Math.max(alignUp(bytes, blockBytes), Math.min(limit, alignUp(comfortable, extentBytes)));
    try {
      await writeWhole(this.fd, new Uint8Array(target - this.fileBytes), this.fileBytes);
      this.bytesWritten += target - this.fileBytes;
    } finally {
      this.fileBytes = fstatSync(this.fd).size;
    }
  }

  /** Writes the batch as a frame at `at`. It is not part of the segment until {@link adopt}, nor durable if writes are
   * not synchronous. */
  async write(at: number, batch: LogBatch, identity: FrameIdentity): Promise<number> {
    const length = frameLength(batch);
    const inBlock = at % blockBytes;
    const bytes = this.#buffer(alignUp(inBlock + length, blockBytes));
    bytes.set(this.#tail.subarray(0, inBlock));
    bytes.fill(0, inBlock + length);
    const checksum = await encodeFrame(bytes, inBlock, batch, {
      ...identity,
      length,
      fileBytes: this.fileBytes,
    });
    await writeWhole(this.fd, bytes, at - inBlock);
    this.bytesWritten += bytes.byteLength;
    this.#tail.set(bytes.subarray(bytes.byteLength - blockBytes));
    return checksum;
  }

  /** Bytes to write, with anything in them: the same again and again, unless that were too many to keep. */
  #buffer(length: number): Uint8Array {
    if (length > keptBufferBytes) return new Uint8Array(length);
    return (this.#kept ??= new Uint8Array(keptBufferBytes)).subarray(0, length);
  }

  /** The frame at `at` is durable: its rows can be read, and it is to be applied. */
  adopt(at: number, batch: LogBatch, sequence: number): void {
    if (this.isFree) this.beganAtMs = performance.now();
    this.isFree = false;
    const firstRow = this.rows.length;
    let valueAt = at + frameHeaderBytes;
    for (const { position, key, value } of batch.records) {
      valueAt += recordHeaderBytes + key.byteLength;
      this.rows.add(position, value === undefined ? -1 : valueAt, value?.byteLength ?? 0);
      valueAt += value?.byteLength ?? 0;
    }
    this.addFrame(at, at + frameLength(batch), sequence, firstRow, batch.head.position);
  }

  /** Takes over a frame whose rows, from `firstRow` on, are known. */
  addFrame(at: number, end: number, sequence: number, firstRow: number, lastPosition: number): void {
    this.isFree = false;
    this.end = end;
    this.#frames.push({ at, end, sequence, firstRow, endRow: this.rows.length, lastPosition });
  }

  /** After recovery: what lies before `end` in its block. */
  adoptTail(bytes: Uint8Array): void {
    const from = this.end - (this.end % blockBytes);
    this.#tail.set(bytes.subarray(from, this.end));
  }

  /** The next frames to apply, of about so many bytes. */
  nextFrames(bytes: number): PlacedFrame[] {
    const frames: PlacedFrame[] = [];
    const first = this.#frames[this.#applied];
    for (let i = this.#applied; i < this.#frames.length; i++) {
      const frame = this.#frames[i] as PlacedFrame;
      if (frames.length > 0 && frame.end - (first as PlacedFrame).at > bytes) break;
      frames.push(frame);
    }
    return frames;
  }

  /** The database has these frames, the next ones in order. */
  applied(frames: readonly PlacedFrame[]): void {
    const first = frames[0];
    const last = frames[frames.length - 1];
    if (first === undefined || last === undefined) return;
    this.rows.applied(first.firstRow, last.endRow);
    this.#applied += frames.length;
  }

  /** Whether the file, as the kernel has it, holds this frame whole. */
  holdsFrame(at: number, length: number, epoch: number, sequence: number): boolean {
    if (at + length > fstatSync(this.fd).size) return false;
    return frameAt(this.readValue(at, length), 0, epoch)?.sequence === sequence;
  }

  readValue(at: number, length: number): Uint8Array {
    const value = new Uint8Array(length);
    for (let done = 0; done < length;) {
      const bytes = readSync(this.fd, value, done, length - done, at + done);
      if (bytes === 0) throw new Error(`${this.path} ends before ${at + length} bytes: it was cut`);
      done += bytes;
    }
    return value;
  }

  /** Everything in it is in the database, on the device: it starts over, at no more than its full size. */
  release(limit: number): void {
    if (this.fileBytes > limit) {
      ftruncateSync(this.fd, limit);
      this.fileBytes = limit;
    }
    this.#frames = [];
    this.#applied = 0;
    this.rows.clear();
    this.end = 0;
    this.isFree = true;
  }

  close(): void {
    closeSync(this.fd);
  }
}
