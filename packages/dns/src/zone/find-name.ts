import { rrType } from '../wire/types.ts';
import { nextLabel, wildcardOf } from './name-tree.ts';
import type { ZoneNode, ZoneReader } from './zone.ts';

/** Where a name leads in a zone (RFC 1034 section 4.3.2 step 3, RFC 6672 section 3.2, RFC 4592 section 3.3). */
export interface Match {
  /**
   * `exact`: `node` is the name's own. `wildcard`: the name does not exist, `node` is the wildcard for it. `delegation`:
   * `node` is the cut at or above the name. `dname`: `node`, above the name, redirects what is below it. `missing`.
   */
  readonly kind: 'exact' | 'wildcard' | 'delegation' | 'dname' | 'missing';
  readonly node: ZoneNode | undefined;
  /** The longest name that exists at or above the name, as far as it was looked for. */
  readonly closestEncloser: string;
}

/**
 * Looks a name up from the zone's apex downwards, as cuts and redirections count from the top; it ends at the first name
 * that is missing, so a long name costs no more than what exists of it. `name` is lower case, at or below the origin;
 * a DS record is the parent side's, so for that type a cut at the name itself is none.
 */
export function findName(zone: ZoneReader, name: string, type: number): Match {
  const { origin } = zone;
  let closest = zone.node(origin) as ZoneNode;
  if (name.length === origin.length) return { kind: 'exact', node: closest, closestEncloser: origin };
  if (closest.rrset(rrType.DNAME)) return { kind: 'dname', node: closest, closestEncloser: origin };
  const starts = startsBelow(name, origin);
  for (let i = starts.length - 1; i >= 0; i--) {
    const node = zone.node(i === 0 ? name : name.slice(starts[i]));
    if (!node) return expandedFrom(zone, closest.name);
    if (node.isDelegation && (i > 0 || type !== rrType.DS))
      return { kind: 'delegation', node, closestEncloser: node.name };
    if (i > 0 && node.rrset(rrType.DNAME)) return { kind: 'dname', node, closestEncloser: node.name };
    closest = node;
  }
  return { kind: 'exact', node: closest, closestEncloser: name };
}

function expandedFrom(zone: ZoneReader, closestEncloser: string): Match {
  const node = zone.node(wildcardOf(closestEncloser));
  return { kind: node ? 'wildcard' : 'missing', node, closestEncloser };
}

/** Where the labels of `name` begin that are below `origin`, the first one first. */
function startsBelow(name: string, origin: string): number[] {
  const end = origin === '' ? name.length : name.length - origin.length - 1;
  const starts: number[] = [];
  for (let start = 0; start < end; start = nextLabel(name, start)) starts.push(start);
  return starts;
}
