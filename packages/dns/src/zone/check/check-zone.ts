import { rrType } from '../../wire/types.ts';
import { zoneOf } from '../build.ts';
import type { Zone, ZoneProblem } from '../zone.ts';
import { Draft, type DraftRecord } from './draft.ts';
import { checkHostNames } from './host-names.ts';
import { checkName } from './name-rules.ts';
import { checkSoa } from './soa-rules.ts';
import { checkTargets } from './target-rules.ts';

/**
 * Judges records that are to become a zone as named-checkzone does: errors are what BIND does not load, warnings what it
 * complains about. One thing is milder: name servers without an address are a warning, since theirs may come from a
 * Service later. Names are lower case, at or below `origin`. `zone`: the zone of these records, if it was made already.
 */
export function checkZone(origin: string, records: Iterable<DraftRecord>, zone?: Zone): ZoneProblem[] {
  const draft = new Draft(origin, records);
  checkApex(draft);
  for (const [name, sets] of draft.names) {
    checkName(draft, name, sets);
    checkHostNames(draft, name, sets);
  }
  // Where names lead can be told only of what makes a zone at all.
  if (hasOneSoa(draft)) checkTargets(draft, zone ?? zoneOf(origin, records));
  return draft.problems;
}

function checkApex(draft: Draft): void {
  const apex = draft.names.get(draft.origin);
  const soa = apex?.get(rrType.SOA)?.[0];
  if (soa) checkSoa(draft, soa);
  else draft.error(undefined, `zone ${draft.origin}. has no SOA record`);
  if (!apex?.has(rrType.NS))
    draft.error(soa, `zone ${draft.origin}. has no NS record at its top: add one for each of its servers`);
}

function hasOneSoa(draft: Draft): boolean {
  const soas = draft.names.get(draft.origin)?.get(rrType.SOA) ?? [];
  return soas.length > 0 && soas.every(({ data }) => data.equals((soas[0] as DraftRecord).data));
}
