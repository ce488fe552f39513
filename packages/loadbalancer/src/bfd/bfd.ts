import type { Running } from '@cloudless/kube/lifecycle';

/** RFC 5880 section 4.1. */
export type BfdState = 'AdminDown' | 'Down' | 'Init' | 'Up';

/** What a session saw since it was started. */
export interface BfdCounters {
  /** Control packets taken for this session's, and sent. */
  readonly packetsReceived: number;
  readonly packetsSent: number;
  /** How often it came up, and went down from that. */
  readonly ups: number;
  readonly downs: number;
}

/** One BFD session with one peer (RFC 5880, 5881 single hop, 5883 multihop). */
export interface BfdSession extends Running {
  /** `AdminDown`: one of both ends has ended it by will, which says nothing about the path (RFC 5882 section 3.2). */
  readonly state: BfdState;
  counters(): BfdCounters;
  /** Hears of each change of state. */
  subscribe(listener: (state: BfdState, diagnostic: string) => void): () => void;
}

/** Which two addresses a session of BFD watches; the profile's timers are the factory's own. */
export interface BfdEnds {
  readonly localAddress: string;
  readonly peerAddress: string;
  /** RFC 5883 (port 4784, no TTL of 255) instead of RFC 5881. */
  readonly multihop: boolean;
}

/** Starts a session of BFD; called by a BGP session when it knows its own address. */
export type BfdFactory = (ends: BfdEnds) => BfdSession;
