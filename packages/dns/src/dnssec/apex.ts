import { createHash } from 'node:crypto';
import { dnskeyData, dsData, nsec3ParamData } from '../wire/rdata.ts';
import { rrType } from '../wire/types.ts';
import { inCanonicalOrder } from '../zone/rrset.ts';
import type { RRset, ZoneReader } from '../zone/zone.ts';
import type { SigningPolicy } from '../zone/zones.ts';
import { dsOf } from './key.ts';

/** TTL of what the keys make at the apex. A key that is new or gone is known everywhere after this long. */
export const apexTtlSeconds = 3600;

/** No salt, no further iterations (RFC 9276 section 3.1): hash algorithm 1, flags 0. */
export const nsec3Parameters = { hashAlgorithm: 1, flags: 0, iterations: 0, salt: Buffer.alloc(0) };

/** "Take my DS records away" (RFC 8078 section 4): CDS 0 0 0 00 and CDNSKEY 0 3 0 AA==. */
const cdsDelete = dsData({ keyTag: 0, algorithm: 0, digestType: 0, digest: Buffer.of(0) });
const cdnskeyDelete = dnskeyData({ flags: 0, protocol: 3, algorithm: 0, publicKey: Buffer.of(0) });

/** Types that signing makes, so that those in a zone's own text are not served (a text signed elsewhere). */
const madeTypes: ReadonlySet<number> = new Set([rrType.RRSIG, rrType.NSEC, rrType.NSEC3, rrType.NSEC3PARAM]);

/** Whether records of this type in a zone are left out when we sign it. */
export function isMadeBySigning(type: number): boolean {
  return madeTypes.has(type);
}

/**
 * The sets that signing adds at a zone's apex: DNSKEY with the policy's keys and those that the zone's text has (another
 * signer's, RFC 8901), CDS and CDNSKEY (RFC 7344) unless the text has its own, and NSEC3PARAM.
 */
export function apexRRsets(zone: ZoneReader, policy: SigningPolicy): ReadonlyMap<number, RRset> {
  const { origin } = zone;
  const written = (type: number): readonly Buffer[] => zone.node(origin)?.rrset(type)?.data ?? [];
  const inParent = policy.keys.filter(({ isInParent }) => isInParent);
  const cds = {
    publish: inParent.map(({ dnskey }) => dsOf(origin, dnskey)),
    delete: [cdsDelete],
    none: [],
  }[policy.cds];
  const cdnskey = {
    publish: inParent.map(({ dnskey }) => dnskey),
    delete: [cdnskeyDelete],
    none: [],
  }[policy.cds];
  const hasOwn = written(rrType.CDS).length + written(rrType.CDNSKEY).length > 0;
  const sets: readonly (readonly [number, number, readonly Buffer[]])[] = [
    [rrType.DNSKEY, apexTtlSeconds, [...policy.keys.map(({ dnskey }) => dnskey), ...written(rrType.DNSKEY)]],
    [rrType.NSEC3PARAM, 0, policy.denial === 'nsec3' ? [nsec3ParamData(nsec3Parameters)] : []],
    [rrType.CDS, apexTtlSeconds, hasOwn ? written(rrType.CDS) : cds],
    [rrType.CDNSKEY, apexTtlSeconds, hasOwn ? written(rrType.CDNSKEY) : cdnskey],
  ];
  return new Map(
    sets
      .filter(([, , data]) => data.length > 0)
      .map(([type, ttlSeconds, data]) => [
        type,
        { name: origin, type, ttlSeconds, data: inCanonicalOrder([...data], (one) => one) },
      ]),
  );
}

/** A digest of what of the policy shows in a signed zone besides signatures: changes when a key begins or ends. */
export function policyDigest(policy: SigningPolicy): string {
  const digest = createHash('sha256').update(`${policy.denial} ${policy.cds} ${policy.validitySeconds}`);
  for (const { dnskey, isActive, isInParent } of policy.keys)
    digest.update(dnskey).update(`${isActive} ${isInParent}`);
  return digest.digest('hex');
}
