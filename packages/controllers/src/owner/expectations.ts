import type { Clock } from '@cloudless/kube/clock';

/** After this time a controller stops waiting to see what it did (upstream: ExpectationsTimeout). */
const timeoutMs = 5 * 60_000;

interface Expected {
  creates: number;
  deletes: Set<string>;
  sinceMs: number;
}

/**
 * What a controller has done and not yet seen in its copy. As long as something is expected, the copy is behind,
 * and acting on it would create or delete twice (upstream: controller_utils.go, UIDTrackingControllerExpectations).
 */
export class Expectations {
  readonly #clock: Clock;
  readonly #expected = new Map<string, Expected>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `key` (of the owner) will see so many creations. Replaces what was expected. */
  expectCreations(key: string, count: number): void {
    this.#expected.set(key, { creates: count, deletes: new Set(), sinceMs: this.#clock.monotonicMs() });
  }

  /** `key` will see the deletion of these objects. Replaces what was expected. */
  expectDeletions(key: string, uids: readonly string[]): void {
    this.#expected.set(key, { creates: 0, deletes: new Set(uids), sinceMs: this.#clock.monotonicMs() });
  }

  /** Expects more of both on top of what is expected. */
  raise(key: string, creates: number, uids: readonly string[]): void {
    const expected = this.#expected.get(key);
    if (!expected) {
      this.#expected.set(key, { creates, deletes: new Set(uids), sinceMs: this.#clock.monotonicMs() });
      return;
    }
    expected.creates += creates;
    for (const uid of uids) expected.deletes.add(uid);
  }

  creationObserved(key: string): void {
    const expected = this.#expected.get(key);
    if (expected) expected.creates--;
  }

  deletionObserved(key: string, uid: string): void {
    this.#expected.get(key)?.deletes.delete(uid);
  }

  /** Whether the copy has caught up with what was done for `key`. */
  satisfied(key: string): boolean {
    const expected = this.#expected.get(key);
    if (!expected) return true;
    if (expected.creates <= 0 && expected.deletes.size === 0) return true;
    return this.#clock.monotonicMs() - expected.sinceMs > timeoutMs;
  }

  forget(key: string): void {
    this.#expected.delete(key);
  }
}
