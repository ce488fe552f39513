import assert from 'node:assert/strict';
import type { V1ConfigMap } from '@kubernetes/client-node';
import type { ConfigMap } from '@cloudless/kube/types/core-v1';
import { type Change, heldAfter, isOfLedger, type Ledger, seqOf, type Verb } from './ledger.ts';

interface Call {
  verb: Verb;
  /** What the object holds; of a deletion, the last that was known of it. */
  seq: number;
}

/** How many changes each object had when informers were cut off, and when they listed again. */
export interface Gap {
  from: ReadonlyMap<string, number>;
  to: ReadonlyMap<string, number>;
}

/** How many changes each object has had so far. */
export function countsOf(ledger: Ledger): Map<string, number> {
  return new Map([...ledger.histories()].map(([name, changes]) => [name, changes.length]));
}

/** The calls that handlers must get: one a change, and across a gap the difference alone. */
function callsFor(name: string, changes: readonly Change[], gaps: readonly Gap[]): Call[] {
  const calls: Call[] = [];
  const each = (from: number, to: number): void => {
    for (let i = from; i < to; i++) {
      const { verb, seq } = changes[i] as Change;
      calls.push({ verb, seq: verb === 'delete' ? (heldAfter(changes.slice(0, i)) as number) : seq });
    }
  };
  let at = 0;
  for (const gap of gaps) {
    const [from, to] = [gap.from.get(name) ?? 0, gap.to.get(name) ?? 0];
    each(at, from);
    const [before, after] = [heldAfter(changes.slice(0, from)), heldAfter(changes.slice(0, to))];
    if (before === undefined && after !== undefined) calls.push({ verb: 'create', seq: after });
    else if (before !== undefined && after === undefined) calls.push({ verb: 'delete', seq: before });
    else if (before !== undefined && after !== undefined && before !== after)
      calls.push({ verb: 'update', seq: after });
    at = to;
  }
  each(at, changes.length);
  return calls;
}

/** Every call that an informer's handlers got, by object. */
export class InformerRecord {
  readonly #name: string;
  readonly #calls = new Map<string, Call[]>();
  readonly #versions = new Map<string, number>();
  readonly #failures: unknown[] = [];
  count = 0;

  constructor(name: string) {
    this.#name = name;
  }

  /** Never throws, since informers swallow what handlers throw; `verify` does. */
  record(verb: Verb, object: ConfigMap | V1ConfigMap): void {
    try {
      this.#record(verb, object as ConfigMap);
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error: unknown): void {
    this.#failures.push(error);
  }

  #record(verb: Verb, object: ConfigMap): void {
    if (!isOfLedger(object)) return;
    const name = object.metadata.name ?? '';
    const version = Number(object.metadata.resourceVersion);
    const last = this.#versions.get(name) ?? 0;
    // A deletion found by listing again comes with the last object known.
    assert.ok(
      verb === 'delete' ? version >= last : version > last,
      `${verb} of ${name} at ${version} after ${last}`,
    );
    this.#versions.set(name, version);
    const calls = this.#calls.get(name) ?? [];
    calls.push({ verb, seq: seqOf(object) });
    this.#calls.set(name, calls);
    this.count += 1;
  }

  /** Throws unless handlers were told of every change once, in order, and the cache is what a list gives. */
  verify(
    ledger: Ledger,
    gaps: readonly Gap[],
    cache: ReadonlyArray<ConfigMap | V1ConfigMap>,
    listed: readonly ConfigMap[],
  ): void {
    if (this.#failures.length > 0) throw this.#failures[0];
    const left = new Set(this.#calls.keys());
    for (const [name, changes] of ledger.histories()) {
      left.delete(name);
      assert.deepEqual(
        this.#calls.get(name) ?? [],
        callsFor(name, changes, gaps),
        `${this.#name}: calls for ${name}`,
      );
    }
    assert.deepEqual([...left], [], `${this.#name}: calls for objects that nobody made`);
    const versions = (objects: ReadonlyArray<ConfigMap | V1ConfigMap>): string[] =>
      objects.map(({ metadata }) => `${metadata?.name} ${metadata?.resourceVersion}`).sort();
    assert.deepEqual(versions(cache), versions(listed), `${this.#name}: its cache against a list`);
  }
}
