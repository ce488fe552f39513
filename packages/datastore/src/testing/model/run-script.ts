import assert from 'node:assert/strict';
import type { FakeClock } from '@cloudless/kube/testing/fake-clock';
import { ModelStore } from '@cloudless/kube/etcd/compliance/model-store';
import { plain } from '@cloudless/kube/etcd/compliance';
import { EtcdError, type EtcdStore } from '@cloudless/kube/etcd/store';
import { answerText } from '../linearizability/store-model.ts';
import { leaseIds, prefix, type Step } from './steps.ts';
import { ModelWatch } from './model-watch.ts';

export interface StoreUnderScript {
  /** Opens the store; again, for a restart. It holds nothing the first time. */
  open(): Promise<EtcdStore>;
  close(store: EtcdStore): Promise<void>;
  /** The store's clock, when the script may move it. */
  clock?: FakeClock | undefined;
}

/** etcd: the shortest time that a lease gets. */
const minTtlSeconds = 2;

/**
 * Plays a script on a store and on the model beside it; every answer, refusal, event and lease must be the model's.
 *
 * @throws AssertionError at the first difference
 */
export async function runScript(steps: readonly Step[], under: StoreUnderScript): Promise<void> {
  const run = new ScriptRun(under, await under.open());
  try {
    for (const step of steps) await run.play(step);
    await run.end();
  } finally {
    await under.close(run.store);
  }
}

class ScriptRun {
  store: EtcdStore;
  readonly #under: StoreUnderScript;
  readonly #model = new ModelStore(1);
  /** When each lease runs out, on the clock. */
  readonly #deadlines = new Map<bigint, number>();
  #watches: ModelWatch[] = [];
  /** Sees everything in the store's present life. */
  #all: ModelWatch;

  constructor(under: StoreUnderScript, store: EtcdStore) {
    this.#under = under;
    this.store = store;
    this.#all = this.#watchAll();
  }

  #watchAll(): ModelWatch {
    const range = { key: Buffer.from(prefix), rangeEnd: Buffer.from(`${prefix}~`) };
    const watch = new ModelWatch(this.#model, {
      ...range,
      // Not from the next revision on: over gRPC no watch of a stream hears of progress while one waits for its first.
      startRevision: this.#model.revision,
      prevKv: true,
    });
    watch.start(this.store);
    this.#watches.push(watch);
    return watch;
  }

  async play(step: Step): Promise<void> {
    const { store } = this;
    const model = this.#model;
    switch (step.type) {
      case 'txn': {
        const request = step.build(prefix, model.revision);
        return same(store.txn(request), () => model.txn(request));
      }
      case 'range': {
        const request = step.build(prefix, model.revision);
        return same(store.range(request), () => model.range(request));
      }
      case 'put':
        return same(store.put(step.request), () => {
          const { revision, responses } = model.txn({
            compare: [],
            success: [{ put: step.request }],
            failure: [],
          });
          return { ...(responses[0] as { put: object }).put, revision };
        });
      case 'compact': {
        // What was written before must have been told: afterwards previous values may be gone.
        await this.#settle();
        const revision = model.revision - step.back;
        return same(store.compact(revision), () => model.compact(revision));
      }
      case 'watch': {
        const startRevision = Math.max(1, model.revision + 1 - step.back);
        const watch = new ModelWatch(model, { ...step.request, startRevision });
        watch.start(store);
        this.#watches.push(watch);
        return watch.settle();
      }
      case 'restart':
        return this.#restart();
      case 'wait':
        for (let i = 0; i < step.seconds; i++) await this.#second();
        return;
      default:
        return this.#lease(step);
    }
  }

  async #lease(step: Extract<Step, { id: bigint }>): Promise<void> {
    const { store } = this;
    const { id } = step;
    const { leases } = this.#model.state;
    if (step.type === 'grant') {
      const ttlSeconds = Math.max(minTtlSeconds, step.ttlSeconds);
      return same(store.leaseGrant(step.ttlSeconds, id), () => {
        this.#model.grant(id, ttlSeconds);
        this.#renew(id);
        return { id, ttlSeconds };
      });
    }
    if (step.type === 'revoke') {
      return same(store.leaseRevoke(id), () => {
        this.#model.revoke(id);
        this.#deadlines.delete(id);
      });
    }
    if (step.type === 'renew') {
      return same(store.leaseKeepAlive(id), () => {
        this.#renew(id);
        return { ttlSeconds: leases.get(id) ?? 0 };
      });
    }
    const { ttlSeconds, ...status } = await store.leaseTimeToLive(id, true);
    status.keys.sort((a, b) => Buffer.compare(a, b));
    assert.equal(answerText(status), answerText(this.#status(id)));
    const clock = this.#under.clock;
    if (clock === undefined) return;
    const deadline = this.#deadlines.get(id);
    const left = deadline === undefined ? -1 : Math.floor((deadline - clock.monotonicMs()) / 1000);
    assert.equal(ttlSeconds, left, `seconds left of lease ${id}`);
  }

  #status(id: bigint): object {
    const { leases, keys } = this.#model.state;
    const attached = [...keys.values()].filter(({ lease }) => lease === id).map(({ key }) => key);
    const isThere = leases.has(id);
    return {
      id,
      grantedTtlSeconds: leases.get(id) ?? 0,
      keys: isThere ? attached.sort((a, b) => Buffer.compare(a, b)) : [],
    };
  }

  #renew(id: bigint): void {
    const ttlSeconds = this.#model.state.leases.get(id);
    const now = this.#under.clock?.monotonicMs();
    if (ttlSeconds !== undefined && now !== undefined) this.#deadlines.set(id, now + ttlSeconds * 1000);
  }

  /** A second goes by; what runs out then is revoked, one lease after the other. */
  async #second(): Promise<void> {
    const { clock } = this.#under;
    if (clock === undefined) throw new TypeError('this script moves no clock');
    clock.advance(1000);
    const left = new Set(await this.store.leaseLeases());
    const due = [...this.#deadlines].filter(([, deadline]) => deadline <= clock.monotonicMs());
    for (const [id] of due) {
      assert.ok(!left.has(id), `lease ${id} has run out`);
      this.#deadlines.delete(id);
    }
    const { revision } = await this.store.status();
    await this.#all.heard(revision);
    const remaining = new Set(due.map(([id]) => id));
    // Those that run out together may go in any order: the log tells in which.
    while (remaining.size > 0) {
      const key = this.#all.keyAt(this.#model.revision + 1);
      const owner = key === undefined ? undefined : this.#model.state.keys.get(key)?.lease;
      const id = owner !== undefined && remaining.has(owner) ? owner : this.#withoutKeys(remaining);
      remaining.delete(id);
      this.#model.revoke(id);
    }
    assert.deepEqual(inOrder(left), inOrder(this.#model.state.leases.keys()));
  }

  #withoutKeys(ids: ReadonlySet<bigint>): bigint {
    const { keys } = this.#model.state;
    const used = new Set([...keys.values()].map(({ lease }) => lease));
    const id = [...ids].find((one) => !used.has(one));
    return id ?? assert.fail(`the keys of the leases ${[...ids].join(', ')} are still there`);
  }

  async #settle(): Promise<void> {
    for (const watch of this.#watches) await watch.settle();
  }

  async #endLife(): Promise<void> {
    await this.#settle();
    for (const watch of this.#watches) watch.stop();
    this.#watches = [];
    const { keys, leases, revision } = this.#model.state;
    const everything = { key: Buffer.from(prefix), rangeEnd: Buffer.from(`${prefix}~`) };
    const range = await this.store.range(everything);
    assert.deepEqual(plain(range), plain(this.#model.range(everything)));
    assert.deepEqual([range.count, range.revision], [keys.size, revision]);
    const listed = (await this.store.leaseLeases()).filter((id) =>
      (leaseIds as readonly bigint[]).includes(id),
    );
    assert.deepEqual(inOrder(listed), inOrder(leases.keys()));
  }

  async #restart(): Promise<void> {
    await this.#endLife();
    await this.#under.close(this.store);
    this.store = await this.#under.open();
    // After a restart every lease has its full time again.
    for (const id of this.#deadlines.keys()) this.#renew(id);
    this.#all = this.#watchAll();
  }

  async end(): Promise<void> {
    await this.#endLife();
    const { compactRevision, revision } = this.#model.state;
    const range = { key: Buffer.from(prefix), rangeEnd: Buffer.from(`${prefix}~`) };
    const start = { ...range, startRevision: Math.max(2, compactRevision), prevKv: true };
    const history = new ModelWatch(this.#model, start);
    history.start(this.store);
    if (start.startRevision <= revision) await history.settle();
    history.stop();
  }
}

const inOrder = (ids: Iterable<bigint>): bigint[] => [...ids].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));

/** The store answers as the model does, or refuses as it does. */
async function same(answer: Promise<unknown>, expected: () => unknown): Promise<void> {
  const actual = await answer.then((value) => answerText(value ?? null), refusalText);
  let wanted: string;
  try {
    wanted = answerText(expected() ?? null);
  } catch (error) {
    wanted = refusalText(error);
  }
  assert.equal(actual, wanted);
}

function refusalText(error: unknown): string {
  if (!(error instanceof EtcdError)) throw error;
  return `refused: ${error.code} ${error.message}`;
}
