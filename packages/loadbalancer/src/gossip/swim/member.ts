import type { GossipState } from '../gossip.ts';
import type { Endpoint } from '../wire/address.ts';
import type { Suspicion } from './suspicion.ts';

/** A member's state as a number on the wire. */
export const memberState = { alive: 0, suspect: 1, dead: 2, left: 3 } as const satisfies Record<
  GossipState,
  number
>;

/** What is known of a member. */
export interface MemberRecord {
  readonly name: string;
  /** As the member spells it: others compare these bytes, so they are told on unchanged. */
  addr: Buffer;
  endpoint: Endpoint;
  meta: Buffer;
  /** pmin, pmax, pcur, dmin, dmax, dcur. */
  vsn: Buffer;
  incarnation: number;
  state: GossipState;
  /** Monotonic. */
  stateChangeMs: number;
  suspicion: Suspicion | undefined;
}

export const isGone = (member: MemberRecord): boolean => member.state === 'dead' || member.state === 'left';

/** The highest version of memberlist's protocol that a member understands; 0: not told. */
export const protocolMaxOf = (member: MemberRecord): number => member.vsn[1] ?? 0;
