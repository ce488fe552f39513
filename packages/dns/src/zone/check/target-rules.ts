import { isSubdomain, lowerName, nameAt } from '../../wire/name.ts';
import { rrType, typeName } from '../../wire/types.ts';
import { findName, type Match } from '../find-name.ts';
import type { Zone } from '../zone.ts';
import type { Draft, DraftRecord } from './draft.ts';

/** Types whose targets need addresses and may be no aliases (RFC 2181 section 10.3, RFC 2782), with the octets before. */
const targets: readonly { type: number; offset: number }[] = [
  { type: rrType.NS, offset: 0 },
  { type: rrType.MX, offset: 2 },
  { type: rrType.SRV, offset: 6 },
];

/** Rules about where the zone's names lead: servers, exchangers and services, glue, and data that nothing ever sees. */
export function checkTargets(draft: Draft, zone: Zone): void {
  for (const [name, sets] of draft.names) {
    const place = findName(zone, name, rrType.DS);
    if (isHidden(place, name)) {
      warnOfHidden(draft, name, sets, place);
      continue;
    }
    for (const { type, offset } of targets)
      for (const record of sets.get(type) ?? []) {
        const target = lowerName(nameAt(record.data, offset));
        if (target !== '' && isSubdomain(target, draft.origin)) checkTarget(draft, zone, record, target);
      }
    if (zone.node(name)?.isDelegation) warnOfDataAtCut(draft, name, sets);
  }
}

/** Whether the name is below a delegation or a DNAME. */
function isHidden({ kind, node }: Match, name: string): boolean {
  return (kind === 'delegation' || kind === 'dname') && node?.name !== name;
}

function checkTarget(draft: Draft, zone: Zone, record: DraftRecord, target: string): void {
  const what = `${record.name}. points to ${target}. (${typeName(record.type)})`;
  const { kind, node } = findName(zone, target, rrType.A);
  // BIND refuses a zone whose own servers are aliases; elsewhere it complains.
  const isOwnServer = record.type === rrType.NS && record.name === draft.origin;
  const complain = (message: string): void =>
    isOwnServer ? draft.error(record, message) : draft.warning(record, message);
  if (kind === 'delegation') {
    if (record.type === rrType.NS && !hasAddress(zone, target))
      draft.warning(record, `${what}, which is below a delegation and has no glue: add its A or AAAA record`);
  } else if (kind === 'dname')
    complain(`${what}, which the DNAME of ${node?.name}. redirects: it must be the real name`);
  else if (node?.rrset(rrType.CNAME))
    complain(`${what}, which is an alias (CNAME): it must be the real name`);
  else if (!node?.rrset(rrType.A) && !node?.rrset(rrType.AAAA))
    draft.warning(record, `${what}, which has no address in the zone: add its A or AAAA record`);
}

function hasAddress(zone: Zone, name: string): boolean {
  const node = zone.node(name);
  return node?.rrset(rrType.A) !== undefined || node?.rrset(rrType.AAAA) !== undefined;
}

function warnOfHidden(
  draft: Draft,
  name: string,
  sets: ReadonlyMap<number, readonly DraftRecord[]>,
  { kind, node }: Match,
): void {
  for (const [type, [record]] of sets) {
    if (kind === 'delegation' && (type === rrType.A || type === rrType.AAAA)) continue;
    const by = kind === 'dname' ? `the DNAME of ${node?.name}.` : `the delegation of ${node?.name}.`;
    draft.warning(record, `the ${typeName(type)} record of ${name}. is hidden by ${by}: nobody will see it`);
  }
}

/** At a cut the parent has NS and DS, and what denies (RFC 4035 section 2.6); other data is the child's. */
function warnOfDataAtCut(
  draft: Draft,
  name: string,
  sets: ReadonlyMap<number, readonly DraftRecord[]>,
): void {
  const own: readonly number[] = [rrType.NS, rrType.DS, rrType.NSEC, rrType.RRSIG, rrType.A, rrType.AAAA];
  for (const [type, [record]] of sets)
    if (!own.includes(type))
      draft.warning(
        record,
        `the ${typeName(type)} record of ${name}. is at a delegation: nobody will see it`,
      );
}
