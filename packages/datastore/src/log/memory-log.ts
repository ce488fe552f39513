import type { LoadedState, Log, LogBatch, LogFigures, LogHead } from './log.ts';

/**
 * A log that ends with its process: for clusters inside a test. It keeps the values of rows until a compaction
 * removes them and nothing else; the engine's index is the rest. Durable as long as the process is.
 */
export class MemoryLog implements Log {
  readonly #values = new Map<number, Uint8Array>();
  #bytes = 0;
  #appends = 0;
  #rowsRemoved = 0;

  load(): LoadedState {
    return { compactRevision: 0, leases: [], facts: [], records: nothing() };
  }

  async append(_expected: LogHead, batch: LogBatch): Promise<'appended'> {
    for (const { position, value } of batch.records) {
      if (value === undefined) continue;
      this.#values.set(position, value);
      this.#bytes += value.byteLength;
    }
    this.#appends++;
    return 'appended';
  }

  readValue(position: number): Uint8Array {
    const value = this.#values.get(position);
    if (value === undefined) throw new Error(`row ${position} of the log in memory is gone`);
    return value;
  }

  async remove(positions: readonly number[]): Promise<void> {
    for (const position of positions) {
      this.#bytes -= this.#values.get(position)?.byteLength ?? 0;
      if (this.#values.delete(position)) this.#rowsRemoved++;
    }
  }

  async reclaim(): Promise<void> {
    // Memory comes back by itself.
  }

  size(): { bytes: number; bytesInUse: number } {
    return { bytes: this.#bytes, bytesInUse: this.#bytes };
  }

  figures(): LogFigures {
    return {
      appends: this.#appends,
      bytesWritten: 0,
      checkpoints: 0,
      rowsRemoved: this.#rowsRemoved,
      bytesReclaimed: 0,
      flushSeconds: [],
      flushSecondsSum: 0,
    };
  }

  async close(): Promise<void> {
    this.#values.clear();
    this.#bytes = 0;
  }
}

// oxlint-disable-next-line require-yield -- an empty log has no piece to give
async function* nothing(): AsyncGenerator<never> {}
