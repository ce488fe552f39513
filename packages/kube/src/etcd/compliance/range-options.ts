// node:test awaits what describe and it return.
// oxlint-disable typescript/no-floating-promises
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { bytes, type Context, type NewContext, noValue, plain, rejectsLike } from './context.ts';
import { ModelStore } from './model-store.ts';
import { etcdErrors, type RangeRequest, type RequestOp } from '../store.ts';
import { sortTargets } from '../enums.ts';

const sortOrders = [undefined, 'none', 'ascend', 'descend'] as const;
const limits = [undefined, 0, 1, 2, 3, 4, 5, 100];

/** Seven keys with ties in value and version, and a model that holds the same. */
async function population(c: Context): Promise<{ model: ModelStore; first: number; last: number }> {
  const { revision } = await c.store.status();
  const model = new ModelStore(revision);
  const write = async (op: RequestOp): Promise<void> => {
    const request = { compare: [], success: [op], failure: [] };
    assert.equal((await c.store.txn(request)).revision, model.txn(request).revision);
  };
  const put = (name: string, value: string): Promise<void> =>
    write({ put: { key: c.key(name), value: bytes(value) } });
  for (const [name, value] of ['d4', 'b1', 'f3', 'a2', 'g1', 'c', 'e3'].map((pair) => [pair[0], pair[1]])) {
    await put(name as string, value ?? '');
  }
  await write({ deleteRange: { key: c.key('b') } });
  for (const [name, value] of ['b9', 'd2', 'd1', 'a2', 'f0'].map((pair) => [pair[0], pair[1]])) {
    await put(name as string, value as string);
  }
  return { model, first: revision + 1, last: model.revision };
}

export function declareRangeOptions(context: NewContext): void {
  it('answers every combination of order, target, limit and what is shown', async () => {
    const c = context();
    const { model, first, last } = await population(c);
    const middle = Math.floor((first + last) / 2);
    const requests = sortTargets.flatMap((sortTarget) =>
      sortOrders.flatMap((sortOrder) =>
        limits.flatMap((limit): Array<Partial<RangeRequest>> => [
          { sortTarget, sortOrder, limit },
          { sortTarget, sortOrder, limit, keysOnly: true, revision: middle },
        ]),
      ),
    );
    await sameAsModel(c, model, requests);
  });

  it('answers every combination of the revisions that filter', async () => {
    const c = context();
    const { model, first, last } = await population(c);
    const bounds = [undefined, 0, first + 2, last - 2, last + 10];
    const requests = bounds.flatMap((low) =>
      bounds.flatMap((high): Array<Partial<RangeRequest>> => [
        { minModRevision: low, maxModRevision: high },
        { minCreateRevision: low, maxCreateRevision: high, limit: 2 },
        { minModRevision: low, maxCreateRevision: high, limit: 2, sortTarget: 'mod', sortOrder: 'descend' },
        { minCreateRevision: low, maxModRevision: high, countOnly: true },
        { minModRevision: low, maxModRevision: high, keysOnly: true, sortTarget: 'value', limit: 1 },
      ]),
    );
    await sameAsModel(c, model, requests);
  });

  it('counts whatever else is asked', async () => {
    const c = context();
    const { model, first } = await population(c);
    await sameAsModel(c, model, [
      { countOnly: true },
      { countOnly: true, limit: 2 },
      { countOnly: true, keysOnly: true, sortTarget: 'value', sortOrder: 'descend' },
      { countOnly: true, revision: first },
      { countOnly: true, key: c.key('a'), rangeEnd: undefined },
      { countOnly: true, key: c.key('nothing'), rangeEnd: undefined },
    ]);
  });

  it('filters a single key, and takes an empty range end for none', async () => {
    const c = context();
    const { model, first, last } = await population(c);
    const one = { key: c.key('a'), rangeEnd: undefined };
    await sameAsModel(c, model, [
      { ...one, minModRevision: last + 1 },
      { ...one, maxCreateRevision: first },
      { ...one, limit: 1, sortTarget: 'value', sortOrder: 'descend' },
      { ...one, keysOnly: true },
      { ...one, rangeEnd: noValue },
      { key: c.key('d'), rangeEnd: c.key('d') },
      { key: c.key('d'), rangeEnd: c.key('c') },
      { key: c.key('b'), rangeEnd: c.key('b\0') },
    ]);
  });

  it('takes numbers below zero for no limit and for the present', async () => {
    const c = context();
    const { model } = await population(c);
    const all = plain(model.range(c.all()));
    assert.deepEqual(plain(await c.store.range({ ...c.all(), limit: -1 })), all);
    assert.deepEqual(plain(await c.store.range({ ...c.all(), revision: -1 })), all);
  });

  it('reads serializably what was acknowledged here before', async () => {
    const c = context();
    for (let i = 0; i < 5; i++) {
      const revision = await c.put('a', String(i));
      const read = await c.store.range({ key: c.key('a'), serializable: true });
      // A server that is one of several may be behind; alone it is not.
      assert.ok(read.revision >= revision);
      assert.deepEqual(plain(read.kvs[0]?.value), `bytes:${i}`);
    }
    const { revision } = await c.store.range({ key: c.key('a') });
    await rejectsLike(
      c.store.range({ key: c.key('a'), serializable: true, revision: revision + 1000 }),
      etcdErrors.futureRevision(),
    );
  });

  it('reads in a transaction with every option, past revisions included', async () => {
    const c = context();
    const { model, first, last } = await population(c);
    const ranges: RangeRequest[] = [
      { ...c.all(), limit: 2 },
      { ...c.all(), revision: first + 3, sortOrder: 'descend' },
      { ...c.all(), countOnly: true },
      { ...c.all(), keysOnly: true, sortTarget: 'mod', sortOrder: 'descend', limit: 3 },
      { ...c.all(), minModRevision: last - 1 },
    ];
    const read = { compare: [], success: ranges.map((range) => ({ range })), failure: [] };
    const write = {
      ...read,
      success: [{ put: { key: c.key('a'), value: bytes('new') } }, ...read.success],
    };
    for (const request of [read, write]) {
      assert.deepEqual(shown(await c.store.txn(request)), shown(model.txn(request)));
    }
  });
}

async function sameAsModel(
  c: Context,
  model: ModelStore,
  requests: ReadonlyArray<Partial<RangeRequest>>,
): Promise<void> {
  const full = requests.map((request) => ({ ...c.all(), ...request }));
  const answers = await Promise.all(full.map((request) => c.store.range(request)));
  for (const [i, request] of full.entries()) {
    assert.deepEqual(plain(answers[i]), plain(model.range(request)), JSON.stringify(requests[i]));
  }
}

/** Without the revisions inside: etcd's own differ between a transaction that reads and one that writes. */
function shown(value: unknown): unknown {
  return JSON.parse(JSON.stringify(plain(value)), (name, field: unknown) =>
    name === 'revision' ? undefined : field,
  );
}
