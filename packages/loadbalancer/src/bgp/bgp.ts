import type { Running } from '@cloudless/kube/lifecycle';
import type { BgpCommunity } from '../config/config.ts';

/** A prefix that a session tells its peer. */
export interface BgpRoute {
  /** `192.0.2.9/32`, `2001:db8::9/128`. */
  readonly prefix: string;
  /** Sent to internal peers only. */
  readonly localPref: number;
  readonly communities: readonly BgpCommunity[];
}

export type BgpState = 'Idle' | 'Connect' | 'Active' | 'OpenSent' | 'OpenConfirm' | 'Established';

export interface BgpSessionStatus {
  readonly state: BgpState;
  /** Wall clock, milliseconds, of the last change of `state`. */
  readonly sinceMs: number;
  /** Why the last session ended: NOTIFICATION sent or received, or the transport's words. */
  readonly lastError: string | undefined;
  readonly bfd: 'AdminDown' | 'Down' | 'Init' | 'Up' | undefined;
  readonly advertisedRoutes: number;
}

/** One BGP session; it connects, and connects again, until stopped. */
export interface BgpSession extends Running {
  /** The routes that the peer is to have: withdraws and advertises the difference. */
  setRoutes(routes: readonly BgpRoute[]): void;
  status(): BgpSessionStatus;
  subscribe(listener: (status: BgpSessionStatus) => void): () => void;
}
