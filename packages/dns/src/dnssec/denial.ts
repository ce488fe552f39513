import { rrType } from '../wire/types.ts';
import { base32HexText, nsec3Data, nsecData } from '../wire/rdata.ts';
import type { DenialRequest } from '../authoritative/signer.ts';
import type { RRset, ZoneNode } from '../zone/zone.ts';
import { isMadeBySigning, nsec3Parameters } from './apex.ts';
import { nextCloserOf, successorOf } from './name-order.ts';
import { neighbour, nsec3Hash } from './nsec3-hash.ts';

/** A record of a proof. */
export interface Proof {
  readonly rrset: RRset;
  /** It is about a name that whoever asks can make up: there is no end of these, so they must not crowd out the others. */
  readonly isMadeUp: boolean;
}

/** What of a zone its denials depend on. */
export interface DenialZone {
  readonly origin: string;
  node(name: string): ZoneNode | undefined;
  /** Types that signing adds at the apex. */
  readonly apexTypes: readonly number[];
}

/**
 * The types that a node's bitmap says besides RRSIG and NSEC. At a delegation the parent has authority over NS and DS
 * alone (RFC 4035 section 2.3); what is glue there belongs to the child.
 */
export function typesOf(zone: DenialZone, node: ZoneNode | undefined): number[] {
  if (!node) return [];
  const types = node.types().filter((type) => !isMadeBySigning(type));
  if (node.isDelegation) return types.filter((type) => type === rrType.NS || type === rrType.DS);
  return node.name === zone.origin ? [...new Set([...types, ...zone.apexTypes])] : types;
}

/** Whether the parent signs anything at the node: not at an insecure delegation, nor at an empty non-terminal. */
export function hasSignatures(node: ZoneNode, types: readonly number[]): boolean {
  return node.isDelegation ? types.includes(rrType.DS) : types.length > 0;
}

/** An NSEC (RFC 4034 section 4). `types` without RRSIG and NSEC, which every name with an NSEC has. */
export function nsecOf(owner: string, next: string, types: readonly number[], ttlSeconds: number): RRset {
  const data = nsecData(next, [...types, rrType.RRSIG, rrType.NSEC]);
  return { name: owner, type: rrType.NSEC, ttlSeconds, data: [data] };
}

/** An NSEC3 with the parameters of RFC 9276 (RFC 5155 section 3). `types` as they are to be said. */
export function nsec3Of(
  origin: string,
  hash: Buffer,
  next: Buffer,
  types: readonly number[],
  ttlSeconds: number,
): RRset {
  const label = base32HexText(hash).toLowerCase();
  return {
    name: origin === '' ? label : `${label}.${origin}`,
    type: rrType.NSEC3,
    ttlSeconds,
    data: [nsec3Data({ ...nsec3Parameters, nextHashedOwner: next, types: [...types] })],
  };
}

/**
 * Compact denial (RFC 9824): every name that is asked for "exists", and one NSEC up to the name right after it says what
 * it lacks. A name that does not exist has the type NXNAME alone (section 3.1). A name that a wildcard stands for is
 * said to have the wildcard's types (section 3.3), and answers from it are signed as its own, so they need no proof.
 */
export function compactProofs(zone: DenialZone, request: DenialRequest): Proof[] {
  const { kind, name, ttlSeconds } = request;
  if (kind === 'wildcard') return [];
  const types = kind === 'nxdomain' ? [rrType.NXNAME] : typesOf(zone, request.node);
  return [
    { rrset: nsecOf(name, successorOf(name, zone.origin), types, ttlSeconds), isMadeUp: kind !== 'nodata' },
  ];
}

/**
 * Proofs by NSEC3 (RFC 5155 section 7.2), made on demand so narrow that they cover one hash and show no other name (RFC
 * 7129 appendix B). No opt-out: every delegation is told apart.
 */
export function nsec3Proofs(zone: DenialZone, request: DenialRequest): Proof[] {
  const { kind, name, node, ttlSeconds, closestEncloser } = request;
  const match = (at: string, types: readonly number[], isSigned: boolean): Proof => {
    const hash = nsec3Hash(at);
    const said = isSigned ? [...types, rrType.RRSIG] : types;
    return { rrset: nsec3Of(zone.origin, hash, neighbour(hash, 1), said, ttlSeconds), isMadeUp: false };
  };
  const matchNode = (at: string, found: ZoneNode | undefined): Proof => {
    const types = typesOf(zone, found);
    return match(at, types, found !== undefined && hasSignatures(found, types));
  };
  const cover = (at: string, isMadeUp: boolean): Proof => {
    const hash = nsec3Hash(at);
    const rrset = nsec3Of(zone.origin, neighbour(hash, -1), neighbour(hash, 1), [], ttlSeconds);
    return { rrset, isMadeUp };
  };
  if (kind === 'nodata') return [matchNode(name, node)];
  const nextCloser = cover(nextCloserOf(name, closestEncloser), true);
  if (kind === 'wildcard') return [nextCloser];
  const encloser = matchNode(closestEncloser, zone.node(closestEncloser));
  const wildcard = closestEncloser === '' ? '*' : `*.${closestEncloser}`;
  const last = kind === 'nxdomain' ? cover(wildcard, false) : matchNode(wildcard, node);
  return [encloser, nextCloser, last];
}
