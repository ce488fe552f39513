import type { BgpCommunity } from '../../config/config.ts';
import { addressBytes } from '../../socket/address.ts';
import { asSequence, attribute, encodeAttribute, encodeNumbers, flag } from './attributes.ts';
import { encodeFrame, headerBytes, maxMessageBytes, messageType } from './frame.ts';
import { asTrans } from './open.ts';
import { type Family, type WirePrefix, wireFamily } from './prefix.ts';

/** How a session writes its routes: settled by both OPENs and the connection's addresses. */
export interface UpdateFormat {
  readonly localAsn: number;
  /** The peer is in the same AS: no AS_PATH, but LOCAL_PREF. */
  readonly internal: boolean;
  /** Both sides write AS numbers in four octets (RFC 6793). */
  readonly fourOctetAsn: boolean;
  /** Where the peer sends packets for each family; undefined: routes of it cannot be told. */
  readonly nextHops: Readonly<Record<Family, NextHop | undefined>>;
}

/** An address; IPv6 with the link-local one of the same interface where the peer is on the link (RFC 2545 section 3). */
export interface NextHop {
  readonly address: string;
  readonly linkLocal: string | undefined;
}

/** What routes of one UPDATE have in common. */
export interface PathAttributes {
  readonly localPref: number;
  readonly communities: readonly BgpCommunity[];
}

/** The attributes leave no room for one prefix in a message of 4096 bytes. */
export class AttributesTooLongError extends Error {
  override readonly name = 'AttributesTooLongError';
}

/** Withdrawn routes' length and path attributes' length. */
const bodyHeadBytes = 4;
/** AFI, SAFI of MP_UNREACH_NLRI and its header in the long form. */
const mpUnreachHeadBytes = 4 + 3;

/**
 * UPDATEs that announce `prefixes`, all of one family, with the same attributes: as few as the limit of 4096 bytes
 * allows. Throws {@link AttributesTooLongError} and, when the family has no next hop, a RangeError.
 */
export function encodeAnnouncements(
  prefixes: readonly WirePrefix[],
  family: Family,
  attributes: PathAttributes,
  format: UpdateFormat,
): Buffer[] {
  const nextHop = format.nextHops[family];
  if (nextHop === undefined) throw new RangeError(`there is no next hop for ${family} routes`);
  const common = encodeCommon(attributes, format);
  const hop = encodeNextHop(nextHop);
  // IPv4 with a next hop of its own goes where it always went; all else into MP_REACH_NLRI (RFC 4760, RFC 8950).
  const classic = family === 'ipv4' && hop.length === 4;
  const nextHopAttribute = encodeAttribute(flag.transitive, attribute.nextHop, hop);
  const overhead =
    headerBytes + bodyHeadBytes + (classic ? nextHopAttribute.length : 4 + 5 + hop.length) + bytesOf(common);
  return pack(prefixes, maxMessageBytes - overhead).map((nlri) => {
    if (classic)
      return encodeUpdate(Buffer.alloc(0), [...common, [attribute.nextHop, nextHopAttribute]], nlri);
    const head = Buffer.from([0, wireFamily[family], 1, hop.length]);
    const reach = Buffer.concat([head, hop, Buffer.from([0]), nlri]);
    const encoded = encodeAttribute(flag.optional, attribute.mpReach, reach);
    return encodeUpdate(Buffer.alloc(0), [...common, [attribute.mpReach, encoded]], Buffer.alloc(0));
  });
}

/** UPDATEs that withdraw `prefixes`, all of one family. */
export function encodeWithdrawals(
  prefixes: readonly WirePrefix[],
  family: Family,
  format: UpdateFormat,
): Buffer[] {
  const classic = family === 'ipv4' && isClassic(format);
  const overhead = headerBytes + bodyHeadBytes + (classic ? 0 : mpUnreachHeadBytes);
  return pack(prefixes, maxMessageBytes - overhead).map((nlri) =>
    classic ? encodeUpdate(nlri, [], Buffer.alloc(0)) : encodeMpUnreach(family, nlri),
  );
}

/** The marker that all routes of a family have been told (RFC 4724 section 2). */
export function encodeEndOfRib(family: Family): Buffer {
  if (family === 'ipv4') return encodeUpdate(Buffer.alloc(0), [], Buffer.alloc(0));
  return encodeMpUnreach(family, Buffer.alloc(0));
}

const isClassic = (format: UpdateFormat): boolean => !format.nextHops.ipv4?.address.includes(':');

function encodeMpUnreach(family: Family, nlri: Buffer): Buffer {
  const value = Buffer.concat([Buffer.from([0, wireFamily[family], 1]), nlri]);
  const encoded = encodeAttribute(flag.optional, attribute.mpUnreach, value);
  return encodeUpdate(Buffer.alloc(0), [[attribute.mpUnreach, encoded]], Buffer.alloc(0));
}

type Encoded = readonly [type: number, bytes: Buffer];

const bytesOf = (attributes: readonly Encoded[]): number =>
  attributes.reduce((sum, [, bytes]) => sum + bytes.length, 0);

function encodeUpdate(withdrawn: Buffer, attributes: readonly Encoded[], nlri: Buffer): Buffer {
  // Ascending by type (RFC 4271 section 5), but the routes of MP_REACH_NLRI first (RFC 7606 section 5.1).
  const rank = (type: number): number => (type === attribute.mpReach ? 0 : type);
  const sorted = [...attributes].sort(([a], [b]) => rank(a) - rank(b)).map(([, bytes]) => bytes);
  const paths = Buffer.concat(sorted);
  return encodeFrame(
    messageType.update,
    Buffer.concat([
      encodeNumbers(2, [withdrawn.length]),
      withdrawn,
      encodeNumbers(2, [paths.length]),
      paths,
      nlri,
    ]),
  );
}

/** The attributes that do not depend on the family. */
function encodeCommon({ localPref, communities }: PathAttributes, format: UpdateFormat): Encoded[] {
  const list: Encoded[] = [];
  const add = (flags: number, type: number, value: Buffer): void => {
    list.push([type, encodeAttribute(flags, type, value)]);
  };
  // The routes come from the configuration: IGP.
  add(flag.transitive, attribute.origin, Buffer.from([0]));
  add(flag.transitive, attribute.asPath, encodeAsPath(format, format.fourOctetAsn ? 4 : 2));
  if (!format.internal && !format.fourOctetAsn && format.localAsn > 0xffff)
    add(flag.optional | flag.transitive, attribute.as4Path, encodeAsPath(format, 4));
  if (format.internal) add(flag.transitive, attribute.localPref, encodeNumbers(4, [localPref]));
  const standard = communities.filter((one) => one.type === 'standard');
  if (standard.length > 0)
    add(
      flag.optional | flag.transitive,
      attribute.communities,
      encodeNumbers(
        2,
        standard.flatMap(({ high, low }) => [high, low]),
      ),
    );
  const large = communities.filter((one) => one.type === 'large');
  if (large.length > 0)
    add(
      flag.optional | flag.transitive,
      attribute.largeCommunities,
      encodeNumbers(
        4,
        large.flatMap(({ global, local1, local2 }) => [global, local1, local2]),
      ),
    );
  return list;
}

function encodeAsPath({ internal, localAsn }: UpdateFormat, octets: 2 | 4): Buffer {
  if (internal) return Buffer.alloc(0);
  const asn = octets === 2 && localAsn > 0xffff ? asTrans : localAsn;
  return Buffer.concat([Buffer.from([asSequence, 1]), encodeNumbers(octets, [asn])]);
}

function encodeNextHop({ address, linkLocal }: NextHop): Buffer {
  const bytes = Buffer.from(addressBytes(address));
  return linkLocal === undefined ? bytes : Buffer.concat([bytes, addressBytes(linkLocal)]);
}

/** Fields of NLRI of at most `room` bytes each. */
function pack(prefixes: readonly WirePrefix[], room: number): Buffer[] {
  const fields: Buffer[] = [];
  let field: Buffer[] = [];
  let bytes = 0;
  for (const prefix of prefixes) {
    if (prefix.bytes.length > room)
      throw new AttributesTooLongError(`attributes leave ${room} bytes of ${maxMessageBytes} for prefixes`);
    if (bytes + prefix.bytes.length > room) {
      fields.push(Buffer.concat(field));
      field = [];
      bytes = 0;
    }
    field.push(prefix.bytes);
    bytes += prefix.bytes.length;
  }
  if (field.length > 0) fields.push(Buffer.concat(field));
  return fields;
}
