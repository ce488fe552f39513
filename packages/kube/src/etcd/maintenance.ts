/**
 * etcd's Maintenance service as a TypeScript interface: what keeps a store healthy and movable, beside what
 * `store.ts` reads and writes. The engine of `@cloudless/datastore` and the gRPC client implement it.
 */
import type { CallOptions } from './store.ts';

/** Why a store refuses writes (etcd's AlarmType). */
export type AlarmType = 'nospace' | 'corrupt';

export interface Alarm {
  memberId: bigint;
  alarm: AlarmType;
}

export interface HashKvResponse {
  /** CRC-32 (Castagnoli) over every retained revision up to `hashRevision`, as etcd's mvcc/hash.go computes it. */
  hash: number;
  /** Revision of the store when it was computed. */
  revision: number;
  compactRevision: number;
  hashRevision: number;
}

export interface EtcdMaintenance {
  alarms(options?: CallOptions): Promise<Alarm[]>;
  /** Raises an alarm; from then on `nospace` refuses what grows the store. Answers those now active. */
  activateAlarm(alarm: AlarmType, options?: CallOptions): Promise<Alarm[]>;
  /** Takes an alarm back. A store that is still over its quota raises it again with the next write. */
  deactivateAlarm(alarm: AlarmType, options?: CallOptions): Promise<Alarm[]>;
  /** Gives free space back to the file system. Reads and writes go on. */
  defragment(options?: CallOptions): Promise<void>;
  /** @param revision 0: the newest. */
  hashKv(revision: number, options?: CallOptions): Promise<HashKvResponse>;
  /** Checksum of everything stored, leases included; only equal stores of one program agree in it. */
  hash(options?: CallOptions): Promise<{ hash: number; revision: number }>;
  /**
   * A point-in-time copy with its whole retained history: a bbolt database file as etcd's own, followed by the 32
   * bytes of its SHA-256. `etcdctl snapshot restore` and etcd accept it.
   */
  snapshot(options?: CallOptions): AsyncIterable<Uint8Array>;
}
