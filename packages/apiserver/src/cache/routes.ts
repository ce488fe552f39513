import type { Entry } from './entry.ts';
import type { Change } from './history.ts';

/** Told of every batch of changes of one store message, in revision order, after the cache has them. */
export type ChangeListener = (changes: readonly Change[]) => void;

/** The objects whose field has one value: all that a listener with such a selector can care about. */
export interface Route {
  /** The name stands for `valueOf`: routes of one name and one resource agree on it. */
  readonly field: string;
  readonly value: string;
  readonly valueOf: (entry: Entry) => string;
}

interface Field {
  readonly valueOf: (entry: Entry) => string;
  readonly byValue: Map<string, Set<ChangeListener>>;
}

/**
 * Listeners by the value that their selector demands of a field. A thousand kubelets each watch the pods of their node:
 * a change finds the one or two whom it concerns instead of asking all.
 */
export class Routes {
  readonly #fields = new Map<string, Field>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Returns the way to unsubscribe. */
  add(route: Route, listener: ChangeListener): () => void {
    let field = this.#fields.get(route.field);
    if (!field) {
      field = { valueOf: route.valueOf, byValue: new Map() };
      this.#fields.set(route.field, field);
    }
    const { byValue } = field;
    let listeners = byValue.get(route.value);
    if (!listeners) byValue.set(route.value, (listeners = new Set()));
    listeners.add(listener);
    this.#size++;
    return () => {
      if (!listeners.delete(listener)) return;
      this.#size--;
      if (listeners.size > 0 || byValue.get(route.value) !== listeners) return;
      byValue.delete(route.value);
      if (byValue.size === 0 && this.#fields.get(route.field)?.byValue === byValue) {
        this.#fields.delete(route.field);
      }
    };
  }

  /** Calls `tell` for each listener whose value an object of `changes` has or had, with those changes. */
  deliver(
    changes: readonly Change[],
    tell: (listener: ChangeListener, changes: readonly Change[]) => void,
  ): void {
    for (const { valueOf, byValue } of this.#fields.values()) {
      const due = new Map<Set<ChangeListener>, Change[]>();
      const note = (listeners: Set<ChangeListener> | undefined, change: Change): void => {
        if (!listeners) return;
        const theirs = due.get(listeners);
        if (!theirs) due.set(listeners, [change]);
        else if (theirs.at(-1) !== change) theirs.push(change);
      };
      for (const change of changes) {
        note(byValue.get(valueOf(change.entry)), change);
        if (change.old) note(byValue.get(valueOf(change.old)), change);
      }
      for (const [listeners, theirs] of due) for (const listener of listeners) tell(listener, theirs);
    }
  }
}
