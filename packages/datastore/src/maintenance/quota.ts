import type { RequestOp, TxnRequest } from '@cloudless/kube/etcd/store';

/** etcd's --quota-backend-bytes, for servers (server/storage/quota.go, DefaultQuotaBytes). */
export const defaultQuotaBytes = 2 * 1024 * 1024 * 1024;
/** What etcd reckons for a key beside its bytes, and for a lease. */
const keyOverheadBytes = 256;
export const leaseCostBytes = 64;

/** Bytes by which a transaction may make the store grow; 0 when it writes no key. */
export function costOf({ success, failure }: TxnRequest): number {
  return Math.max(costOfAll(success), costOfAll(failure));
}

function costOfAll(ops: readonly RequestOp[]): number {
  let bytes = 0;
  for (const op of ops) {
    if ('put' in op) bytes += op.put.key.byteLength + op.put.value.byteLength + keyOverheadBytes;
    else if ('txn' in op) bytes += costOf(op.txn);
  }
  return bytes;
}

/** Keeps a store below a size. It asks for the size only when what was written since may have reached the limit. */
export class Quota {
  readonly bytes: number;
  readonly #size: () => number;
  #atMost: number;

  /** @param size bytes in use now: space that is free in the file will be written first */
  constructor(bytes: number, size: () => number) {
    this.bytes = bytes;
    this.#size = size;
    this.#atMost = Infinity;
  }

  /** Whether there is room for so many bytes more, which then count as written. */
  admits(cost: number): boolean {
    if (this.bytes === Infinity) return true;
    this.#atMost += cost;
    if (this.#atMost < this.bytes) return true;
    this.#atMost = this.#size() + cost;
    return this.#atMost < this.bytes;
  }
}
