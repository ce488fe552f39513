import type { AddressPlan } from '../../announcement.ts';
import type { Member, Ownership } from '../layer2.ts';
import type { Decision, Elector } from './elector.ts';
import type { LoopPart } from '@cloudless/kube/native/loop';

/** What decisions are carried out by: the announcer, or a test's record of it. */
export interface Announcing {
  setPlans(plans: readonly AddressPlan[]): void;
  setOwned(owned: ReadonlySet<string>): void;
  interfacesFor(address: string): readonly string[];
  heldBy(address: string): readonly string[];
}

export interface DecisionsOptions {
  nodeName: string;
  elector: Elector;
  announcing: Announcing;
  nowMs(this: void): number;
  /** Wall clock, for reports. */
  wallClockMs(this: void): number;
  report(this: void, changed: readonly Ownership[], gone: readonly string[]): void;
}

const none: readonly number[] = [];

/**
 * Joins the elector to the announcer: asks who owns what whenever something changed, carries it out, then reports what is
 * new. Its place among the parts is after the elector and before the announcer, so that after a freeze the decisions
 * are new before a packet is looked at.
 */
export class Decisions implements LoopPart {
  readonly #options: DecisionsOptions;
  #plans: readonly AddressPlan[] = [];
  #members: readonly Member[] = [];
  #reported = new Map<string, { ownership: Ownership; text: string }>();
  #asked = false;

  constructor(options: DecisionsOptions) {
    this.#options = options;
  }

  /** Asks the elector again at the end of this round of the loop. */
  changed(): void {
    this.#asked = true;
  }

  setPlans(plans: readonly AddressPlan[]): void {
    this.#plans = plans;
    this.#options.announcing.setPlans(plans);
    this.#asked = true;
  }

  setMembers(members: readonly Member[]): void {
    this.#members = members;
    this.#asked = true;
  }

  fds(): readonly number[] {
    return none;
  }

  readable(): void {}

  nextDeadlineMs(): number {
    return this.#asked ? 0 : Infinity;
  }

  deadline(): void {
    this.#settle();
  }

  frozen(): void {
    this.#settle();
  }

  #settle(): void {
    this.#asked = false;
    const { elector, announcing, nodeName, nowMs } = this.#options;
    const decisions = elector.owners(this.#plans, this.#members, nowMs());
    announcing.setOwned(
      new Set(
        this.#plans
          .filter((plan) => decisions.get(plan.address)?.owner === nodeName)
          .map((plan) => plan.address),
      ),
    );
    this.#report(decisions);
  }

  #report(decisions: ReadonlyMap<string, Decision>): void {
    const { announcing, wallClockMs, report } = this.#options;
    const next = new Map<string, { ownership: Ownership; text: string }>();
    const changed: Ownership[] = [];
    for (const { address } of this.#plans) {
      const { owner, others = [], contestedBy } = decisions.get(address) ?? {};
      const state = {
        owner,
        others,
        contestedBy,
        interfaces: announcing.interfacesFor(address),
        assignedTo: announcing.heldBy(address),
      };
      const text = JSON.stringify(state);
      const before = this.#reported.get(address);
      if (before?.text === text) {
        next.set(address, before);
        continue;
      }
      const sinceMs =
        before !== undefined && before.ownership.owner === owner ? before.ownership.sinceMs : wallClockMs();
      const ownership = { address, sinceMs, ...state };
      next.set(address, { ownership, text });
      changed.push(ownership);
    }
    const gone = [...this.#reported.keys()].filter((address) => !next.has(address));
    this.#reported = next;
    if (changed.length > 0 || gone.length > 0) report(changed, gone);
  }
}
