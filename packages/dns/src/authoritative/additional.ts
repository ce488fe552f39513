import type { ResourceRecord } from '../wire/message.ts';
import { isSubdomain, lowerName, nameAt, rrType } from '../wire/name.ts';
import { recordsOf, StoredRRset } from '../zone/rrset.ts';
import type { RRset, ZoneNode, ZoneReader } from '../zone/zone.ts';
import { findName } from '../zone/find-name.ts';
import type { AnswerSigner } from './signer.ts';

/** Octets in front of the name that a record points to, by types whose targets' addresses are sent along. */
const octetsBeforeTarget: Readonly<Record<number, number | undefined>> = {
  [rrType.NS]: 0,
  [rrType.MX]: 2,
  [rrType.AFSDB]: 2,
  [rrType.RT]: 2,
  [rrType.KX]: 2,
  [rrType.SRV]: 6,
  [rrType.SVCB]: 2,
  [rrType.HTTPS]: 2,
};

/** Targets whose addresses are sent along with one set. */
const maxTargets = 16;

const addressTypes = [rrType.A, rrType.AAAA] as const;

/** Adds the addresses that the zone has for what the set's records point to. `signer`: signatures are wanted. */
export function addAdditionals(
  additionals: ResourceRecord[],
  zone: ZoneReader,
  rrset: RRset,
  signer: AnswerSigner | undefined,
): void {
  const offset = octetsBeforeTarget[rrset.type];
  if (offset === undefined) return;
  for (const target of targetsOf(rrset, offset)) {
    if (!isSubdomain(target, zone.origin)) continue;
    const { kind, node } = findName(zone, target, rrType.A);
    if (kind !== 'exact' && kind !== 'wildcard') continue;
    for (const type of addressTypes) {
      const found = (node as ZoneNode).rrset(type);
      if (!found) continue;
      const given = kind === 'exact' ? found : new StoredRRset(target, type, found.ttlSeconds, found.data);
      additionals.push(...recordsOf(given));
      if (signer) additionals.push(...signer.sign(given, kind === 'wildcard' ? node?.name : undefined));
    }
  }
}

/**
 * Adds the addresses of a delegation's servers, those within the delegated domain first; returns how many these are.
 * Others of the zone help too, below another delegation as well (RFC 9471 sections 2.1 and 2.2).
 */
export function addGlue(additionals: ResourceRecord[], zone: ZoneReader, servers: RRset): number {
  const targets = targetsOf(servers, 0).filter((target) => isSubdomain(target, zone.origin));
  const within = targets.filter((target) => isSubdomain(target, servers.name));
  for (const target of within) addAddresses(additionals, zone.node(target));
  const required = additionals.length;
  for (const target of targets) if (!within.includes(target)) addAddresses(additionals, zone.node(target));
  return required;
}

function addAddresses(additionals: ResourceRecord[], node: ZoneNode | undefined): void {
  for (const type of addressTypes) {
    const found = node?.rrset(type);
    if (found) additionals.push(...recordsOf(found));
  }
}

/** The names that a set's records point to, each once. A service at `.` is at its own name (RFC 9460 section 2.5.2). */
function targetsOf(rrset: RRset, offset: number): string[] {
  const targets = new Set<string>();
  const isService = rrset.type === rrType.SVCB || rrset.type === rrType.HTTPS;
  for (const data of rrset.data.slice(0, maxTargets)) {
    const target = lowerName(nameAt(data, offset));
    targets.add(target === '' && isService ? rrset.name : target);
  }
  return [...targets];
}
