import type { BfdCounters } from '../bfd/bfd.ts';
import type { Running } from '@cloudless/kube/lifecycle';
import type { BgpCommunity, BgpPeer } from '../config/config.ts';

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
  /** Routes that the peer is to be told, whether it can be or not. */
  readonly wantedRoutes?: number;
  /** Routes that this peer cannot be told, and why (a family that it does not speak, no next hop). */
  readonly untold?: ReadonlyArray<{ readonly prefix: string; readonly why: string }>;
}

/** What went over one session since it was started. */
export interface BgpCounters {
  readonly opensSent: number;
  readonly opensReceived: number;
  readonly updatesSent: number;
  readonly updatesReceived: number;
  readonly notificationsSent: number;
  readonly notificationsReceived: number;
  readonly keepalivesSent: number;
  readonly keepalivesReceived: number;
  readonly routeRefreshesReceived: number;
}

/**
 * How a session ends. `shutdown`: the peer is told (Cease, RFC 4486) and drops the routes at once. `restart`: where
 * graceful restart was agreed, the connection ends without a word and the peer keeps the routes for the next start
 * (RFC 4724 section 4.2); elsewhere the same as `shutdown`.
 */
export type BgpEnding = 'shutdown' | 'restart';

/** One BGP session; it connects, and connects again, until stopped. */
export interface BgpSession extends Running {
  readonly peer: BgpPeer;
  /**
   * The routes that the peer is to have: withdraws and advertises the difference. Before the first call the peer
   * hears of no route and of no end of them, so that after a restart it keeps what it had until all is known again.
   */
  setRoutes(routes: readonly BgpRoute[]): void;
  status(): BgpSessionStatus;
  counters(): BgpCounters;
  /** Of its session of BFD; undefined: there is none. */
  bfdCounters(): BfdCounters | undefined;
  /** Hears of each change of the state, of the last error and of BFD. Returns the way to unsubscribe. */
  subscribe(listener: (status: BgpSessionStatus) => void): () => void;
  /** Ends the session, by default as `shutdown`. */
  stop(how?: BgpEnding): Promise<void>;
}
