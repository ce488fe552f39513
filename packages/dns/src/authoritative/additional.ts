import type { ResourceRecord } from '../wire/message.ts';
import { isSubdomain, lowerName, nameAt } from '../wire/name.ts';
import { rrType } from '../wire/types.ts';
import { recordsOf, StoredRRset } from '../zone/rrset.ts';
import type { RRset, ZoneNode, ZoneReader } from '../zone/zone.ts';
import { findName, type Match } from '../zone/find-name.ts';
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

/**
 * Adds the addresses that the zone has for what the set's records point to; of a service's alias what it leads to in the
 * zone (RFC 9460 section 4.2). `signer`: signatures are wanted.
 */
export function addAdditionals(
  additionals: ResourceRecord[],
  zone: ZoneReader,
  rrset: RRset,
  signer: AnswerSigner | undefined,
): void {
  const offset = octetsBeforeTarget[rrset.type];
  if (offset === undefined) return;
  const gathered: Gathered = { additionals, zone, signer, names: new Set() };
  const service = isService(rrset.type) ? rrset.type : undefined;
  for (const { target, isAlias } of targetsOf(rrset, offset)) addTarget(gathered, target, service, isAlias);
}

interface Gathered {
  readonly additionals: ResourceRecord[];
  readonly zone: ZoneReader;
  readonly signer: AnswerSigner | undefined;
  /** What was added already. */
  readonly names: Set<string>;
}

/** `isAlias`: the target stands for a service of that type, and may be an alias itself. */
function addTarget(gathered: Gathered, target: string, service: number | undefined, isAlias: boolean): void {
  const { zone, names } = gathered;
  if (!isSubdomain(target, zone.origin) || names.has(target) || names.size >= maxTargets) return;
  names.add(target);
  const match = findName(zone, target, rrType.A);
  const { kind, node } = match;
  if (!node || (kind !== 'exact' && kind !== 'wildcard')) return;
  const add = (type: number): RRset | undefined => {
    const found = node.rrset(type);
    if (found) addSet(gathered, kind === 'exact' ? found : withOwner(found, target), match);
    return found;
  };
  if (isAlias && service !== undefined) {
    const cname = add(rrType.CNAME);
    if (cname) return addTarget(gathered, lowerName(nameAt(cname.data[0] as Buffer, 0)), service, true);
    const next = add(service);
    for (const one of next ? targetsOf(withOwner(next, target), 2) : [])
      addTarget(gathered, one.target, service, one.isAlias);
  }
  for (const type of addressTypes) add(type);
}

function addSet({ additionals, signer }: Gathered, rrset: RRset, { kind, node }: Match): void {
  additionals.push(...recordsOf(rrset));
  if (signer) additionals.push(...signer.sign(rrset, kind === 'wildcard' ? node?.name : undefined));
}

function withOwner({ type, ttlSeconds, data }: RRset, name: string): RRset {
  return new StoredRRset(name, type, ttlSeconds, data);
}

/**
 * Adds the addresses of a delegation's servers, those within the delegated domain first; returns how many these are.
 * Others of the zone help too, below another delegation as well (RFC 9471 sections 2.1 and 2.2).
 */
export function addGlue(additionals: ResourceRecord[], zone: ZoneReader, servers: RRset): number {
  const all = targetsOf(servers, 0).map(({ target }) => target);
  const targets = [...new Set(all)].filter((target) => isSubdomain(target, zone.origin));
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

/** The names that a set's records point to. A service at `.` is at its own name, an alias to it is none (RFC 9460 section 2.5). */
function targetsOf(rrset: RRset, offset: number): { target: string; isAlias: boolean }[] {
  return rrset.data.slice(0, maxTargets).map((data) => {
    const target = lowerName(nameAt(data, offset));
    const isAlias = isService(rrset.type) && data.readUInt16BE(0) === 0;
    return { target: target === '' && isService(rrset.type) && !isAlias ? rrset.name : target, isAlias };
  });
}

function isService(type: number): boolean {
  return type === rrType.SVCB || type === rrType.HTTPS;
}
