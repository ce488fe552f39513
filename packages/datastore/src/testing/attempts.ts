import assert from 'node:assert/strict';
import { Receiver } from '@cloudless/kube/etcd/compliance';
import { EtcdError, type EtcdStore, grpcCode } from '@cloudless/kube/etcd/store';

const lostWords = 'etcdserver: request timed out, possibly due to connection lost';
const everything = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) };

/**
 * Puts, each to a key of its own, and what their callers were told: the test of a store that is lost and comes back.
 */
export class Attempts {
  readonly #acknowledged = new Map<string, number>();
  readonly #refused = new Set<string>();
  readonly #unknown = new Set<string>();
  #next = 0;

  get acknowledged(): number {
    return this.#acknowledged.size;
  }

  get refused(): number {
    return this.#refused.size;
  }

  get unknown(): number {
    return this.#unknown.size;
  }

  /** One put; an error that tells nothing of its outcome, or is not etcd's, fails the test. */
  async put(store: EtcdStore): Promise<void> {
    const key = `attempt-${String(this.#next++).padStart(6, '0')}`;
    try {
      const { revision } = await store.put({ key: Buffer.from(key), value: Buffer.from(key) });
      this.#acknowledged.set(key, revision);
    } catch (error) {
      assert.ok(error instanceof EtcdError && error.code === grpcCode.unavailable, String(error));
      if (error.message.startsWith('etcdserver: no leader')) {
        this.#refused.add(key);
        // As a client that backs off.
        await new Promise((resolve) => setTimeout(resolve, 20));
      } else if (error.message.startsWith(lostWords)) {
        this.#unknown.add(key);
      } else assert.fail(error.message);
    }
  }

  /** Puts one after the other until `isOver`. */
  async putUntil(store: EtcdStore, isOver: () => boolean): Promise<void> {
    while (!isOver()) await this.put(store);
  }

  /**
   * Every acknowledged put is there, once, at its revision; no refused one is; every revision has its event.
   *
   * @param watched what a watch of everything from revision 2 on received, if there was one throughout
   */
  async verify(store: EtcdStore, watched?: Receiver): Promise<void> {
    // Each server finds its way back in its own time.
    const { kvs, revision } = await eventually(() => store.range(everything));
    const found = new Map(kvs.map((kv) => [Buffer.from(kv.key).toString(), kv]));
    for (const [key, acknowledged] of this.#acknowledged) {
      assert.equal(found.get(key)?.modRevision, acknowledged, `${key} is there as acknowledged`);
    }
    for (const key of this.#refused) assert.ok(!found.has(key), `${key} was refused and is there`);
    for (const [key, kv] of found) assert.equal(kv.version, 1, `${key} was written once`);
    const receiver = watched ?? new Receiver();
    const watch =
      watched === undefined ? store.watch({ ...everything, startRevision: 2 }, receiver.receive) : undefined;
    await receiver.until('all of history', () => receiver.events.length >= revision - 1);
    watch?.cancel();
    assert.deepEqual(
      receiver.events.map(({ kv }) => kv.modRevision),
      Array.from({ length: revision - 1 }, (_, i) => i + 2),
    );
  }
}

/** Repeats what a store out of reach refuses. */
export async function eventually<T>(call: () => Promise<T>): Promise<T> {
  for (const untilMs = Date.now() + 20_000; ;) {
    try {
      return await call();
    } catch (error) {
      if (Date.now() > untilMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
