import assert from 'node:assert/strict';
import type { ConfigMap } from '@cloudless/kube/types/core-v1';

export type Verb = 'create' | 'update' | 'delete';

/** A change of one object. `seq` is unique; of `create` and `update` it is what the object then holds. */
export interface Change {
  readonly verb: Verb;
  readonly seq: number;
  /** resourceVersion after it; unknown for deletions, and for changes whose answer was lost. */
  readonly revision?: number;
}

/** One name, used for one object only. */
interface Life {
  /** What has happened for certain, in order. */
  readonly changes: Change[];
  /** Sent, and not answered yet or never. */
  open: (Change & { readonly above: number }) | undefined;
}

/** The names that load is put on; a namespace has objects of the cluster's own as well. */
export const nameOf = (number: number): string => `load-${number}`;
export const isOfLedger = (object: ConfigMap): boolean => object.metadata.name?.startsWith('load-') === true;

/** The object that holds `seq` in several places, so that half of a write would show. */
export function configMapOf(namespace: string, name: string, seq: number): ConfigMap {
  // Some span several pages of the store's file.
  const length = seq % 7 === 0 ? 40_000 : 10 * (seq % 50);
  return {
    metadata: { name, namespace, labels: { seq: String(seq) } },
    data: { first: String(seq), filler: 'x'.repeat(length), last: String(seq) },
  };
}

/** The `seq` an object holds; throws when its parts disagree. */
export function seqOf(object: ConfigMap): number {
  const seq = Number(object.data?.['first']);
  const { namespace = '', name = '' } = object.metadata;
  const whole = configMapOf(namespace, name, seq);
  assert.deepEqual(
    { data: object.data, labels: object.metadata.labels },
    { data: whole.data, labels: whole.metadata.labels },
    `${name} is half written`,
  );
  return seq;
}

/** Whether the object exists after these changes, and with what. */
export const heldAfter = (changes: readonly Change[]): number | undefined => {
  const last = changes.at(-1);
  return last === undefined || last.verb === 'delete' ? undefined : last.seq;
};

/**
 * What was asked of an API server and what it acknowledged, to be held against what it has. A change without an
 * acknowledgement may have happened or not; a list settles which, wholly.
 */
export class Ledger {
  readonly #lives = new Map<string, Life>();
  #nextSeq = 1;
  #listed = 0;
  /** Highest resourceVersion that was ever acknowledged or listed. */
  highest = 0;
  acknowledged = 0;

  /** Notes a request about to be sent. */
  begin(name: string, verb: Verb): number {
    const seq = this.#nextSeq++;
    const life = this.#lives.get(name) ?? { changes: [], open: undefined };
    assert.equal(life.open, undefined, `${name} has a request under way`);
    life.open = { verb, seq, above: this.highest };
    this.#lives.set(name, life);
    return seq;
  }

  /** Notes its acknowledgement, with the version it brought; deletions tell none. */
  acknowledge(name: string, revision: number | undefined): void {
    const life = this.#lives.get(name);
    assert.ok(life?.open, `${name} has no request under way`);
    const { verb, seq, above } = life.open;
    if (revision !== undefined)
      assert.ok(revision > above, `${verb} of ${name} has version ${revision}, after ${above} was answered`);
    life.open = undefined;
    life.changes.push(revision === undefined ? { verb, seq } : { verb, seq, revision });
    this.highest = Math.max(this.highest, revision ?? 0);
    this.acknowledged += 1;
  }

  /** The last version known of a live object. */
  revisionOf(name: string): number | undefined {
    return this.#lives.get(name)?.changes.at(-1)?.revision;
  }

  /** Every name with what happened to it for certain. */
  *histories(): Iterable<[string, readonly Change[]]> {
    for (const [name, life] of this.#lives) yield [name, life.changes];
  }

  /**
   * Holds a list, taken while nothing is under way, against the ledger; throws when anything acknowledged is missing,
   * anything never asked for is there, or a version went back. Settles the requests without answer. Returns the
   * names of settled ones whose objects exist.
   */
  settle(items: readonly ConfigMap[], listRevision: number): string[] {
    assert.ok(
      listRevision >= Math.max(this.highest, this.#listed),
      `the list is at version ${listRevision}, after ${Math.max(this.highest, this.#listed)} was seen`,
    );
    this.#listed = listRevision;
    const present = new Map(items.map((item) => [item.metadata.name ?? '', item]));
    assert.equal(present.size, items.length, 'an object is listed twice');
    for (const name of present.keys()) assert.ok(this.#lives.has(name), `nobody made ${name}`);
    const settled: string[] = [];
    for (const [name, life] of this.#lives) {
      const item = present.get(name);
      if (item) {
        const revision = Number(item.metadata.resourceVersion);
        assert.ok(revision <= listRevision, `${name} has version ${revision}, its list ${listRevision}`);
      }
      const wasOpen = life.open !== undefined;
      this.#settleLife(name, life, item);
      if (wasOpen && item) settled.push(name);
    }
    return settled;
  }

  #settleLife(name: string, life: Life, item: ConfigMap | undefined): void {
    const found = item && seqOf(item);
    const revision = item && Number(item.metadata.resourceVersion);
    const { open } = life;
    life.open = undefined;
    const expected = heldAfter(life.changes);
    if (open && found !== expected && found === (open.verb === 'delete' ? undefined : open.seq)) {
      const { verb, seq } = open;
      if (revision !== undefined)
        assert.ok(revision > open.above, `${verb} of ${name} has version ${revision}, after ${open.above}`);
      life.changes.push(revision === undefined ? { verb, seq } : { verb, seq, revision });
      return;
    }
    const last = life.changes.at(-1);
    assert.equal(
      found,
      expected,
      `${name}: last acknowledged: ${last ? `${last.verb} ${last.seq}` : 'nothing'}; ` +
        `asked for: ${open ? `${open.verb} ${open.seq}` : 'nothing'}; there: ${found ?? 'nothing'}`,
    );
    if (revision !== undefined && last?.revision !== undefined)
      assert.equal(revision, last.revision, `${name} keeps the version it was acknowledged with`);
  }

  /** Drops objects that are gone for good; their names, for others who keep records. */
  forgetDeleted(): string[] {
    const gone: string[] = [];
    for (const [name, life] of this.#lives) {
      if (life.open || heldAfter(life.changes) !== undefined) continue;
      this.#lives.delete(name);
      gone.push(name);
    }
    return gone;
  }
}
