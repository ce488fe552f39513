import { createHash } from 'node:crypto';
import type { AddressPlan } from '../../announcement.ts';
import type { Member, Ownership } from '../layer2.ts';
import type { LoopPart } from '@cloudless/kube/native/loop';

/** Who is to answer for one address, as the elector sees it now. */
export type Decision = Pick<Ownership, 'owner' | 'others' | 'contestedBy'>;

/**
 * The part of the loop that decides. The thread asks {@link owners} whenever plans, members or interfaces changed,
 * after a freeze (before anything is answered) and when the elector itself calls {@link ElectorContext.changed}.
 */
export interface Elector extends LoopPart {
  /** A decision for each plan, by its address. Pure but for the elector's own memory; `nowMs` is the loop's time. */
  owners(
    plans: readonly AddressPlan[],
    members: readonly Member[],
    nowMs: number,
  ): ReadonlyMap<string, Decision>;
  /** A frame came in, before it is answered; false: it must not be. Absent: always answered. */
  heardFrame?(interfaceName: string, nowMs: number): boolean;
  /** Whether an announcement whose time has come is sent. Absent: always. */
  mayAnnounce?(nowMs: number): boolean;
  /** Another station was heard to claim an address that this node answers for (RFC 5227's conflict, or a split). */
  heardClaim?(address: string, mac: string, interfaceName: string, nowMs: number): void;
  /** Closes its sockets. */
  close(): void;
}

/** What the thread gives to an elector. */
export interface ElectorContext {
  readonly nodeName: string;
  /** The loop's time: CLOCK_BOOTTIME in milliseconds. */
  nowMs(): number;
  /** Asks for {@link Elector.owners} again, at the end of this round of the loop. */
  changed(): void;
  /** Where this node would answer for an address; empty: nowhere, no interface fits or is up. */
  interfacesFor(address: string): readonly string[];
  /** The interface that has an address as its own, as the loop knows it; undefined: none. */
  interfaceWith(address: string): string | undefined;
  /** When anything was last heard on an interface, in the loop's time; undefined: never since it is up. */
  lastFrameMs(interfaceName: string): number | undefined;
  /** Starts the burst for an address anew, if this node owns it: others' entries may point at a former owner. */
  announce(address: string): void;
  log: ThreadLog;
}

/** A line for the log of the main side. */
export type ThreadLog = (
  level: 'debug' | 'info' | 'warn' | 'error',
  message: string,
  fields?: Record<string, unknown>,
) => void;

/**
 * MetalLB's election among all members, whoever is silent: first by sha256(node + "#" + address)
 * (upstream: speaker/layer2_controller.go, sortL2Candidates).
 */
export class MemberElector implements Elector {
  owners(plans: readonly AddressPlan[], members: readonly Member[]): ReadonlyMap<string, Decision> {
    return new Map(plans.map((plan) => [plan.address, electByHash(plan, members)]));
  }
  fds(): readonly number[] {
    return none;
  }
  readable(): void {}
  nextDeadlineMs(): number {
    return Infinity;
  }
  deadline(): void {}
  frozen(): void {}
  close(): void {}
}

const none: readonly number[] = [];

function electByHash(plan: AddressPlan, members: readonly Member[]): Decision {
  const names = new Set(members.map((member) => member.name));
  const candidates = plan.candidates === 'any' ? [...names] : plan.candidates;
  const order = candidates
    .filter((node) => names.has(node))
    .map((node) => ({
      node,
      hash: createHash('sha256')
        .update(`${node}#${plan.electedBy ?? plan.address}`)
        .digest(),
    }))
    .sort((a, b) => a.hash.compare(b.hash));
  return {
    owner: order[0]?.node,
    others: [
      ...order.slice(1).map(({ node }) => ({ node, why: 'later-in-election' as const })),
      ...candidates
        .filter((node) => !names.has(node))
        .map((node) => ({ node, why: 'no-such-member' as const })),
      ...[...names]
        .filter((node) => !candidates.includes(node))
        .map((node) => ({ node, why: 'not-a-candidate' as const })),
    ],
    contestedBy: undefined,
  };
}
