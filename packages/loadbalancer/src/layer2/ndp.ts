import { ethernetHeaderBytes, etherType, putEthernetHeader, putWord, word } from './ethernet.ts';

/** A neighbour solicitation or advertisement (RFC 4861); the addresses are views into the frame it was read from. */
export interface NeighborMessage {
  readonly kind: 'solicitation' | 'advertisement';
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly target: Uint8Array;
  /** The sender's own (solicitation: source option, advertisement: target option); undefined: not told. */
  readonly linkAddress: Uint8Array | undefined;
  readonly solicited: boolean;
  readonly override: boolean;
}

const ipHeaderBytes = 40;
const messageBytes = 24;
const icmpAt = ethernetHeaderBytes + ipHeaderBytes;
const nextHeaderIcmp6 = 58;
/** Nothing of another link arrives with it (RFC 4861 section 7.1): a router would have made it less. */
const hopLimit = 255;
const type = { solicitation: 135, advertisement: 136 } as const;
const option = { sourceLinkAddress: 1, targetLinkAddress: 2 } as const;
const flag = { solicited: 0x40, override: 0x20 } as const;

export const allNodes: Uint8Array = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

/** The group in which `address` is asked for: ff02::1:ff and its last three bytes (RFC 4291 section 2.7.1). */
export function solicitedNodeGroup(address: Uint8Array): Uint8Array {
  const group = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0);
  group.set(address.subarray(13), 13);
  return group;
}

/** The Ethernet group of an IPv6 group (RFC 2464 section 7). */
export function multicastMac(group: Uint8Array): Uint8Array {
  const mac = Uint8Array.of(0x33, 0x33, 0, 0, 0, 0);
  mac.set(group.subarray(12), 2);
  return mac;
}

export const isUnspecified = (address: Uint8Array): boolean => address.every((byte) => byte === 0);
const isMulticast = (address: Uint8Array): boolean => address[0] === 0xff;

/**
 * Reads a whole frame and checks what RFC 4861 section 7.1 wants checked: hop limit, checksum, code, lengths, options,
 * and the rules of duplicate address detection. Undefined: not such a message, or not a valid one.
 */
export function parseNeighborMessage(frame: Uint8Array): NeighborMessage | undefined {
  if (frame.length < icmpAt + messageBytes || word(frame, 12) !== etherType.ipv6) return undefined;
  const ip = ethernetHeaderBytes;
  if ((frame[ip] as number) >> 4 !== 6) return undefined;
  if (frame[ip + 6] !== nextHeaderIcmp6 || frame[ip + 7] !== hopLimit) return undefined;
  const length = word(frame, ip + 4);
  const end = icmpAt + length;
  // What follows the packet in the frame is padding.
  if (length < messageBytes || end > frame.length) return undefined;
  const messageType = frame[icmpAt];
  if ((messageType !== type.solicitation && messageType !== type.advertisement) || frame[icmpAt + 1] !== 0)
    return undefined;
  if (icmpChecksum(frame, length) !== 0) return undefined;
  const source = frame.subarray(ip + 8, ip + 24);
  const destination = frame.subarray(ip + 24, ip + 40);
  const target = frame.subarray(icmpAt + 8, icmpAt + 24);
  if (isMulticast(target) || isMulticast(source)) return undefined;
  const solicitation = messageType === type.solicitation;
  const wanted = solicitation ? option.sourceLinkAddress : option.targetLinkAddress;
  const linkAddress = findLinkAddress(frame, icmpAt + messageBytes, end, wanted);
  if (linkAddress === 'malformed') return undefined;
  const flags = frame[icmpAt + 4] as number;
  const message: NeighborMessage = {
    kind: solicitation ? 'solicitation' : 'advertisement',
    source,
    destination,
    target,
    linkAddress,
    solicited: !solicitation && (flags & flag.solicited) !== 0,
    override: !solicitation && (flags & flag.override) !== 0,
  };
  return isLawful(message) ? message : undefined;
}

function isLawful({ kind, source, destination, linkAddress, solicited }: NeighborMessage): boolean {
  if (kind === 'advertisement') return !(solicited && isMulticast(destination)) && !isUnspecified(source);
  if (!isUnspecified(source)) return true;
  // A probe for duplicates: nobody to answer to yet, so it has no link address, and goes to the group of its target.
  return linkAddress === undefined && isSolicitedNodeGroup(destination);
}

function isSolicitedNodeGroup(address: Uint8Array): boolean {
  const prefix = solicitedNodeGroup(address);
  return prefix.every((byte, i) => byte === address[i]);
}

/** Walks the options; each has a length in units of 8 bytes that is not 0 and ends within the packet. */
function findLinkAddress(
  frame: Uint8Array,
  from: number,
  end: number,
  wanted: number,
): Uint8Array | undefined | 'malformed' {
  let found: Uint8Array | undefined;
  for (let at = from; at < end;) {
    const bytes = (frame[at + 1] as number) * 8;
    if (at + 2 > end || bytes === 0 || at + bytes > end) return 'malformed';
    if (frame[at] === wanted && bytes === 8) found ??= frame.subarray(at + 2, at + 8);
    at += bytes;
  }
  return found;
}

/** ICMPv6's checksum over its pseudo header (RFC 4443 section 2.3); 0 when the packet has its right one in it. */
export function icmpChecksum(frame: Uint8Array, length: number): number {
  let sum = length + nextHeaderIcmp6;
  for (let at = ethernetHeaderBytes + 8; at < icmpAt; at += 2) sum += word(frame, at);
  const even = icmpAt + (length & ~1);
  for (let at = icmpAt; at < even; at += 2) sum += word(frame, at);
  if (length % 2 === 1) sum += (frame[even] as number) << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

export interface Advertisement {
  source: Uint8Array;
  destination: Uint8Array;
  destinationMac: Uint8Array;
  target: Uint8Array;
  mac: Uint8Array;
  solicited: boolean;
}

/** A whole frame: `mac` has `target` now, and that overrides what was known (RFC 4861 section 7.2.4). */
export function encodeAdvertisement(advertisement: Advertisement): Uint8Array {
  const flags = flag.override | (advertisement.solicited ? flag.solicited : 0);
  return encodeMessage(type.advertisement, flags, option.targetLinkAddress, advertisement);
}

/** A whole frame that asks who has `target`; without a source (`::`) it is a probe for duplicates. */
export function encodeSolicitation(solicitation: Omit<Advertisement, 'solicited'>): Uint8Array {
  return encodeMessage(type.solicitation, 0, option.sourceLinkAddress, solicitation);
}

function encodeMessage(
  messageType: number,
  flags: number,
  optionType: number,
  message: Omit<Advertisement, 'solicited'>,
): Uint8Array {
  const probe = isUnspecified(message.source);
  const length = messageBytes + (probe ? 0 : 8);
  const frame = new Uint8Array(icmpAt + length);
  putEthernetHeader(frame, message.destinationMac, message.mac, etherType.ipv6);
  const ip = ethernetHeaderBytes;
  frame[ip] = 0x60;
  putWord(frame, ip + 4, length);
  frame[ip + 6] = nextHeaderIcmp6;
  frame[ip + 7] = hopLimit;
  frame.set(message.source, ip + 8);
  frame.set(message.destination, ip + 24);
  frame[icmpAt] = messageType;
  frame[icmpAt + 4] = flags;
  frame.set(message.target, icmpAt + 8);
  if (!probe) {
    frame[icmpAt + messageBytes] = optionType;
    frame[icmpAt + messageBytes + 1] = 1;
    frame.set(message.mac, icmpAt + messageBytes + 2);
  }
  putWord(frame, icmpAt + 2, icmpChecksum(frame, length));
  return frame;
}

/** Tells every node on the link that `mac` has `target` now; it comes from the target, as Linux sends its own. */
export function unsolicitedAdvertisement(target: Uint8Array, mac: Uint8Array): Uint8Array {
  return encodeAdvertisement({
    source: target,
    destination: allNodes,
    destinationMac: multicastMac(allNodes),
    target,
    mac,
    solicited: false,
  });
}
