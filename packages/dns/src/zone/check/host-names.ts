import { labelsOf, nameAt } from '../../wire/name.ts';
import { rrType, typeName } from '../../wire/types.ts';
import type { Draft, DraftRecord } from './draft.ts';

/** Types whose owners are hosts; a wildcard may stand for one. */
const ownersAreHosts: readonly number[] = [rrType.A, rrType.AAAA, rrType.MX];

/** Types that point to a host, and the octets before its name. */
const pointsToHost: Readonly<Record<number, number | undefined>> = {
  [rrType.NS]: 0,
  [rrType.MX]: 2,
  [rrType.SRV]: 6,
};

/**
 * BIND's check-names: hosts are called by letters, digits and hyphens (RFC 952, RFC 1123 section 2.1). Warnings: DNS itself
 * takes any name.
 */
export function checkHostNames(
  draft: Draft,
  name: string,
  sets: ReadonlyMap<number, readonly DraftRecord[]>,
): void {
  const isHost = isHostName(name.startsWith('*.') ? name.slice(2) : name);
  for (const [type, records] of sets) {
    if (!isHost && ownersAreHosts.includes(type))
      draft.warning(
        records[0],
        `${name}. is no name for a host (${typeName(type)}): letters, digits and hyphens are`,
      );
    const offset = type === rrType.PTR && isReverse(name) ? 0 : pointsToHost[type];
    if (offset === undefined) continue;
    for (const record of records) {
      const target = nameAt(record.data, offset);
      if (!isHostName(target))
        draft.warning(
          record,
          `${name}. points to ${target}. (${typeName(type)}), which is no name for a host: letters, digits and hyphens are`,
        );
    }
  }
}

function isReverse(name: string): boolean {
  return name.endsWith('.in-addr.arpa') || name.endsWith('.ip6.arpa');
}

function isHostName(name: string): boolean {
  return hostName.test(name) || labelsOf(name).length === 0;
}

const hostName = /^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/i;
