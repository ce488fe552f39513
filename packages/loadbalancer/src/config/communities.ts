import type { BgpCommunity } from './config.ts';
import type { CommunityObject } from './kinds.ts';
import type { Findings } from './problem.ts';

const number = (text: string | undefined, highest: number): number | undefined =>
  text !== undefined && /^\d{1,10}$/.test(text) && Number(text) <= highest ? Number(text) : undefined;

/** `65535:65282` or `large:1:2:3` (MetalLB: internal/bgp/community); undefined for anything else. */
export function parseCommunity(text: string): BgpCommunity | undefined {
  const parts = text.split(':');
  if (parts.length === 2) {
    const [high, low] = parts.map((part) => number(part, 0xffff));
    return high === undefined || low === undefined ? undefined : { type: 'standard', high, low };
  }
  if (parts.length !== 4 || parts[0] !== 'large') return undefined;
  const [global, local1, local2] = parts.slice(1).map((part) => number(part, 0xffff_ffff));
  return global === undefined || local1 === undefined || local2 === undefined
    ? undefined
    : { type: 'large', global, local1, local2 };
}

/** The names of all Community objects; one name may have one meaning only. */
export function communityNames(
  objects: readonly CommunityObject[],
  findings: Findings,
): ReadonlyMap<string, BgpCommunity> {
  const names = new Map<string, BgpCommunity>();
  const owners = new Map<string, string>();
  for (const object of objects) {
    const report = findings.of('Community', object);
    for (const [i, { name = '', value = '' }] of (object.spec?.communities ?? []).entries()) {
      const field = `spec.communities[${i}]`;
      const community = parseCommunity(value);
      const owner = owners.get(name);
      if (owner !== undefined) report.problem(`${field}.name`, `${name} is defined already, by ${owner}`);
      else if (!community)
        report.problem(
          `${field}.value`,
          `"${value}" is no community; write it as 65535:65282 or large:1:2:3`,
        );
      else {
        names.set(name, community);
        owners.set(name, report.text);
      }
    }
  }
  return names;
}
