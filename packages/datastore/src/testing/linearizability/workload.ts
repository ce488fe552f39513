import type { Compare, EtcdStore, RangeRequest, RequestOp, TxnRequest } from '@cloudless/kube/etcd/store';
import type { Recorder } from './recorder.ts';

/** Every key of a history. */
export const everything = { key: Buffer.from('h/'), rangeEnd: Buffer.from('h0') };
const names = ['a', 'b', 'c', 'd', 'e'];
const keyNamed = (name: string): Uint8Array => Buffer.from(`h/${name}`);

export interface WorkloadOptions {
  recorder: Recorder;
  /** The store that a client asks next; another one after a restart. */
  store: (client: number) => EtcdStore;
  clients: number;
  operationsPerClient: number;
  /** Numbers in [0, 1). */
  next: () => number;
  /** Waits until the store is back after an operation without an answer. */
  recovered?: (() => Promise<void>) | undefined;
  /** Distinguishes the values of one workload from those of another in the same history. */
  name?: string | undefined;
}

/**
 * Lets clients ask at the same time, each one thing after the other: puts, deletions of a key or all, compare-and-put
 * on what they last saw, transactions over two keys, reads of a key or all. Values never repeat.
 */
export async function runWorkload(options: WorkloadOptions): Promise<void> {
  const { clients, operationsPerClient, recovered } = options;
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      const seen = new Map<string, number>();
      for (let i = 0; i < operationsPerClient; i++) {
        const told = await ask(options, client, i, seen);
        if (told === undefined) await recovered?.();
      }
    }),
  );
}

function ask(
  { recorder, store, next, name: workload = '' }: WorkloadOptions,
  client: number,
  i: number,
  seen: Map<string, number>,
): Promise<number | undefined> {
  const pick = (): string => names[Math.floor(next() * names.length)] as string;
  const [one, other] = [pick(), pick()];
  const value = Buffer.from(`${workload}${client}.${i}`);
  const on = store(client);
  const dice = next();
  const remember = async (answer: Promise<number | undefined>): Promise<number | undefined> => {
    const revision = await answer;
    if (revision !== undefined) seen.set(one, revision);
    return revision;
  };
  if (dice < 0.22) {
    const put = { key: keyNamed(one), value, prevKv: next() < 0.5 };
    return remember(recorder.write(client, on, { put }));
  }
  if (dice < 0.29) {
    return recorder.write(client, on, { deleteRange: { key: keyNamed(one), prevKv: true } });
  }
  if (dice < 0.31) return recorder.write(client, on, { deleteRange: { ...everything, prevKv: true } });
  if (dice < 0.55) return remember(recorder.txn(client, on, compareAndPut(one, seen.get(one) ?? 0, value)));
  if (dice < 0.67) return recorder.txn(client, on, both(one, other, value));
  if (dice < 0.85) return remember(recorder.range(client, on, { key: keyNamed(one) }));
  if (dice < 0.9) return recorder.txn(client, on, readBoth(one, other));
  const range: RangeRequest = {
    ...everything,
    keysOnly: next() < 0.3,
    sortOrder: 'descend',
    sortTarget: 'mod',
  };
  return recorder.range(client, on, range);
}

/** Puts if the key is as it was last seen, or tells what it is. */
function compareAndPut(name: string, seenAt: number, value: Uint8Array): TxnRequest {
  const key = keyNamed(name);
  return {
    compare: [{ key, target: 'mod', result: 'less', operand: seenAt + 1 }],
    success: [{ put: { key, value } }],
    failure: [{ range: { key } }],
  };
}

/** Writes one key and deletes another, in one revision. */
function both(one: string, other: string, value: Uint8Array): TxnRequest {
  const exists: Compare = { key: keyNamed(one), target: 'version', result: 'greater', operand: 0 };
  const write: RequestOp[] = [{ put: { key: keyNamed(one), value } }];
  if (one !== other) write.push({ deleteRange: { key: keyNamed(other), prevKv: true } });
  return {
    compare: [exists],
    success: [...write, { range: everything }],
    failure: [
      { put: { key: keyNamed(one), value } },
      ...(one === other ? [] : [{ put: { key: keyNamed(other), value } }]),
    ],
  };
}

const readBoth = (one: string, other: string): TxnRequest => ({
  compare: [],
  success: [{ range: { key: keyNamed(one) } }, { range: { key: keyNamed(other) } }],
  failure: [],
});
