import type { AddressPlan } from '../announcement.ts';
import { elect, type ElectionResult, Ranking, type Standing } from './election.ts';
import type { Heartbeats } from './heartbeat.ts';
import type { Member, Ownership } from './layer2.ts';

/** Who answers for one address, as this node decided; it answers itself exactly when it is the owner. */
export type OwnershipDecision = Pick<Ownership, 'owner' | 'others' | 'contestedBy'>;

export interface OwnershipOptions {
  readonly nodeName: string;
  readonly heartbeats: Heartbeats;
  /** The present owner keeps an address until it goes or {@link OwnershipRules.rebalance} is called. */
  readonly sticky?: boolean;
  /** Announce `address` anew: it was contested and is this node's. */
  announceAgain(address: string): void;
}

/** How long an unusual state (a claim that is not let go, two owners) is borne before the other way is tried. */
const settleIntervals = 10;

interface Entry {
  plan: AddressPlan;
  ranking: Ranking;
  answering: boolean;
  /** Since when another keeps what this node was elected for, although it sees this node. */
  waitsSinceMs: number | undefined;
  /** Until then one that comes before may finish its join; Infinity: there is none. */
  waitsUntilMs: number;
  /** The last split that was seen. */
  contest: { by: string; sinceMs: number; seenMs: number; settled: boolean } | undefined;
  /** It answered until this decision. */
  lost: boolean;
  released: boolean;
}

/**
 * What this node answers for: plans, members and heartbeats in, one decision an address out. Pure but for what it remembers.
 *
 * The election decides; what others say that they answer for keeps it from ever having two owners on purpose. Who is
 * elected waits until the present owner, having seen it, lets go. Two that answer (a healed partition) settle with the
 * first heartbeat: the one that is elected last stops, the other announces itself again.
 */
export class OwnershipRules {
  readonly #options: OwnershipOptions;
  readonly #entries = new Map<string, Entry>();
  #members: readonly Member[] = [];
  #decisions: ReadonlyMap<string, OwnershipDecision> = new Map();
  /** Splits seen since the start, a metric. */
  contests = 0;

  constructor(options: OwnershipOptions) {
    this.#options = options;
  }

  /** Replaces plans and members; the node itself is always one of the members. */
  set(plans: readonly AddressPlan[], members: readonly Member[], nowMs: number): void {
    this.#members = members;
    const wanted = new Set(plans.map((plan) => plan.address));
    for (const address of this.#entries.keys()) if (!wanted.has(address)) this.#entries.delete(address);
    for (const plan of plans) {
      const entry = this.#entries.get(plan.address);
      const electedBy = (of: AddressPlan): string => of.electedBy ?? of.address;
      if (entry && electedBy(entry.plan) === electedBy(plan)) entry.plan = plan;
      else this.#entries.set(plan.address, newEntry(plan, entry?.answering ?? false));
    }
    const shared = this.#sharing();
    const shares = (name: string): boolean => shared === 'all' || shared.has(name);
    this.#options.heartbeats.setMembers(members, shares, plans.length > 0, nowMs);
  }

  /** The present owners hand over what MetalLB's rule would give to others. Of use when sticky. */
  rebalance(): void {
    for (const entry of this.#entries.values()) entry.released = entry.answering;
  }

  /** When {@link decide} has to look again though nothing happened; Infinity: never. */
  nextMs(): number {
    let next = Infinity;
    if (this.#options.heartbeats.state === 'checking') return next;
    for (const { waitsSinceMs, waitsUntilMs, contest } of this.#entries.values()) {
      next = Math.min(next, waitsUntilMs);
      if (waitsSinceMs !== undefined) next = Math.min(next, waitsSinceMs + this.#settleMs);
      if (contest) next = Math.min(next, contest.seenMs + this.#settleMs);
    }
    return next;
  }

  /** Decides anew for every plan and tells the others what this node answers for. */
  decide(nowMs: number): ReadonlyMap<string, OwnershipDecision> {
    const { heartbeats } = this.#options;
    // It does not know yet whether it lost anything, so it claims what it claimed; it answers nothing meanwhile.
    if (heartbeats.state === 'checking') return this.#decisions;
    const claimants = this.#claimants();
    const everyone = this.#everyone();
    const decisions = new Map<string, OwnershipDecision>();
    const answers: string[] = [];
    for (const [address, entry] of this.#entries) {
      decisions.set(address, this.#decideOne(entry, claimants.get(address) ?? [], everyone, nowMs));
      if (entry.answering) answers.push(address);
    }
    heartbeats.setAnswers(answers, nowMs);
    this.#decisions = decisions;
    return decisions;
  }

  get #settleMs(): number {
    return settleIntervals * this.#options.heartbeats.timing.intervalMs;
  }

  #decideOne(
    entry: Entry,
    claimants: readonly string[],
    everyone: readonly string[],
    nowMs: number,
  ): OwnershipDecision {
    const { nodeName, heartbeats } = this.#options;
    const order = entry.ranking.of(entry.plan.candidates === 'any' ? everyone : entry.plan.candidates);
    const standing = (node: string): Standing | undefined =>
      claimants.includes(node) ? 'live' : heartbeats.standing(node);
    const election = { order, standing, members: everyone };
    let result = elect(election);
    if (this.#options.sticky === true) result = this.#keepHolder(entry, claimants, election, result);
    const rival = claimants.toSorted((a, b) => (entry.ranking.precedes(a, b) ? -1 : 1))[0];
    const live = heartbeats.state === 'live';
    const mine = live && result.owner === nodeName;
    if (!mine) entry.waitsSinceMs = undefined;
    const free = mine && rival === undefined && !entry.answering;
    entry.waitsUntilMs = free ? this.#joinsFirst(order, nowMs) : Infinity;
    const answers = mine && entry.waitsUntilMs === Infinity && this.#mayHold(entry, rival, nowMs);
    entry.lost = live && entry.answering && !answers;
    entry.answering = answers;
    const contestedBy = this.#contested(entry, rival, nowMs);
    if (mine && !answers) result = instead(result, rival, nodeName);
    return { ...result, contestedBy };
  }

  /**
   * Until when one that goes before this node may be live: it is joining, and not for long. Where all start together, an
   * address would else go through many hands.
   */
  #joinsFirst(order: readonly string[], nowMs: number): number {
    const { heartbeats, nodeName } = this.#options;
    for (const node of order) {
      if (node === nodeName) break;
      const untilMs = heartbeats.peer(node)?.joinsUntilMs ?? -Infinity;
      if (untilMs > nowMs) return untilMs;
    }
    return Infinity;
  }

  /** Whether this node, being elected, answers although `rival` says that it does. */
  #mayHold(entry: Entry, rival: string | undefined, nowMs: number): boolean {
    const { heartbeats, nodeName } = this.#options;
    const waitedSinceMs = entry.waitsSinceMs;
    entry.waitsSinceMs = undefined;
    if (rival === undefined) return true;
    // Plans differ: by the other's, it is a candidate. The hash is common ground.
    if (entry.ranking.precedes(rival, nodeName)) return false;
    const seen = heartbeats.peer(rival)?.seesMe === 'live';
    if (entry.answering) {
      // The rival does not hear this node and cannot yield: this one can.
      const sinceMs = entry.contest?.by === rival ? entry.contest.sinceMs : nowMs;
      return seen || nowMs < sinceMs + this.#settleMs;
    }
    if (!seen) return false;
    if (waitedSinceMs !== undefined && nowMs >= waitedSinceMs + this.#settleMs) return true;
    entry.waitsSinceMs = waitedSinceMs ?? nowMs;
    return false;
  }

  /** The first of those that answer already, unless a member of another make is elected: it knows no holders. */
  #keepHolder(
    entry: Entry,
    claimants: readonly string[],
    election: Parameters<typeof elect>[0],
    result: ElectionResult,
  ): ElectionResult {
    const { nodeName, heartbeats } = this.#options;
    const elected = result.owner;
    if (elected !== undefined && elected !== nodeName && heartbeats.peer(elected)?.heard === false)
      return result;
    const holds = (node: string): boolean =>
      claimants.includes(node) || (node === nodeName && entry.answering && !entry.released);
    const holder = election.order.find(holds);
    entry.released = false;
    return elect({ ...election, holder });
  }

  /** Keeps account of splits: `both` when this node answered and `rival` says that it does. */
  #contested(entry: Entry, rival: string | undefined, nowMs: number): string | undefined {
    const both = entry.answering || entry.lost;
    entry.lost = false;
    if (rival !== undefined && both) {
      if (entry.contest?.by === rival && !entry.contest.settled) entry.contest.seenMs = nowMs;
      else {
        this.contests += 1;
        entry.contest = { by: rival, sinceMs: nowMs, seenMs: nowMs, settled: false };
        if (entry.answering) this.#options.announceAgain(entry.plan.address);
      }
    }
    const { contest } = entry;
    if (contest && rival === undefined && !contest.settled) {
      contest.settled = true;
      // Somebody may have heard the other last.
      if (entry.answering) this.#options.announceAgain(entry.plan.address);
    }
    if (contest && nowMs >= contest.seenMs + this.#settleMs) entry.contest = undefined;
    return entry.contest?.by;
  }

  /** Nodes that say that they answer, by address. */
  #claimants(): Map<string, string[]> {
    const byAddress = new Map<string, string[]>();
    for (const peer of this.#options.heartbeats.peers())
      for (const address of peer.claims) {
        const list = byAddress.get(address);
        if (list) list.push(peer.name);
        else byAddress.set(address, [peer.name]);
      }
    return byAddress;
  }

  /** Members, and those whose heartbeats come although gossip gave them up. */
  #everyone(): readonly string[] {
    const names = new Set(this.#members.map((member) => member.name)).add(this.#options.nodeName);
    for (const peer of this.#options.heartbeats.peers()) if (peer.standing === 'live') names.add(peer.name);
    return [...names];
  }

  /** Who is a candidate of an address of which this node is one. */
  #sharing(): 'all' | ReadonlySet<string> {
    const names = new Set<string>();
    for (const { plan } of this.#entries.values()) {
      if (plan.candidates === 'any') return 'all';
      if (plan.candidates.includes(this.#options.nodeName))
        for (const name of plan.candidates) names.add(name);
    }
    return names;
  }
}

function newEntry(plan: AddressPlan, answering: boolean): Entry {
  return {
    plan,
    ranking: new Ranking(plan.electedBy ?? plan.address),
    answering,
    waitsSinceMs: undefined,
    waitsUntilMs: Infinity,
    contest: undefined,
    lost: false,
    released: false,
  };
}

/** The result while `holder` has not let go of what `elected` is to have, or while it waits for one that joins. */
function instead(result: ElectionResult, holder: string | undefined, elected: string): ElectionResult {
  const others = result.others.filter(({ node }) => node !== holder);
  return { owner: holder, others: [{ node: elected, why: 'later-in-election' }, ...others] };
}
