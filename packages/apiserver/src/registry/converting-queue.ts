import { errors } from '@cloudless/kube/status';
import type { Change } from '../cache/history.ts';
import type { Selection } from './selection.ts';
import { prepareViews } from './view.ts';

/** Changes that wait for a webhook; a watch with more has to begin again. */
const maxWaiting = 10_000;

/** Changes of a watch, in order, on their way through a conversion webhook. */
export class ConvertingQueue {
  readonly #selection: Selection;
  readonly #deliver: (changes: readonly Change[]) => void;
  readonly #fail: (error: unknown) => void;
  #waiting: Change[] = [];
  #working = false;
  #delivered: number | undefined;

  /** `deliver` gets changes whose objects can be shown; nothing follows `fail`. */
  constructor(
    selection: Selection,
    deliver: (changes: readonly Change[]) => void,
    fail: (error: unknown) => void,
  ) {
    this.#selection = selection;
    this.#deliver = deliver;
    this.#fail = fail;
  }

  /** Revision up to which everything has been delivered; undefined while nothing waits. */
  get delivered(): number | undefined {
    return this.#working ? this.#delivered : undefined;
  }

  take(changes: readonly Change[]): void {
    if (changes.length === 0) return;
    for (const change of changes) this.#waiting.push(change);
    if (this.#waiting.length > maxWaiting) {
      this.#waiting = [];
      this.#fail(
        errors.unavailable(
          'the conversion webhook is slower than the changes of its kind; watch again from the last resourceVersion',
        ),
      );
      return;
    }
    if (this.#working) return;
    this.#working = true;
    this.#delivered = (changes[0] as Change).entry.revision - 1;
    void this.#work().finally(() => (this.#working = false));
  }

  async #work(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        const changes = this.#waiting;
        this.#waiting = [];
        // oxlint-disable-next-line no-await-in-loop -- in order
        await this.#prepare(changes);
        this.#deliver(changes);
        this.#delivered = changes.at(-1)?.entry.revision;
      }
    } catch (error) {
      this.#waiting = [];
      this.#fail(error);
    }
  }

  /** What is shown, and what selectors look at: the object before and after, and as it left the selection. */
  async #prepare(changes: readonly Change[]): Promise<void> {
    const { resource, matches } = this.#selection;
    await prepareViews(
      changes.map(({ entry }) => entry),
      resource,
    );
    if (!matches) return;
    const before = changes.flatMap(({ old }) => (old ? [old] : []));
    await prepareViews(before, resource);
    const left = changes.filter(({ entry, old }) => old && matches(old) && !matches(entry));
    await prepareViews(
      left.map((change) => change.left),
      resource,
    );
  }
}
