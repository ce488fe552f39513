import { arpOperation, arpReply, parseArp } from './arp.ts';
import { etherType, isStationMac, sameBytes, word } from './ethernet.ts';
import {
  allNodes,
  encodeAdvertisement,
  isUnspecified,
  multicastMac,
  parseNeighborMessage,
  type NeighborMessage,
} from './ndp.ts';

/** What the responder knows of the interface that a frame came in by. */
export interface ResponderLink {
  readonly index: number;
  readonly mac: Uint8Array;
}

/** Why a frame has no answer (upstream: internal/layer2/announcer.go, dropReason). */
export type Ignored =
  | 'malformed'
  | 'not-for-this-station'
  | 'not-a-request'
  | 'not-owned'
  | 'other-interface'
  | 'own-frame';

export type Outcome =
  | { readonly kind: 'answer'; readonly address: string; readonly frame: Uint8Array }
  /** Another station says that it has an address which is owned here. */
  | { readonly kind: 'claim'; readonly address: string; readonly mac: Uint8Array }
  | { readonly kind: 'ignored'; readonly why: Ignored };

/** The addresses that this node answers for, and on which interfaces; found by their bytes. */
export class OwnedAddresses {
  readonly #v4 = new Map<number, Owned>();
  readonly #v6 = new Map<string, Owned>();

  /** No interfaces: answers nowhere, and hears of claims all the same. */
  set(address: string, bytes: Uint8Array, interfaces: ReadonlySet<number>): void {
    const owned = { address, interfaces };
    if (bytes.length === 4) this.#v4.set(v4Key(bytes), owned);
    else this.#v6.set(v6Key(bytes), owned);
  }

  delete(bytes: Uint8Array): void {
    if (bytes.length === 4) this.#v4.delete(v4Key(bytes));
    else this.#v6.delete(v6Key(bytes));
  }

  find(bytes: Uint8Array): Owned | undefined {
    return bytes.length === 4 ? this.#v4.get(v4Key(bytes)) : this.#v6.get(v6Key(bytes));
  }
}

interface Owned {
  readonly address: string;
  readonly interfaces: ReadonlySet<number>;
}

const v4Key = (bytes: Uint8Array): number => word(bytes, 0) * 0x10000 + word(bytes, 2);
const v6Key = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

const ignored = (why: Ignored): Outcome => ({ kind: 'ignored', why });

/**
 * What to do about one frame: pure. `ownMacs` has the addresses of all interfaces of this node as
 * {@link macKey} gives them, so that what it sends by one interface and hears by another is no claim of a stranger.
 */
export function respond(
  frame: Uint8Array,
  link: ResponderLink,
  owned: OwnedAddresses,
  ownMacs: ReadonlySet<number>,
): Outcome {
  if (frame.length < 14) return ignored('malformed');
  const toGroup = ((frame[0] as number) & 1) !== 0;
  if (!toGroup && !sameBytes(frame, 0, link.mac, 0, 6)) return ignored('not-for-this-station');
  if (!isStationMac(frame, 6)) return ignored('malformed');
  if (ownMacs.has(macKey(frame, 6))) return ignored('own-frame');
  return word(frame, 12) === etherType.arp
    ? respondArp(frame, link, owned, ownMacs)
    : respondNdp(frame, link, owned, ownMacs);
}

/** A MAC address as a number, for sets. */
export function macKey(bytes: Uint8Array, at: number): number {
  return word(bytes, at) * 0x1_0000_0000 + word(bytes, at + 2) * 0x10000 + word(bytes, at + 4);
}

function respondArp(
  frame: Uint8Array,
  link: ResponderLink,
  owned: OwnedAddresses,
  ownMacs: ReadonlySet<number>,
): Outcome {
  const packet = parseArp(frame);
  if (packet === undefined || !isStationMac(packet.senderMac, 0)) return ignored('malformed');
  const claimed = owned.find(packet.senderIp);
  if (claimed !== undefined && claimed.interfaces.has(link.index)) {
    if (ownMacs.has(macKey(packet.senderMac, 0))) return ignored('own-frame');
    return { kind: 'claim', address: claimed.address, mac: packet.senderMac };
  }
  if (packet.operation !== arpOperation.request) return ignored('not-a-request');
  // Group addresses other than broadcast are nobody's to ask by (upstream: dropReasonEthernetDestination).
  if (((frame[0] as number) & 1) !== 0 && frame[0] !== 0xff) return ignored('not-for-this-station');
  const asked = owned.find(packet.targetIp);
  if (asked === undefined) return ignored('not-owned');
  if (!asked.interfaces.has(link.index)) return ignored('other-interface');
  return { kind: 'answer', address: asked.address, frame: arpReply(packet, link.mac) };
}

function respondNdp(
  frame: Uint8Array,
  link: ResponderLink,
  owned: OwnedAddresses,
  ownMacs: ReadonlySet<number>,
): Outcome {
  const message = parseNeighborMessage(frame);
  if (message === undefined) return ignored('malformed');
  const claimed = message.kind === 'solicitation' ? owned.find(message.source) : undefined;
  if (claimed?.interfaces.has(link.index) === true)
    return { kind: 'claim', address: claimed.address, mac: frame.subarray(6, 12) };
  const asked = owned.find(message.target);
  if (asked === undefined) return ignored(message.kind === 'solicitation' ? 'not-owned' : 'not-a-request');
  if (!asked.interfaces.has(link.index)) return ignored('other-interface');
  if (message.kind === 'advertisement') {
    const mac = message.linkAddress ?? frame.subarray(6, 12);
    if (ownMacs.has(macKey(mac, 0))) return ignored('own-frame');
    return { kind: 'claim', address: asked.address, mac };
  }
  const mac = message.linkAddress ?? frame.subarray(6, 12);
  if (!isStationMac(mac, 0)) return ignored('malformed');
  return { kind: 'answer', address: asked.address, frame: advertise(message, mac, link) };
}

/**
 * To the one who asked; a probe for duplicates has no address yet, so everyone hears the answer. From the target, as a
 * host that has the address would send it: some (ndisc6) take no answer of another scope than what they asked for.
 */
function advertise(message: NeighborMessage, mac: Uint8Array, link: ResponderLink): Uint8Array {
  const probe = isUnspecified(message.source);
  return encodeAdvertisement({
    source: message.target,
    destination: probe ? allNodes : message.source,
    destinationMac: probe ? multicastMac(allNodes) : mac,
    target: message.target,
    mac: link.mac,
    solicited: !probe,
  });
}
