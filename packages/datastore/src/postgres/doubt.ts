import type { Clock } from '@cloudless/kube/clock';
import type { LogHead } from '../log/log.ts';
import type { PostgresAddress } from './address.ts';
import { PostgresError } from './errors.ts';
import type { Session } from './session.ts';
import { headOf, type KnownHead, moveFence, selectTagAt } from './statements.ts';

/** Whether a batch whose answer was lost is in the log. Neither answer changes any more. */
export type Outcome = 'landed' | 'absent' | 'unknown';

/** One append whose answer may be lost, until it is known what became of it. */
export class Doubt {
  readonly #tag: string;
  readonly #head: LogHead;
  readonly #address: PostgresAddress;
  #outcome: Outcome | undefined;
  #resolved: () => void = () => undefined;

  /** @param head where the log ends if the append was made */
  constructor(tag: string, head: LogHead, address: PostgresAddress) {
    this.#tag = tag;
    this.#head = head;
    this.#address = address;
  }

  /**
   * Finds out on a new connection. First the fence moves: from then on the append, should it still be under way
   * somewhere, misses. That is a durable write itself, so what is found after it is as durable.
   *
   * @param warning what the server warned about the last commit
   */
  async resolve(session: Session, before: KnownHead, warning: () => string | undefined): Promise<void> {
    if (this.#outcome !== undefined) return;
    warning();
    await session.rows(moveFence);
    const doubtful = warning();
    if (doubtful !== undefined) {
      throw new PostgresError('unreachable', `the database ${this.#address.name}: ${doubtful}`);
    }
    const [row = []] = await session.rows(selectTagAt(this.#head.position));
    const head = headOf(row);
    const tag = row[8] ?? null;
    const wasRemoved =
      tag === null && head.position >= this.#head.position && head.removingRevision > before.revision;
    if (tag === this.#tag) this.#outcome = 'landed';
    else this.#outcome = wasRemoved ? 'unknown' : 'absent';
    this.#resolved();
  }

  /** Waits for the answer at most so long. */
  outcome(clock: Clock, waitMs: number): Promise<Outcome> {
    if (this.#outcome !== undefined) return Promise.resolve(this.#outcome);
    return new Promise((resolve) => {
      const timer = clock.setTimeout(() => resolve('unknown'), waitMs);
      this.#resolved = () => {
        timer.cancel();
        resolve(this.#outcome ?? 'unknown');
      };
    });
  }
}
