import type { BfdEnds, BfdState } from '../bfd.ts';
import type { BfdTiming } from '../machine.ts';

/** A session as the thread is told of it. */
export interface SessionOrder extends BfdEnds {
  readonly id: number;
  readonly timing: BfdTiming;
  /** The TTL or hop limit that a multihop peer's packets have at least; one hop: 255. */
  readonly minimumTtl: number;
  /** Two Uint32, counted by the thread: control packets received and sent. */
  readonly packets: SharedArrayBuffer;
}

export type BfdCommand =
  | { readonly kind: 'add'; readonly session: SessionOrder }
  | { readonly kind: 'remove'; readonly id: number };

export type BfdReport =
  | { readonly kind: 'state'; readonly id: number; readonly state: BfdState; readonly diagnostic: string }
  | { readonly kind: 'removed'; readonly id: number }
  /** The session has no sockets; it is tried again. */
  | { readonly kind: 'problem'; readonly id: number; readonly problem: string };
