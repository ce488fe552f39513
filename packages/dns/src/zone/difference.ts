import type { ResourceRecord } from '../wire/message.ts';
import { rrType } from '../wire/types.ts';
import { nodesThatMayDiffer } from './build.ts';
import { hasSameData, recordsOf } from './rrset.ts';
import { withoutSerial } from './serial.ts';
import type { Zone, ZoneDifference } from './zone.ts';

/**
 * What must be taken away from and added to `from` to get `to`, SOA apart. A set whose TTL changed is taken away and
 * added whole, as RFC 1995 has it.
 */
export function differenceOf(from: Zone, to: Zone): ZoneDifference {
  return { from: from.soa, to: to.soa, removed: missingIn(to, from), added: missingIn(from, to) };
}

/** Records of `whole` that `other` lacks. */
function missingIn(other: Zone, whole: Zone): ResourceRecord[] {
  const missing: ResourceRecord[] = [];
  for (const { name, sets } of nodesThatMayDiffer(whole, other)) {
    const node = other.node(name);
    for (const set of sets) {
      if (set.type === rrType.SOA) continue;
      const there = node?.rrset(set.type);
      if (there === set) continue;
      if (!there || there.ttlSeconds !== set.ttlSeconds) missing.push(...recordsOf(set));
      else if (!hasSameData(there, set)) {
        const kept = new Set(there.data.map((one) => one.toString('latin1')));
        missing.push(...recordsOf(set).filter(({ data }) => !kept.has(data.toString('latin1'))));
      }
    }
  }
  return missing;
}

/** Whether nothing but the serial tells two versions apart; cheaper than their hashes when the difference is known. */
export function isSameContent(from: Zone, to: Zone, difference: ZoneDifference): boolean {
  const [a, b] = [from.soa, to.soa];
  return (
    difference.removed.length === 0 &&
    difference.added.length === 0 &&
    a.ttlSeconds === b.ttlSeconds &&
    withoutSerial(a.data[0] as Buffer).equals(withoutSerial(b.data[0] as Buffer))
  );
}
