import { hash } from 'node:crypto';
import type { NotOwner } from './layer2.ts';

/** What a speaker knows of another, as far as the election cares. */
export type Standing = 'live' | 'silent' | 'joining';

export interface ElectionResult {
  readonly owner: string | undefined;
  /** Every other candidate and member, candidates in their order, and why it is not the owner. */
  readonly others: ReadonlyArray<{ readonly node: string; readonly why: NotOwner }>;
}

export interface Election {
  /** Candidates in the election's order ({@link Ranking}); of `any`, all members. */
  readonly order: readonly string[];
  /** Every member; undefined: not known to gossip. */
  readonly standing: (node: string) => Standing | undefined;
  /** All members, to say of those that are no candidates that they are none. */
  readonly members: Iterable<string>;
  /** The node that keeps the address as long as it is a live candidate (option `sticky`). */
  readonly holder?: string | undefined;
}

/**
 * MetalLB's rule: the first live candidate in the order of sha256(node + "#" + first address) answers
 * (upstream: speaker/layer2_controller.go, sortL2Candidates). A live holder goes before.
 */
export function elect(election: Election): ElectionResult {
  const { order, standing, holder } = election;
  const holds = holder !== undefined && order.includes(holder) && standing(holder) === 'live';
  const owner = holds ? holder : order.find((node) => standing(node) === 'live');
  const others: Array<{ node: string; why: NotOwner }> = [];
  for (const node of order) if (node !== owner) others.push({ node, why: whyNot(standing(node)) });
  const candidates = new Set(order);
  for (const node of election.members)
    if (!candidates.has(node)) others.push({ node, why: 'not-a-candidate' });
  return { owner, others };
}

function whyNot(standing: Standing | undefined): NotOwner {
  if (standing === undefined) return 'no-such-member';
  return standing === 'live' ? 'later-in-election' : standing;
}

/**
 * Nodes in the order in which they are elected for one address. Hashes are taken once a node, so that a change of
 * members costs one hash an address and not all of them.
 */
export class Ranking {
  readonly #electedBy: string;
  readonly #ranks = new Map<string, string>();
  #order: string[] = [];

  /** `electedBy`: the address whose text is hashed, in MetalLB's canonical form (RFC 5952). */
  constructor(electedBy: string) {
    this.#electedBy = electedBy;
  }

  /** Of `nodes`, in any order; the same array again while they are the same. */
  of(nodes: Iterable<string>): readonly string[] {
    const wanted = new Set(nodes);
    if (wanted.size === this.#order.length && this.#order.every((node) => wanted.has(node)))
      return this.#order;
    this.#order = [...wanted].sort((a, b) => (this.precedes(a, b) ? -1 : 1));
    for (const node of this.#ranks.keys()) if (!wanted.has(node)) this.#ranks.delete(node);
    return this.#order;
  }

  /** Whether `a` goes before `b`. */
  precedes(a: string, b: string): boolean {
    return this.#rank(a) < this.#rank(b);
  }

  /** Hexadecimal digits sort as the bytes do. */
  #rank(node: string): string {
    let rank = this.#ranks.get(node);
    if (rank === undefined) {
      rank = hash('sha256', `${node}#${this.#electedBy}`, 'hex');
      this.#ranks.set(node, rank);
    }
    return rank;
  }
}
