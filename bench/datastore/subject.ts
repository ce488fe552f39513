// What is compared, and the few operations that all of them have.
import type { EtcdStore } from '@cloudless/kube/etcd/store';
import type { Lean } from './lean-process.ts';

export interface Target {
  put(key: string, value: Uint8Array): Promise<void>;
  /** Bytes of the value. */
  get(key: string): Promise<number>;
  /** How many keys begin with `prefix`. */
  list(prefix: string): Promise<number>;
  /** Gives up history before the `puts`-th put. */
  compactTo(puts: number): Promise<void>;
}

export interface Running {
  readonly target: Target;
  /** A client of the server that costs next to nothing. */
  readonly lean?: Lean;
  /** Absent for what has no watches here. */
  readonly store?: EtcdStore;
  /** Of the server, if it is a process of its own. */
  readonly pid?: number;
  /** Ends it; what it wrote stays. */
  stop(): Promise<void>;
}

export interface SubjectOptions {
  /** How much faster than in life time passes for the server's timers. */
  speedup?: number;
  commitWindowMs?: number;
}

export interface Subject {
  readonly name: string;
  /** Starts it on what is in the folder, or empty. */
  start(folder: string, options?: SubjectOptions): Promise<Running>;
}

/** The operations by etcd's API. */
export function targetOf(store: EtcdStore): Target {
  return {
    async put(key, value) {
      await store.put({ key: Buffer.from(key), value });
    },
    async get(key) {
      return (await store.range({ key: Buffer.from(key) })).kvs[0]?.value.byteLength ?? 0;
    },
    async list(prefix) {
      const range = { key: Buffer.from(prefix), rangeEnd: Buffer.from(`${prefix}~`) };
      return (await store.range(range)).kvs.length;
    },
    compactTo: (puts) => store.compact(puts + 1),
  };
}
