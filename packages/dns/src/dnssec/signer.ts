import type { Clock } from '@cloudless/kube/clock';
import type { AnswerSigner, Denial, DenialRequest } from '../authoritative/signer.ts';
import { rcode, rrType } from '../wire/types.ts';
import type { ResourceRecord } from '../wire/message.ts';
import { recordsOf } from '../zone/rrset.ts';
import type { RRset, ZoneReader } from '../zone/zone.ts';
import type { SigningPolicy } from '../zone/zones.ts';
import { apexRRsets, policyDigest } from './apex.ts';
import { compactProofs, type DenialZone, nsec3Proofs, type Proof } from './denial.ts';
import { GenerationCache } from './signature-cache.ts';
import { signatureTimes, spread } from './signature-times.ts';
import { SigningBudget } from './signing-budget.ts';
import {
  isSignedAlike,
  signatureRecords,
  signaturesOver,
  type SigningKeys,
  signingKeys,
} from './signing-keys.ts';

/** Sets of real names: about 0.7 KiB each. */
const maxSignatures = 50_000;
/** Proofs and expansions for names that do not exist, which seldom come twice. */
const maxMadeUpSignatures = 8192;
const maxKeySets = 4096;

interface Signed {
  readonly rrset: RRset;
  readonly keys: SigningKeys;
  readonly beginMs: number;
  readonly endMs: number;
  readonly records: readonly ResourceRecord[];
}

/**
 * What one serving thread remembers from signing, for all its zones and through their versions: parsed keys, and
 * signatures, which count on for every set that a new version of the zone left as it was.
 */
export class SignatureMemory {
  readonly clock: Clock;
  readonly budget: SigningBudget;
  readonly #signatures = new GenerationCache<Signed>(maxSignatures);
  readonly #madeUp = new GenerationCache<Signed>(maxMadeUpSignatures);
  readonly #keys = new GenerationCache<SigningKeys>(maxKeySets);

  constructor(clock: Clock) {
    this.clock = clock;
    this.budget = new SigningBudget(clock);
  }

  keysOf(origin: string, policy: SigningPolicy): SigningKeys {
    const digest = `${origin} ${policyDigest(policy)}`;
    const known = this.#keys.get(digest);
    if (known) return known;
    const fresh = signingKeys(origin, policy);
    this.#keys.set(digest, fresh);
    return fresh;
  }

  /** Signatures over a set whose owner is lower case. Throws SigningBusyError for a made-up name. */
  sign(rrset: RRset, keys: SigningKeys, isMadeUp: boolean): readonly ResourceRecord[] {
    const nowMs = this.clock.nowMs();
    const cache = isMadeUp ? this.#madeUp : this.#signatures;
    // Parent and child zone both have sets at a cut: how far below its zone's top a name is tells them apart.
    // A negative answer's SOA has another TTL.
    const key = `${rrset.type} ${rrset.ttlSeconds} ${keys.origin.length} ${rrset.name}`;
    const known = cache.get(key);
    if (
      known?.keys === keys &&
      known.beginMs <= nowMs &&
      nowMs < known.endMs &&
      isSignedAlike(known.rrset, rrset)
    )
      return known.records;
    const { name, type, ttlSeconds } = rrset;
    const times = signatureTimes(spread(name, type), keys.validitySeconds, nowMs);
    const signatures = this.budget.spend(isMadeUp, () => signaturesOver(rrset, keys, times));
    const records = signatureRecords(name, ttlSeconds, signatures);
    cache.set(key, { rrset, keys, beginMs: times.beginMs, endMs: times.endMs, records });
    return records;
  }
}

/** Signs the answers of one version of a zone (RFC 4035 section 3.1); cheap to make. */
export function answerSigner(zone: ZoneReader, policy: SigningPolicy, memory: SignatureMemory): AnswerSigner {
  // A policy that came from another thread has lost its Buffers.
  const keys = policy.keys.map((key) => ({ ...key, dnskey: Buffer.from(key.dnskey) }));
  return new OnlineSigner(zone, { ...policy, keys }, memory);
}

class OnlineSigner implements AnswerSigner {
  readonly #memory: SignatureMemory;
  readonly #policy: SigningPolicy;
  readonly #keys: SigningKeys;
  readonly #apex: ReadonlyMap<number, RRset>;
  readonly #zone: DenialZone;

  constructor(zone: ZoneReader, policy: SigningPolicy, memory: SignatureMemory) {
    this.#memory = memory;
    this.#policy = policy;
    this.#keys = memory.keysOf(zone.origin, policy);
    this.#apex = apexRRsets(zone, policy);
    this.#zone = {
      origin: zone.origin,
      node: (name) => zone.node(name),
      apexTypes: [...this.#apex.keys()],
    };
  }

  get isCompact(): boolean {
    return this.#policy.denial === 'compact';
  }

  sign(rrset: RRset, wildcard?: string): readonly ResourceRecord[] {
    const owner = rrset.name.toLowerCase();
    // Compact denial says that the name exists, and so has its answer signed as the name's own (RFC 9824 section 3.3).
    const isExpansion = wildcard !== undefined && wildcard !== owner;
    const name = isExpansion && this.#policy.denial === 'nsec3' ? wildcard : owner;
    const signed = name === rrset.name ? rrset : { ...plain(rrset), name };
    const records = this.#memory.sign(signed, this.#keys, isExpansion && name === owner);
    return name === rrset.name ? records : records.map((record) => ({ ...record, name: rrset.name }));
  }

  apexRRset(type: number): RRset | undefined {
    return this.#apex.get(type);
  }

  deny(request: DenialRequest): Denial {
    if (this.#policy.denial === 'nsec3') return { records: this.#signed(nsec3Proofs(this.#zone, request)) };
    const records = this.#signed(compactProofs(this.#zone, request));
    // Every name has an NSEC then: a proof that it has none would contradict itself.
    const isAnswer = request.type === rrType.NSEC && records.length > 0;
    return request.kind === 'nxdomain' ? { records, isAnswer, rcode: rcode.noError } : { records, isAnswer };
  }

  #signed(proofs: readonly Proof[]): ResourceRecord[] {
    return proofs.flatMap(({ rrset, isMadeUp }) => [
      ...recordsOf(rrset),
      ...this.#memory.sign(rrset, this.#keys, isMadeUp),
    ]);
  }
}

/** A set's fields, of one that may be an object with more. */
function plain({ name, type, ttlSeconds, data }: RRset): RRset {
  return { name, type, ttlSeconds, data };
}
