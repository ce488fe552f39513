import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import type { EventSink } from './event.ts';

/**
 * `batch`: requests do not wait. `blocking`: they wait until their event is written, and go on when it cannot be.
 * `blocking-strict`: a request whose first event cannot be written is refused.
 */
export const modes = ['batch', 'blocking', 'blocking-strict'] as const;
export type Mode = (typeof modes)[number];

/** Where lines end up. */
export interface LineWriter {
  append(bytes: Buffer): Promise<void>;
  close(): Promise<void>;
}

/** Events that wait for the disk; more are dropped, so that a full or slow disk takes no memory from the server. */
const maxWaitingBytes = 64 * 1024 * 1024;
/** Events are gathered so long before they are written together. */
const gatherMs = 100;
const complainEveryMs = 10_000;

interface Waiting {
  bytes: Buffer;
  done: PromiseWithResolvers<void> | undefined;
}

/** Writes events as JSON lines, in order, many at a time (upstream: plugin/pkg/audit/log and buffered). */
export class LogBackend implements EventSink {
  readonly #writer: LineWriter;
  readonly #mode: Mode;
  readonly #clock: Clock;
  readonly #log: Logger;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;
  #timer: ClockTimer | undefined;
  #complainedMs = -Infinity;
  #closed = false;
  /** Events written and given up, for metrics. */
  written = 0;
  lost = 0;

  constructor(options: { writer: LineWriter; mode: Mode; clock: Clock; log: Logger }) {
    this.#writer = options.writer;
    this.#mode = options.mode;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  write(bytes: Buffer): Promise<void> | void {
    if (this.#closed || this.#waitingBytes + bytes.length > maxWaitingBytes) {
      const why = this.#closed ? 'the log is closed' : 'too many events wait to be written';
      this.#drop(1, new Error(why));
      if (this.#mode === 'blocking-strict') throw new Error(`failed to store audit event: ${why}`);
      return undefined;
    }
    const done = this.#mode === 'batch' ? undefined : Promise.withResolvers<void>();
    this.#waiting.push({ bytes, done });
    this.#waitingBytes += bytes.length;
    if (done) this.#flush();
    else if (!this.#writing) this.#timer ??= this.#clock.setTimeout(() => this.#flush(), gatherMs);
    return done?.promise;
  }

  /** Writes what waits and closes. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#flush();
    while (this.#writing) await this.#writing;
    await this.#writer.close();
  }

  #flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#writing || this.#waiting.length === 0) return;
    this.#writing = this.#writeAll().finally(() => {
      this.#writing = undefined;
      this.#flush();
    });
  }

  async #writeAll(): Promise<void> {
    const batch = this.#waiting;
    this.#waiting = [];
    const bytes = Buffer.concat(batch.map((each) => each.bytes));
    try {
      await this.#writer.append(bytes);
      this.written += batch.length;
      for (const { done } of batch) done?.resolve();
    } catch (error) {
      this.#drop(batch.length, error);
      for (const { done } of batch) {
        if (this.#mode === 'blocking-strict') done?.reject(new Error('failed to store audit event'));
        else done?.resolve();
      }
    } finally {
      this.#waitingBytes -= bytes.length;
    }
  }

  #drop(events: number, error: unknown): void {
    this.lost += events;
    const now = this.#clock.monotonicMs();
    if (now - this.#complainedMs < complainEveryMs) return;
    this.#complainedMs = now;
    this.#log.error({ err: error, lost: this.lost }, 'audit events cannot be written and are lost');
  }
}
