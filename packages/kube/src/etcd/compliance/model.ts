// node:test awaits what describe and it return.
// oxlint-disable typescript/no-floating-promises
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { asyncProperty, assert as assertProperty } from 'fast-check';
import { ModelStore } from './model-store.ts';
import { type NewContext, plain, Receiver } from './context.ts';
import { requestScript } from './requests.ts';

export function declareModel(context: NewContext): void {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
  const numRuns = Number(process.env['ITERATIONS'] ?? 15);
  it(`answers random scripts as the model does (SEED=${seed})`, async () => {
    const property = asyncProperty(requestScript, async (script) => {
      const c = context();
      const { revision: base } = await c.store.status();
      const model = new ModelStore(base);
      const receiver = new Receiver();
      const watch = c.watch(receiver, { prevKv: true, startRevision: base + 1 });
      const requests = script(c.prefix, base);
      for (const request of requests) {
        const expected = 'compare' in request ? model.txn(request) : model.range(request);
        const actual = 'compare' in request ? await c.store.txn(request) : await c.store.range(request);
        assert.deepEqual(withoutNestedRevisions(plain(actual)), withoutNestedRevisions(plain(expected)));
      }
      const events = [...model.events.values()].flat();
      await receiver.until('every event', () => receiver.events.length >= events.length);
      assert.deepEqual(plain(receiver.events), plain(events));
      watch.cancel();
      const middle = base + Math.floor((model.revision - base) / 2);
      const replay = new Receiver();
      const late = c.watch(replay, { startRevision: middle + 1, prevKv: true });
      const rest = [...model.events].filter(([at]) => at > middle).flatMap(([, these]) => these);
      await replay.until('the replay', () => replay.events.length >= rest.length);
      assert.deepEqual(plain(replay.events), plain(rest));
      late.cancel();
    });
    await assertProperty(property, { seed, numRuns, endOnFailure: true });
  });
}

/** etcd leaves the header of nested transactions empty. */
function withoutNestedRevisions(response: unknown, depth = 0): unknown {
  if (Array.isArray(response)) return response.map((item) => withoutNestedRevisions(item, depth));
  if (typeof response !== 'object' || response === null) return response;
  const entries = Object.entries(response).map(([name, field]) =>
    name === 'revision' && depth > 0 ? [name, 0] : [name, withoutNestedRevisions(field, depth + 1)],
  );
  return Object.fromEntries(entries);
}
