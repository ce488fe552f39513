import type { Running } from '@cloudless/kube/lifecycle';
import type { AddressPlan } from '../announcement.ts';

/** A speaker that could answer for addresses, as gossip or a list knows it. */
export interface Member {
  /** The node's name: what the election hashes. */
  readonly name: string;
  /** Where its heartbeats come from and go to. */
  readonly address: string;
  /** Only listed, nobody says that it is alive: it is live by its heartbeats or not at all. */
  readonly unconfirmed?: true;
}

/** Why a node is not the one that answers for an address. */
export type NotOwner = 'not-a-candidate' | 'no-such-member' | 'silent' | 'joining' | 'later-in-election';

/** Who answers for one address, as this speaker sees it. */
export interface Ownership {
  readonly address: string;
  readonly owner: string | undefined;
  /** Wall clock, milliseconds since the epoch. */
  readonly sinceMs: number;
  readonly others: ReadonlyArray<{ readonly node: string; readonly why: NotOwner }>;
  /** Two nodes were seen to answer, and since when; undefined: no split. */
  readonly contestedBy: string | undefined;
  /** Where this node answers when it is the owner; empty when no interface fits. */
  readonly interfaces: readonly string[];
  /**
   * Interfaces of this node that have the address as their own, so that its kernel answers for it, whoever is the owner,
   * and this speaker does not. Absent or empty: none, as it should be, or the kernel is told not to (arp_ignore).
   */
  readonly assignedTo?: readonly string[];
}

/**
 * Layer-2 announcement of one speaker: heartbeats, election, ARP and NDP, all in one thread of their own that no
 * stall of this one delays. The thread is told what is to be announced and who could do it; it decides and answers
 * by itself, with the API server up or not.
 */
export interface Layer2 extends Running {
  /** Everything that is to be announced; replaces what was told before. @throws {TypeError} for what is no IP address. */
  setPlans(plans: readonly AddressPlan[]): void;
  /**
   * Every speaker that gossip believes alive, this one included. The first call begins the join: make it when gossip has
   * asked those it knows of, and after {@link Layer2.setPlans}.
   */
  setMembers(members: readonly Member[]): void;
  /** Present state of each address of the plans. */
  ownerships(): readonly Ownership[];
  /** Hears of each change of an owner or of a contest. Returns the way to unsubscribe. */
  subscribe(listener: (ownership: Ownership) => void): () => void;
  /** Prometheus text, MetalLB's names (`metallb_layer2_requests_received` …). */
  metrics(): string;
}
