import type { BgpCommunity } from '../../config/config.ts';
import { addressText } from '../../socket/address.ts';
import { asSequence, attribute, flag } from './attributes.ts';
import { BgpError, errorCode } from './notification.ts';
import { type Family, decodePrefixes, familyOf } from './prefix.ts';

/** What an UPDATE says, checked. Families that are not spoken are left out. */
export interface ParsedUpdate {
  readonly announced: readonly string[];
  readonly withdrawn: readonly string[];
  /** The one next hop, or IPv6's global and link-local ones. */
  readonly nextHops: readonly string[];
  /** The AS numbers of the path, sets flattened; AS4_PATH is not merged in. */
  readonly asPath: readonly number[];
  readonly localPref: number | undefined;
  readonly communities: readonly BgpCommunity[];
  /** The family whose routes have all been told now (RFC 4724 section 2). */
  readonly endOfRib: Family | undefined;
}

interface Attribute {
  readonly flags: number;
  readonly type: number;
  readonly value: Buffer;
  /** Type, length and value: the data of a NOTIFICATION about it. */
  readonly whole: Buffer;
}

const updateError = (subcode: number, data?: Buffer, why?: string): BgpError =>
  new BgpError(errorCode.update, subcode, data, why);

const malformedList = (why: string): BgpError => updateError(1, undefined, why);

/** Optional and Transitive bits that a known type must have (RFC 4271 section 5 and the RFCs of the others). */
const requiredFlags: Readonly<Record<number, number>> = {
  [attribute.origin]: flag.transitive,
  [attribute.asPath]: flag.transitive,
  [attribute.nextHop]: flag.transitive,
  [attribute.multiExitDisc]: flag.optional,
  [attribute.localPref]: flag.transitive,
  [attribute.atomicAggregate]: flag.transitive,
  [attribute.aggregator]: flag.optional | flag.transitive,
  [attribute.communities]: flag.optional | flag.transitive,
  [attribute.mpReach]: flag.optional,
  [attribute.mpUnreach]: flag.optional,
  [attribute.as4Path]: flag.optional | flag.transitive,
  [attribute.as4Aggregator]: flag.optional | flag.transitive,
  [attribute.largeCommunities]: flag.optional | flag.transitive,
};

const fixedBytes: Readonly<Record<number, number>> = {
  [attribute.origin]: 1,
  [attribute.nextHop]: 4,
  [attribute.multiExitDisc]: 4,
  [attribute.localPref]: 4,
  [attribute.atomicAggregate]: 0,
  [attribute.as4Aggregator]: 8,
};

/**
 * Parses the body of an UPDATE and checks it by RFC 4271 section 6.3, in its order. Throws {@link BgpError} with the
 * NOTIFICATION that the peer is due; what RFC 7606 would mend by forgetting a route ends the session too, for here
 * no route of a peer is used.
 */
export function parseUpdate(body: Buffer, fourOctetAsn: boolean): ParsedUpdate {
  const withdrawnBytes = body.readUInt16BE(0);
  if (2 + withdrawnBytes + 2 > body.length)
    throw malformedList('withdrawn routes are longer than the message');
  const attributeBytes = body.readUInt16BE(2 + withdrawnBytes);
  const nlriAt = 4 + withdrawnBytes + attributeBytes;
  if (nlriAt > body.length) throw malformedList('attributes are longer than the message');
  const withdrawn = networkField(body.subarray(2, 2 + withdrawnBytes), 'ipv4');
  const attributes = readAttributes(body.subarray(4 + withdrawnBytes, nlriAt), fourOctetAsn);
  const nlri = body.subarray(nlriAt);
  const reach = parseReach(attributes.get(attribute.mpReach));
  const unreach = parseUnreach(attributes.get(attribute.mpUnreach));
  checkMandatory(attributes, nlri.length > 0, attributes.has(attribute.mpReach));
  const announced = networkField(nlri, 'ipv4');
  return {
    announced: [...announced, ...reach.prefixes],
    withdrawn: [...withdrawn, ...unreach.prefixes],
    nextHops: [...nextHopOf(attributes), ...reach.nextHops],
    asPath: asNumbers(attributes.get(attribute.asPath), fourOctetAsn ? 4 : 2),
    localPref: attributes.get(attribute.localPref)?.value.readUInt32BE(0),
    communities: communitiesOf(attributes),
    endOfRib:
      body.length === 4
        ? 'ipv4'
        : attributes.size === 1 && withdrawnBytes === 0 && nlri.length === 0 && unreach.prefixes.length === 0
          ? unreach.family
          : undefined,
  };
}

function networkField(field: Buffer, family: Family): string[] {
  const prefixes = decodePrefixes(field, family);
  if (prefixes === undefined) throw updateError(10, undefined, 'a prefix is too long or cut short');
  return prefixes;
}

function readAttributes(field: Buffer, fourOctetAsn: boolean): Map<number, Attribute> {
  const attributes = new Map<number, Attribute>();
  for (let at = 0; at < field.length;) {
    const flags = field.readUInt8(at);
    const lengthOctets = (flags & flag.extendedLength) === 0 ? 1 : 2;
    const valueAt = at + 2 + lengthOctets;
    if (valueAt > field.length) throw malformedList('the last attribute is cut short');
    const type = field.readUInt8(at + 1);
    const end = valueAt + field.readUIntBE(at + 2, lengthOctets);
    if (end > field.length)
      throw updateError(5, Buffer.from(field.subarray(at)), `attribute ${type} is longer than the list`);
    if (attributes.has(type)) throw malformedList(`attribute ${type} stands twice`);
    const value = field.subarray(valueAt, end);
    const one = { flags, type, value, whole: Buffer.from(field.subarray(at, end)) };
    checkAttribute(one, fourOctetAsn);
    attributes.set(type, one);
    at = end;
  }
  return attributes;
}

function checkAttribute({ flags, type, value, whole }: Attribute, fourOctetAsn: boolean): void {
  const required = requiredFlags[type];
  if (required === undefined) {
    if ((flags & flag.optional) === 0) throw updateError(2, whole, `attribute ${type}`);
    return;
  }
  // Partial is for optional transitive ones alone (RFC 4271 section 4.3).
  const partial = (flags & flag.partial) !== 0 && required !== (flag.optional | flag.transitive);
  if ((flags & (flag.optional | flag.transitive)) !== required || partial)
    throw updateError(4, whole, `attribute ${type}`);
  const wanted = type === attribute.aggregator ? (fourOctetAsn ? 8 : 6) : fixedBytes[type];
  if (wanted !== undefined && value.length !== wanted)
    throw updateError(5, whole, `attribute ${type} of ${value.length} bytes instead of ${wanted}`);
  if (type === attribute.origin && value.readUInt8(0) > 2) throw updateError(6, whole);
  if (type === attribute.nextHop && !isHostAddress(value)) throw updateError(8, whole, value.join('.'));
  if (type === attribute.asPath) checkAsPath(value, fourOctetAsn ? 4 : 2);
  if (type === attribute.communities && (value.length === 0 || value.length % 4 !== 0))
    throw updateError(9, whole, `communities of ${value.length} bytes`);
  if (type === attribute.largeCommunities && (value.length === 0 || value.length % 12 !== 0))
    throw updateError(9, whole, `large communities of ${value.length} bytes`);
}

/** A next hop must be a host's address (RFC 4271 section 6.3): not 0/8, nor multicast and above. */
const isHostAddress = (bytes: Buffer): boolean => bytes[0] !== 0 && (bytes[0] as number) < 224;

function checkAsPath(value: Buffer, octets: 2 | 4): void {
  for (let at = 0; at < value.length;) {
    const kind = value.readUInt8(at);
    const count = at + 1 < value.length ? value.readUInt8(at + 1) : 0;
    const end = at + 2 + count * octets;
    // Kinds 1 and 2, and those of confederations (RFC 5065).
    if (kind < 1 || kind > 4 || count === 0 || end > value.length) throw updateError(11);
    at = end;
  }
}

function checkMandatory(attributes: Map<number, Attribute>, classic: boolean, reach: boolean): void {
  if (!classic && !reach) return;
  const wanted: number[] = [attribute.origin, attribute.asPath];
  if (classic) wanted.push(attribute.nextHop);
  const missing = wanted.find((type) => !attributes.has(type));
  if (missing !== undefined) throw updateError(3, Buffer.from([missing]), `attribute ${missing}`);
}

interface Reach {
  readonly family: Family | undefined;
  readonly prefixes: readonly string[];
  readonly nextHops: readonly string[];
}

const nothing: Reach = { family: undefined, prefixes: [], nextHops: [] };

/** MP_REACH_NLRI (RFC 4760 section 3): AFI, SAFI, next hop with its length, a reserved octet, NLRI. */
function parseReach(one: Attribute | undefined): Reach {
  if (one === undefined) return nothing;
  const refuse = (why: string): BgpError => updateError(9, one.whole, `MP_REACH_NLRI: ${why}`);
  if (one.value.length < 5) throw refuse('cut short');
  const hopBytes = one.value.readUInt8(3);
  if (4 + hopBytes + 1 > one.value.length) throw refuse('the next hop is longer than the attribute');
  const family = familyOf(one.value.readUInt16BE(0), one.value.readUInt8(2));
  if (family === undefined) return nothing;
  const allowed = family === 'ipv4' ? [4, 16, 32] : [16, 32];
  if (!allowed.includes(hopBytes)) throw refuse(`a next hop of ${hopBytes} bytes`);
  const hop = one.value.subarray(4, 4 + hopBytes);
  const nextHops =
    hopBytes === 32 ? [addressText(hop.subarray(0, 16)), addressText(hop.subarray(16))] : [addressText(hop)];
  const prefixes = decodePrefixes(one.value.subarray(5 + hopBytes), family);
  if (prefixes === undefined) throw refuse('a prefix is too long or cut short');
  return { family, prefixes, nextHops };
}

/** MP_UNREACH_NLRI (RFC 4760 section 4): AFI, SAFI, withdrawn routes. */
function parseUnreach(one: Attribute | undefined): Reach {
  if (one === undefined) return nothing;
  const refuse = (why: string): BgpError => updateError(9, one.whole, `MP_UNREACH_NLRI: ${why}`);
  if (one.value.length < 3) throw refuse('cut short');
  const family = familyOf(one.value.readUInt16BE(0), one.value.readUInt8(2));
  if (family === undefined) return nothing;
  const prefixes = decodePrefixes(one.value.subarray(3), family);
  if (prefixes === undefined) throw refuse('a prefix is too long or cut short');
  return { family, prefixes, nextHops: [] };
}

function nextHopOf(attributes: Map<number, Attribute>): string[] {
  const one = attributes.get(attribute.nextHop);
  return one === undefined ? [] : [addressText(one.value)];
}

function asNumbers(one: Attribute | undefined, octets: 2 | 4): number[] {
  const numbers: number[] = [];
  const value = one?.value ?? Buffer.alloc(0);
  for (let at = 0; at < value.length;) {
    const count = value.readUInt8(at + 1);
    // Sets and confederations are in no particular order, and nobody here compares paths.
    if (value.readUInt8(at) <= asSequence)
      for (let i = 0; i < count; i++) numbers.push(value.readUIntBE(at + 2 + i * octets, octets));
    at += 2 + count * octets;
  }
  return numbers;
}

function communitiesOf(attributes: Map<number, Attribute>): BgpCommunity[] {
  const list: BgpCommunity[] = [];
  const standard = attributes.get(attribute.communities)?.value ?? Buffer.alloc(0);
  for (let at = 0; at < standard.length; at += 4)
    list.push({ type: 'standard', high: standard.readUInt16BE(at), low: standard.readUInt16BE(at + 2) });
  const large = attributes.get(attribute.largeCommunities)?.value ?? Buffer.alloc(0);
  for (let at = 0; at < large.length; at += 12)
    list.push({
      type: 'large',
      global: large.readUInt32BE(at),
      local1: large.readUInt32BE(at + 4),
      local2: large.readUInt32BE(at + 8),
    });
  return list;
}
