import type { Running } from '@cloudless/kube/lifecycle';

/** RFC 5880 section 4.1. */
export type BfdState = 'AdminDown' | 'Down' | 'Init' | 'Up';

/** One BFD session with one peer (RFC 5880, 5881 single hop, 5883 multihop). */
export interface BfdSession extends Running {
  readonly state: BfdState;
  /** Hears of each change of state. */
  subscribe(listener: (state: BfdState, diagnostic: string) => void): () => void;
}
