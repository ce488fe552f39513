/**
 * Zones that were signed elsewhere: secondary ones of a signing primary, and texts that went through dnssec-signzone. Their
 * answers take along the signatures and proofs that stand in the zone (RFC 4035 section 3.1, RFC 5155 section 7.2).
 */
import type { AnswerSigner, Denial, DenialRequest } from '../authoritative/signer.ts';
import { nameAt, parentOf } from '../wire/name.ts';
import { base32HexText, readNsec3, readNsec3Param } from '../wire/rdata.ts';
import type { ResourceRecord } from '../wire/record.ts';
import { rrType } from '../wire/types.ts';
import { canonicalKey, wildcardOf } from '../zone/name-tree.ts';
import { recordsOf } from '../zone/rrset.ts';
import type { RRset, ZoneReader } from '../zone/zone.ts';
import { nextCloserOf } from './name-order.ts';
import { nsec3Hash } from './nsec3-hash.ts';

/** More iterations than validators put up with (RFC 9276 section 3.2): not worth the time. */
const maxIterations = 500;

/** A signer that hands out what is in the zone; undefined for a zone without signatures. */
export function presignedSigner(zone: ZoneReader): AnswerSigner | undefined {
  const apex = zone.node(zone.origin);
  if (!apex?.rrset(rrType.RRSIG) || !apex.rrset(rrType.DNSKEY)) return undefined;
  return new PresignedSigner(zone);
}

class PresignedSigner implements AnswerSigner {
  readonly isCompact = false;
  readonly #zone: ZoneReader;
  #chain: DenialChain | undefined;

  constructor(zone: ZoneReader) {
    this.#zone = zone;
  }

  sign(rrset: RRset, wildcard?: string): readonly ResourceRecord[] {
    const owner = wildcard ?? rrset.name.toLowerCase();
    const signatures = this.#zone.node(owner)?.rrset(rrType.RRSIG)?.data ?? [];
    return signatures
      .filter((data) => data.readUInt16BE(0) === rrset.type)
      .map((data) => ({ name: rrset.name, type: rrType.RRSIG, ttlSeconds: rrset.ttlSeconds, data }));
  }

  apexRRset(): undefined {}

  deny(request: DenialRequest): Denial {
    this.#chain ??= chainOf(this.#zone);
    const records: ResourceRecord[] = [];
    for (const proof of new Set(this.#chain?.proofs(request) ?? []))
      records.push(...recordsOf(proof), ...this.sign(proof));
    return { records };
  }
}

/** The NSEC or NSEC3 records of a zone in their order. */
interface DenialChain {
  proofs(request: DenialRequest): RRset[];
}

/** By the apex: NSEC there, or NSEC3 with parameters; undefined: neither. Takes a walk through the chain, once a version. */
function chainOf(zone: ZoneReader): DenialChain | undefined {
  const apex = zone.node(zone.origin);
  const [parameters] = apex?.rrset(rrType.NSEC3PARAM)?.data ?? [];
  if (apex?.rrset(rrType.NSEC)) return new NsecChain(zone);
  return parameters && readNsec3Param(parameters).iterations <= maxIterations
    ? new Nsec3Chain(zone, parameters)
    : undefined;
}

/** Sets in order of their keys, of which each covers what lies between it and the next. */
class OrderedProofs {
  readonly #keys: readonly string[];
  readonly #sets: readonly RRset[];

  constructor(sets: readonly (readonly [string, RRset])[]) {
    const sorted = sets.toSorted(([a], [b]) => (a < b ? -1 : 1));
    this.#keys = sorted.map(([key]) => key);
    this.#sets = sorted.map(([, set]) => set);
  }

  /** The last one at or before `key`; before the first it is the last of all. */
  before(key: string): RRset | undefined {
    let [low, high] = [0, this.#keys.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#keys[middle] as string) <= key) low = middle + 1;
      else high = middle;
    }
    return this.#sets[low - 1] ?? this.#sets.at(-1);
  }
}

/** Follows a chain from `first` until it comes round, or leads to what is not there. */
function walk(
  zone: ZoneReader,
  first: string,
  type: number,
  nextOf: (data: Buffer) => string,
  keyOf: (owner: string) => string,
): OrderedProofs {
  const found = new Map<string, readonly [string, RRset]>();
  for (let owner = first; !found.has(owner);) {
    const set = zone.node(owner)?.rrset(type);
    const [data] = set?.data ?? [];
    if (!set || !data) break;
    found.set(owner, [keyOf(owner), set]);
    owner = nextOf(data);
  }
  return new OrderedProofs([...found.values()]);
}

class NsecChain implements DenialChain {
  readonly #zone: ZoneReader;
  readonly #ordered: OrderedProofs;

  constructor(zone: ZoneReader) {
    this.#zone = zone;
    const nextOf = (data: Buffer): string => nameAt(data, 0).toLowerCase();
    this.#ordered = walk(zone, zone.origin, rrType.NSEC, nextOf, canonicalKey);
  }

  proofs({ kind, name, node, closestEncloser }: DenialRequest): RRset[] {
    const covering = (owner: string): RRset[] => {
      const set = this.#ordered.before(canonicalKey(owner));
      return set ? [set] : [];
    };
    // An empty non-terminal has none of its own: the one before it leads to a name below it.
    const at = (owner: string): RRset[] => {
      const set = this.#zone.node(owner)?.rrset(rrType.NSEC);
      return set ? [set] : covering(owner);
    };
    switch (kind) {
      case 'nodata':
        return at(name);
      case 'wildcard':
        return covering(name);
      case 'wildcard-nodata':
        return [...at(node?.name ?? wildcardOf(closestEncloser)), ...covering(name)];
      default:
        return [...covering(name), ...covering(wildcardOf(closestEncloser))];
    }
  }
}

class Nsec3Chain implements DenialChain {
  readonly #zone: ZoneReader;
  readonly #parameters: { iterations: number; salt: Buffer };
  readonly #ordered: OrderedProofs;

  constructor(zone: ZoneReader, parameters: Buffer) {
    this.#zone = zone;
    const { iterations, salt } = readNsec3Param(parameters);
    this.#parameters = { iterations, salt: Buffer.from(salt) };
    this.#ordered = walk(
      zone,
      this.#ownerOf(this.#hash(zone.origin)),
      rrType.NSEC3,
      (data) => this.#ownerOf(labelOf(readNsec3(data).nextHashedOwner)),
      // Base 32 with this alphabet sorts as the octets do.
      (owner) => owner.slice(0, 32),
    );
  }

  proofs({ kind, name, closestEncloser }: DenialRequest): RRset[] {
    const matching = (owner: string): RRset[] => {
      const set = this.#zone.node(this.#ownerOf(this.#hash(owner)))?.rrset(rrType.NSEC3);
      return set ? [set] : [];
    };
    const covering = (owner: string): RRset[] => {
      const set = this.#ordered.before(this.#hash(owner));
      return set ? [set] : [];
    };
    if (kind === 'nodata') {
      const own = matching(name);
      return own.length > 0 ? own : this.#optedOut(name, matching, covering);
    }
    const nextCloser = covering(nextCloserOf(name, closestEncloser));
    if (kind === 'wildcard') return nextCloser;
    const wildcard = wildcardOf(closestEncloser);
    const last = kind === 'nxdomain' ? covering(wildcard) : matching(wildcard);
    return [...matching(closestEncloser), ...nextCloser, ...last];
  }

  /** A delegation that has no NSEC3 of its own (RFC 5155 section 7.2.7): the closest name that has, and the gap below it. */
  #optedOut(
    name: string,
    matching: (owner: string) => RRset[],
    covering: (owner: string) => RRset[],
  ): RRset[] {
    for (let above = parentOf(name); above !== undefined; above = parentOf(above)) {
      const found = matching(above);
      if (found.length > 0) return [...found, ...covering(nextCloserOf(name, above))];
      if (above === this.#zone.origin) break;
    }
    return [];
  }

  #hash(name: string): string {
    return labelOf(nsec3Hash(name, this.#parameters.iterations, this.#parameters.salt));
  }

  #ownerOf(label: string): string {
    return this.#zone.origin === '' ? label : `${label}.${this.#zone.origin}`;
  }
}

function labelOf(hash: Buffer): string {
  return base32HexText(hash).toLowerCase();
}
