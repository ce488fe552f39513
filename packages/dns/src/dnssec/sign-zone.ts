import { isSubdomain, parentOf } from '../wire/name.ts';
import { readSoa } from '../wire/rdata.ts';
import { rrType } from '../wire/types.ts';
import { runAtOnce, runInSlices } from '../zone/slices.ts';
import type { RRset, Zone } from '../zone/zone.ts';
import type { SigningPolicy } from '../zone/zones.ts';
import { apexRRsets, isMadeBySigning } from './apex.ts';
import { type DenialZone, hasSignatures, nsec3Of, nsecOf, typesOf } from './denial.ts';
import { nsec3Hash } from './nsec3-hash.ts';
import { signatureTimes, type SignatureTimes, spread } from './signature-times.ts';
import { SignedZone } from './signed-zone.ts';
import { isSignedAlike, signaturesOver, type SigningKeys, signingKeys } from './signing-keys.ts';

/**
 * Signs whole versions of one zone, for secondaries: every set has its RRSIGs, and a chain of NSEC or NSEC3 goes through
 * all names (RFC 4035 section 2, RFC 5155 section 7.1). It keeps the signatures of the version before, so that a change
 * costs what changed. Its records differ from those that the online signer gives for the same serial; both are valid.
 */
export class ZoneSigner {
  #kept = new Map<string, Signed>();

  /** At once: about 40 µs a record set. Large zones belong to {@link signInSlices}. */
  sign(zone: Zone, policy: SigningPolicy, nowMs: number): Zone {
    return runAtOnce(this.#steps(zone, policy, nowMs));
  }

  /** As {@link sign}, holding the thread for a few milliseconds at a time. Undefined: aborted. */
  signInSlices(
    zone: Zone,
    policy: SigningPolicy,
    nowMs: number,
    signal: AbortSignal,
  ): Promise<Zone | undefined> {
    return runInSlices(this.#steps(zone, policy, nowMs), signal);
  }

  *#steps(zone: Zone, policy: SigningPolicy, nowMs: number): Generator<void, Zone> {
    const keys = signingKeys(zone.origin, policy);
    const times = zoneTimes(zone.origin, policy, nowMs);
    const kept = new Map<string, Signed>();
    const sign = (rrset: RRset): RRset => {
      const key = `${rrset.type} ${rrset.name}`;
      const known = this.#kept.get(key);
      const isCurrent =
        known?.digest === keys.digest &&
        known.times.beginMs === times.beginMs &&
        isSignedAlike(known.rrset, rrset);
      const signed = isCurrent
        ? known
        : { rrset, times, digest: keys.digest, rrsig: rrsigSet(rrset, keys, times) };
      kept.set(key, signed);
      return signed.rrsig;
    };
    const sets: RRset[] = [];
    for (const rrset of unsignedSets(zone, policy)) {
      sets.push(rrset.set);
      if (rrset.isSigned) sets.push(sign(rrset.set));
      yield;
    }
    for (const proof of denialChain(zone, policy)) {
      sets.push(proof, sign(proof));
      yield;
    }
    this.#kept = kept;
    return new SignedZone(zone, sets, `${keys.digest} ${times.beginMs}`, (soa) => rrsigSet(soa, keys, times));
  }
}

interface Signed {
  readonly rrset: RRset;
  readonly times: SignatureTimes;
  readonly digest: string;
  readonly rrsig: RRset;
}

/** One version of a zone, signed whole. See {@link ZoneSigner} for those that follow each other. */
export function signZone(zone: Zone, policy: SigningPolicy, nowMs: number): Zone {
  return new ZoneSigner().sign(zone, policy, nowMs);
}

/** In how many milliseconds a zone signed now has to be signed anew, and its serial raised. */
export function resignAfterMs(origin: string, policy: SigningPolicy, nowMs: number): number {
  return zoneTimes(origin, policy, nowMs).endMs - nowMs;
}

/**
 * Which stretch of signatures a zone is in: the same on all replicas whose clocks agree, and rising. It belongs among the
 * revisions that a recorded serial was made from, so that a replica whose clock is behind waits instead of going back.
 */
export function signingEpoch(origin: string, policy: SigningPolicy, nowMs: number): number {
  return zoneTimes(origin, policy, nowMs).beginMs / 1000;
}

/** All sets of one zone are signed anew together, since each time raises the serial; zones are spread. */
function zoneTimes(origin: string, policy: SigningPolicy, nowMs: number): SignatureTimes {
  return signatureTimes(spread(origin), policy.validitySeconds, nowMs);
}

function rrsigSet(rrset: RRset, keys: SigningKeys, times: SignatureTimes): RRset {
  const data = signaturesOver(rrset, keys, times);
  return { name: rrset.name, type: rrType.RRSIG, ttlSeconds: rrset.ttlSeconds, data };
}

interface UnsignedSet {
  readonly set: RRset;
  readonly isSigned: boolean;
}

/**
 * The zone's own sets and those of its keys. Neither the NS of a delegation nor what is below it is the zone's to sign
 * (RFC 4035 section 2.2).
 */
function* unsignedSets(zone: Zone, policy: SigningPolicy): Generator<UnsignedSet> {
  const apex = apexRRsets(zone, policy);
  for (const set of apex.values()) yield { set, isSigned: true };
  for (const { set, isOccluded } of visibleSets(zone)) {
    if (set.name === zone.origin && apex.has(set.type)) continue;
    const isSigned = !isOccluded && (set.type === rrType.DS || zone.node(set.name)?.isDelegation !== true);
    yield { set, isSigned };
  }
}

/** Sets in canonical order of names, with whether they are below a delegation or a DNAME: there, and not answered. */
function* visibleSets(zone: Zone): Generator<{ set: RRset; isOccluded: boolean }> {
  let cut: string | undefined;
  for (const set of zone.rrsets()) {
    if (isMadeBySigning(set.type)) continue;
    if (cut !== undefined && !isSubdomain(set.name, cut)) cut = undefined;
    const isOccluded = cut !== undefined && set.name !== cut;
    const node = zone.node(set.name);
    if (!isOccluded && (node?.isDelegation === true || node?.rrset(rrType.DNAME) !== undefined))
      cut = set.name;
    yield { set, isOccluded };
  }
}

/** The zone's own names in canonical order, those that are empty left out. */
function ownNames(zone: Zone): string[] {
  const names = new Set<string>();
  for (const { set, isOccluded } of visibleSets(zone)) if (!isOccluded) names.add(set.name);
  return [...names];
}

function denialChain(zone: Zone, policy: SigningPolicy): Generator<RRset> {
  const { data, ttlSeconds } = zone.soa;
  // RFC 9077.
  const ttl = Math.min(ttlSeconds, readSoa(data[0] as Buffer).minimumSeconds);
  const view: DenialZone = {
    origin: zone.origin,
    node: (name) => zone.node(name),
    apexTypes: [...apexRRsets(zone, policy).keys()],
  };
  return policy.denial === 'nsec3' ? nsec3Chain(zone, view, ttl) : nsecChain(zone, view, ttl);
}

function* nsecChain(zone: Zone, view: DenialZone, ttlSeconds: number): Generator<RRset> {
  const names = ownNames(zone);
  for (const [i, name] of names.entries())
    yield nsecOf(name, names[i + 1] ?? zone.origin, typesOf(view, zone.node(name)), ttlSeconds);
}

/** Empty non-terminals have their NSEC3 too (RFC 5155 section 7.1). */
function* nsec3Chain(zone: Zone, view: DenialZone, ttlSeconds: number): Generator<RRset> {
  const names = new Set<string>();
  for (const name of ownNames(zone))
    for (let at: string | undefined = name; at !== undefined && !names.has(at); at = parentOf(at)) {
      if (!isSubdomain(at, zone.origin)) break;
      names.add(at);
    }
  const hashed = [...names].map((name) => ({ name, hash: nsec3Hash(name) }));
  hashed.sort((a, b) => a.hash.compare(b.hash));
  const first = hashed[0] as (typeof hashed)[number];
  for (const [i, { name, hash }] of hashed.entries()) {
    const node = zone.node(name);
    const types = typesOf(view, node);
    const said = node !== undefined && hasSignatures(node, types) ? [...types, rrType.RRSIG] : types;
    yield nsec3Of(zone.origin, hash, (hashed[i + 1] ?? first).hash, said, ttlSeconds);
  }
}
