/** The whole store as one object: every answer carries the revision that orders it among all keys. */
import { emptyState, evaluate, type ModelState, rangeIn } from '@cloudless/kube/etcd/compliance/model-store';
import { plain } from '@cloudless/kube/etcd/compliance';
import type { RangeRequest, TxnRequest, WatchEvent } from '@cloudless/kube/etcd/store';
import type { Model, Operation } from './checker.ts';

/** What a client asked for; a put or a deletion alone is a transaction of it. */
export type StoreInput = { readonly range: RangeRequest } | { readonly txn: TxnRequest };

/** The answer as {@link answerText} writes it. */
export type StoreOperation = Operation<StoreInput, string>;
export type StoreHistory = readonly StoreOperation[];

export interface StoreState {
  readonly model: ModelState;
  readonly text: string;
}

/** Answers in a form that can be compared; nested transactions have no revision of their own in etcd. */
export function answerText(answer: unknown): string {
  return JSON.stringify(withoutNestedRevisions(plain(answer), 0));
}

function withoutNestedRevisions(value: unknown, depth: number): unknown {
  if (Array.isArray(value)) return value.map((item) => withoutNestedRevisions(item, depth));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value)
    .filter(([name]) => name !== 'revision' || depth === 0)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, field]) => [name, withoutNestedRevisions(field, depth + 1)]));
}

/** What happened at each revision, as the log itself tells it afterwards. */
export type EventsByRevision = ReadonlyMap<number, string>;

export function eventsByRevision(events: readonly WatchEvent[]): Map<number, string> {
  const grouped = new Map<number, WatchEvent[]>();
  for (const event of events) {
    const together = grouped.get(event.kv.modRevision);
    if (together === undefined) grouped.set(event.kv.modRevision, [event]);
    else together.push(event);
  }
  return new Map([...grouped].map(([revision, together]) => [revision, eventsText(together)]));
}

/** Without previous values: a compaction may have left them out. */
const eventsText = (events: readonly WatchEvent[]): string =>
  JSON.stringify(events.map(({ type, kv }) => [type, plain(kv)]));

/**
 * @param log what each revision must have written. It decides which write without an answer took which revision, so
 *   that the search has nothing to guess; without it, every order that explains the answers is good.
 */
export function storeModel(
  start: ModelState = emptyState(1),
  log?: EventsByRevision,
): Model<StoreState, StoreInput, string> {
  return {
    initial: stateOf(start),
    fingerprint: ({ text }) => text,
    step(state, { input, output }) {
      if ('range' in input) {
        // A read without an answer changes nothing: it needs no place.
        if (output === undefined) return undefined;
        return answerText(rangeIn(state.model, input.range)) === output ? state : undefined;
      }
      const { state: model, response, events } = evaluate(state.model, input.txn);
      if (output !== undefined && answerText(response) !== output) return undefined;
      if (model === state.model) return output === undefined ? undefined : state;
      if (log !== undefined && log.get(model.revision) !== eventsText(events)) return undefined;
      return stateOf(model);
    },
  };
}

function stateOf(model: ModelState): StoreState {
  const keys = [...model.keys.values()].map((kv) => plain(kv));
  return { model, text: `${model.revision} ${JSON.stringify(keys)}` };
}
