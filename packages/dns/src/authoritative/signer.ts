import type { ResourceRecord } from '../wire/message.ts';
import type { RRset, ZoneNode, ZoneReader } from '../zone/zone.ts';

/**
 * What has to be proved beside an answer (RFC 4035 section 3.1.3):
 * `nodata`: the name exists (perhaps as an empty non-terminal), the type does not; also a referral without DS, type DS;
 * `nxdomain`: neither the name nor a wildcard for it exists;
 * `wildcard-nodata`: the name does not exist, its wildcard lacks the type;
 * `wildcard`: the name does not exist, the answer comes from its wildcard.
 */
export type DenialKind = 'nodata' | 'nxdomain' | 'wildcard-nodata' | 'wildcard';

export interface DenialRequest {
  readonly kind: DenialKind;
  readonly zone: ZoneReader;
  /** The name that is denied, lower case: the question's, a CNAME's target, or the delegation. */
  readonly name: string;
  readonly type: number;
  /** The node of `name` (for `nodata`) or of the wildcard (`wildcard`, `wildcard-nodata`). */
  readonly node: ZoneNode | undefined;
  /** The longest name that exists at or above `name`. */
  readonly closestEncloser: string;
  /** The query's TTL for negative answers: the lower of the SOA's TTL and minimum (RFC 9077). */
  readonly ttlSeconds: number;
}

/** Proofs with their signatures, for the authority section. */
export interface Denial {
  readonly records: readonly ResourceRecord[];
  /** The response code to say instead, where the method has its own (RFC 9824 section 3: NOERROR for a missing name). */
  readonly rcode?: number;
  /** The proof is what was asked for: it goes into the answer section, without a SOA. */
  readonly isAnswer?: boolean;
}

/**
 * Signs one zone's answers while they are made; the answer algorithm calls it when the query has DO set. Made by
 * `dnssec/`, in each serving thread, for one zone.
 */
export interface AnswerSigner {
  /**
   * Signatures over the set as it is given: its owner is the name in the answer. `wildcard`: the wildcard that it was
   * expanded from (lower case), whose labels count (RFC 4034 section 3.1.3).
   */
  sign(rrset: RRset, wildcard?: string): readonly ResourceRecord[];
  /** Record sets at the zone's apex that the keys make: DNSKEY, CDS, CDNSKEY, NSEC3PARAM. Answered without DO too. */
  apexRRset(type: number): RRset | undefined;
  /** Denials are compact: who asks with CO gets the name's own response code, and CO back (RFC 9824 section 5.1). */
  readonly isCompact: boolean;
  deny(request: DenialRequest): Denial;
}
