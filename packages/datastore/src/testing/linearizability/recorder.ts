import {
  EtcdError,
  type EtcdStore,
  grpcCode,
  type RangeRequest,
  type RequestOp,
  type TxnRequest,
} from '@cloudless/kube/etcd/store';
import { answerText, type StoreInput, type StoreOperation } from './store-model.ts';

/** After these nobody can say whether a write was made. */
const unknownOutcomes = new Set<number>([
  grpcCode.canceled,
  grpcCode.unknown,
  grpcCode.deadlineExceeded,
  grpcCode.internal,
  grpcCode.unavailable,
]);

/** Orders calls and returns: all clients of one history live in this process, whose turns are the clock. */
export class HistoryClock {
  #now = 0;

  tick(): number {
    return ++this.#now;
  }
}

/** Records what clients asked for and were told. */
export class Recorder {
  readonly operations: StoreOperation[] = [];
  readonly #clock = new HistoryClock();

  /** Writes of which nobody knows whether they happened. */
  get unknown(): number {
    return this.operations.filter(({ input, output }) => output === undefined && 'txn' in input).length;
  }

  /** @returns the answer's revision, undefined when there was no answer. Refusals have no effect and no record. */
  range(client: number, store: EtcdStore, range: RangeRequest): Promise<number | undefined> {
    return this.#record(client, { range }, () => store.range(range));
  }

  txn(client: number, store: EtcdStore, txn: TxnRequest): Promise<number | undefined> {
    return this.#record(client, { txn }, () => store.txn(txn));
  }

  /** One operation through the call of its own, recorded as a transaction of it. */
  async write(client: number, store: EtcdStore, op: RequestOp): Promise<number | undefined> {
    const txn = { compare: [], success: [op], failure: [] };
    return this.#record(client, { txn }, async () => {
      if ('txn' in op || 'range' in op) return store.txn(txn);
      const response =
        'put' in op
          ? { put: await store.put(op.put) }
          : { deleteRange: await store.deleteRange(op.deleteRange) };
      const { revision } = Object.values(response)[0] as { revision: number };
      return { revision, succeeded: true, responses: [response] };
    });
  }

  async #record(
    client: number,
    input: StoreInput,
    call: () => Promise<{ revision: number }>,
  ): Promise<number | undefined> {
    const calledAt = this.#clock.tick();
    try {
      const answer = await call();
      const output = answerText(answer);
      this.operations.push({ client, input, output, calledAt, returnedAt: this.#clock.tick() });
      return answer.revision;
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      if (unknownOutcomes.has(error.code)) {
        this.operations.push({ client, input, output: undefined, calledAt, returnedAt: Infinity });
      }
      return undefined;
    }
  }
}
