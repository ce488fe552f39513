import type { KubeObject, Resource } from '@cloudless/kube/object';

/** One write that takes part in a transaction beside the main object's. */
export type AuxiliaryWrite =
  /** Fails the transaction when the object exists. */
  | { type: 'create'; resource: Resource; object: KubeObject }
  /** Fails the transaction unless `object.metadata.resourceVersion` is still the stored one. */
  | { type: 'update'; resource: Resource; object: KubeObject }
  /** Fails the transaction unless `resourceVersion` is still the stored one; absent: must exist. */
  | { type: 'delete'; resource: Resource; namespace: string; name: string; resourceVersion?: string }
  /** Writes nothing, fails the transaction unless the object is still at this version. */
  | { type: 'require'; resource: Resource; namespace: string; name: string; resourceVersion: string };

/**
 * Collects writes that commit together with the main object's in one storage transaction (one revision).
 * When the transaction fails because an auxiliary condition does not hold, the registry runs admission and
 * `allocate` again with a fresh, empty `Transaction` (bounded retries, then 409/500 naming the object).
 */
export interface Transaction {
  add(write: AuxiliaryWrite): void;
  readonly writes: readonly AuxiliaryWrite[];
}

/** A new, empty transaction. */
export function newTransaction(): Transaction {
  const writes: AuxiliaryWrite[] = [];
  return { add: (write) => void writes.push(write), writes };
}
