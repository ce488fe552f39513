import { memberState } from './member.ts';

/** Protocol versions of memberlist that are understood (net.go: ProtocolVersionMin, ProtocolVersionMax). */
export const protocolMin = 1;
export const protocolMax = 5;

/** What a member says that it speaks, in a message's `Vsn`: pmin, pmax, pcur, dmin, dmax, dcur. */
export interface Versions {
  readonly name: string;
  readonly state: number;
  readonly vsn: Uint8Array;
}

/** Members that cannot all understand one another. */
export class ProtocolVersionError extends Error {
  override readonly name = 'ProtocolVersionError';
}

const offsets = [
  { what: 'protocol', min: 0, max: 1, current: 2 },
  { what: 'delegate protocol', min: 3, max: 4, current: 5 },
] as const;

/**
 * Checks that every member, known and told, speaks what every live one understands (memberlist, state.go:
 * verifyProtocol). Throws {@link ProtocolVersionError} naming the member that does not.
 */
export function verifyVersions(members: readonly Versions[]): void {
  const alive = members.filter((member) => member.state === memberState.alive && member.vsn.length >= 5);
  for (const { what, min, max, current } of offsets) {
    const highestMin = Math.max(0, ...alive.map((member) => member.vsn[min] ?? 0));
    const lowestMax = Math.min(255, ...alive.map((member) => member.vsn[max] ?? 0));
    for (const member of members) {
      const spoken = member.vsn[current] ?? 0;
      if (spoken < highestMin || spoken > lowestMax)
        throw new ProtocolVersionError(
          `member ${member.name} speaks ${what} version ${spoken}, but the members' common versions are ${highestMin} to ${lowestMax}`,
        );
    }
  }
}

/** Whether a member that is told of has versions at all (memberlist refuses such an alive message). */
export function saneVersions(vsn: Uint8Array): boolean {
  if (vsn.length < 3) return true;
  const [min = 0, max = 0] = vsn;
  return min > 0 && max > 0 && min <= max;
}
