import { createHash, randomBytes } from 'node:crypto';

/** Who a store is, in the header of every answer. */
export interface Identity {
  readonly clusterId: bigint;
  /** The store's one member: its servers answer alike. */
  readonly memberId: bigint;
}

/** A new store's name: 63 bits, never 0. */
export function drawClusterId(): bigint {
  return (randomBytes(8).readBigUInt64BE() >> 1n) | 1n;
}

/** The member follows from the cluster, so that only one number is kept. */
export function identityOf(clusterId: bigint): Identity {
  const digest = createHash('sha256').update(`member of ${clusterId}`).digest();
  return { clusterId, memberId: digest.readBigUInt64BE() | 1n };
}
