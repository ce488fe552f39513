import { rrType } from '../wire/types.ts';
import type { ResourceRecord } from '../wire/message.ts';
import type { RRset } from '../zone/zone.ts';
import type { SigningPolicy } from '../zone/zones.ts';
import { policyDigest } from './apex.ts';
import { type ActiveKey, activeKey, type SignatureFields, signRRset } from './rrsig.ts';

/** A policy's keys ready to sign a zone. */
export interface SigningKeys {
  /** Of origin and policy: what was signed under another one is signed anew. */
  readonly digest: string;
  readonly origin: string;
  readonly validitySeconds: number;
  readonly keySigning: readonly ActiveKey[];
  /** All but the keys' own sets; the key-signing ones where no other is active (a combined key). */
  readonly zoneSigning: readonly ActiveKey[];
}

/** Prepares the keys that are active. */
export function signingKeys(origin: string, policy: SigningPolicy): SigningKeys {
  const active = (flags: 256 | 257): ActiveKey[] =>
    policy.keys.filter((key) => key.isActive && key.flags === flags).map(activeKey);
  const keySigning = active(257);
  const zoneSigning = active(256);
  return {
    digest: `${origin} ${policyDigest(policy)}`,
    origin,
    validitySeconds: policy.validitySeconds,
    keySigning,
    zoneSigning: zoneSigning.length > 0 ? zoneSigning : keySigning,
  };
}

/**
 * RDATA of the RRSIGs over a set, one per key: by the key-signing keys over DNSKEY, CDS and CDNSKEY (RFC 7344 section
 * 4.1 wants a key that the DS leads to), by the others over the rest.
 */
export function signaturesOver(
  rrset: RRset,
  keys: SigningKeys,
  times: Omit<SignatureFields, 'signer'>,
): Buffer[] {
  const fields = { signer: keys.origin, ...times };
  const isOfKeys = rrset.type === rrType.DNSKEY || rrset.type === rrType.CDS || rrset.type === rrType.CDNSKEY;
  return (isOfKeys ? keys.keySigning : keys.zoneSigning).map((key) => signRRset(rrset, key, fields));
}

/** Signatures as records of `owner`; their TTL is the set's (RFC 4034 section 3). */
export function signatureRecords(
  owner: string,
  ttlSeconds: number,
  signatures: readonly Buffer[],
): ResourceRecord[] {
  return signatures.map((data) => ({ name: owner, type: rrType.RRSIG, ttlSeconds, data }));
}

/** Whether two sets are signed alike: same TTL and data, in whatever order an answer has them. */
export function isSignedAlike(a: RRset, b: RRset): boolean {
  if (a === b) return true;
  if (a.ttlSeconds !== b.ttlSeconds || a.data.length !== b.data.length) return false;
  if (a.data.every((one, i) => one.equals(b.data[i] as Buffer))) return true;
  return a.data.every((one) => b.data.some((other) => other.equals(one)));
}
