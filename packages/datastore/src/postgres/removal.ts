import type { Clock } from '@cloudless/kube/clock';
import type { Link } from './link.ts';
import type { KnownHead } from './statements.ts';

const rowsPerStatement = 2000;
/** Between two of them, so that appends and others' reads go on as if nothing was. */
const restMs = 5;
/** Time for the other servers to learn of a compaction before its rows go: who learns later has to look again. */
const delayMs = 2000;

export interface RemovalOptions {
  link: Link;
  clock: Clock;
  /** Whether this server is the one that removes rows. */
  mayRemove: () => boolean;
}

/**
 * Removes the rows of compacted history. All servers find out which ones these are; the lessor removes them, and
 * the others remember them until that is done, since each may be the lessor next.
 */
export class Removal {
  readonly #options: RemovalOptions;
  #remembered: Array<{ compactRevision: number; positions: readonly number[] }> = [];
  #removedRevision = 0;
  rowsRemoved = 0;

  constructor(options: RemovalOptions) {
    this.#options = options;
  }

  /** Forgets what another server has removed. */
  learned({ removedRevision }: KnownHead): void {
    if (removedRevision <= this.#removedRevision) return;
    this.#removedRevision = removedRevision;
    this.#remembered = this.#remembered.filter(({ compactRevision }) => compactRevision > removedRevision);
  }

  /** Removes these and what is remembered, if it is this server's turn. @throws when the database is lost */
  async remove(
    positions: readonly number[],
    { compactRevision }: KnownHead,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#pause(delayMs, signal);
    if (signal.aborted) return;
    if (!this.#options.mayRemove()) {
      this.#remembered.push({ compactRevision, positions });
      return;
    }
    const due = this.#remembered.flatMap((entry) => entry.positions);
    const rows = [...due, ...positions].sort((a, b) => a - b);
    // Told before the first is gone: who has not come so far must not trust what it finds.
    await this.#run(
      'UPDATE head SET removing_revision = greatest(removing_revision, $1)',
      String(compactRevision),
    );
    for (let at = 0; at < rows.length && !signal.aborted; at += rowsPerStatement) {
      const piece = rows.slice(at, at + rowsPerStatement);
      await this.#run('DELETE FROM log WHERE position = ANY($1::bigint[])', `{${piece.join(',')}}`);
      this.rowsRemoved += piece.length;
      await this.#pause(restMs, signal);
    }
    if (signal.aborted) return;
    await this.#run('DELETE FROM log WHERE key IS NULL AND revision < $1', String(compactRevision));
    await this.#run(
      'UPDATE head SET removed_revision = greatest(removed_revision, $1)',
      String(compactRevision),
    );
    this.#remembered = [];
  }

  async #run(text: string, value: string): Promise<void> {
    const { reader } = await this.#options.link.use();
    await reader.rows({ text, values: [value] });
  }

  #pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = this.#options.clock.setTimeout(done, ms);
      if (signal.aborted) done();
      else signal.addEventListener('abort', done, { once: true });
    });
  }
}
