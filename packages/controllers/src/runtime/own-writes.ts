import { type Informer, keyOf } from '@cloudless/kube/informer/informer';
import type { KubeObject } from '@cloudless/kube/object';

/** An int64 in text; versions of one store are ordered. */
const version = (object: KubeObject | undefined): bigint => BigInt(object?.metadata.resourceVersion ?? '0');

/**
 * A controller's own writes laid over its copy, so that it never acts on a state older than what it did itself:
 * a name it generated, created a moment ago, is seen although its event has not come yet. Entries leave as the
 * copy catches up.
 */
export class OwnWrites<T extends KubeObject> {
  readonly #written = new Map<string, { object: T; deleted: boolean }>();

  constructor(informer: Informer<T>) {
    const caughtUp = (object: T): void => {
      const key = keyOf(object);
      const mine = this.#written.get(key);
      if (mine && !mine.deleted && version(object) >= version(mine.object)) this.#written.delete(key);
    };
    informer.addHandler({
      add: caughtUp,
      update: caughtUp,
      delete: (object) => {
        // What was created and is gone again, by whoever's hand, is over.
        if (version(object) >= version(this.#written.get(keyOf(object))?.object))
          this.#written.delete(keyOf(object));
      },
    });
  }

  wrote(object: T): void {
    this.#written.set(keyOf(object), { object, deleted: false });
  }

  deleted(object: T): void {
    this.#written.set(keyOf(object), { object, deleted: true });
  }

  /** `cached` as it is after this controller's writes; `belongs` picks those of its creations that count. */
  over(cached: readonly T[], belongs: (object: T) => boolean): T[] {
    if (this.#written.size === 0) return [...cached];
    const result = new Map(cached.map((object) => [keyOf(object), object]));
    for (const [key, { object, deleted }] of this.#written) {
      const seen = result.get(key);
      if (deleted) {
        // Another object may have the name by now.
        if (seen?.metadata.uid === object.metadata.uid) result.delete(key);
      } else if (belongs(object) && (!seen || version(seen) < version(object))) result.set(key, object);
    }
    return [...result.values()];
  }
}
