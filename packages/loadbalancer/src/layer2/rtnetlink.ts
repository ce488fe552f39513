/**
 * Routing netlink as bytes (RFC 3549; linux/rtnetlink.h, linux/if_link.h): requests for everything there is, and what
 * comes back. Unlike `/sys` and `/proc` it tells of the network namespace of the thread that asks. Numbers are in the
 * machine's order, which is little-endian wherever Node runs on Linux.
 */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** ARPHRD_*: 1 is Ethernet. */
  readonly hardware: number;
  /** IFF_*. */
  readonly flags: number;
  readonly mac: Uint8Array;
  /** Index of the bridge, bond, VRF or switch that it is a port of. */
  readonly master: number | undefined;
  /** `veth`, `bridge`, `vlan` …; undefined: a device of its own. */
  readonly kind: string | undefined;
  /** Whether its other end is in another network namespace. */
  readonly peerElsewhere: boolean;
  /** How often it came up: more than before means that it flapped. */
  readonly carrierUps: number;
}

export const linkFlag = { up: 0x1, broadcast: 0x2, loopback: 0x8, running: 0x40, noArp: 0x80 } as const;

export interface LinkAddress {
  readonly index: number;
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly prefixLength: number;
  /** Whether it is being checked for duplicates, or was found to be one: the kernel does not answer for it. */
  readonly tentative: boolean;
}

/** Interfaces of a default route of the main table. */
export interface DefaultRoute {
  readonly family: 4 | 6;
  readonly indexes: readonly number[];
  readonly metric: number;
}

export type RouteMessage =
  | { readonly kind: 'link'; readonly link: Link; readonly removed: boolean }
  | { readonly kind: 'address'; readonly address: LinkAddress; readonly removed: boolean }
  | { readonly kind: 'default-route'; readonly route: DefaultRoute }
  | { readonly kind: 'other-route' }
  | { readonly kind: 'done' }
  | { readonly kind: 'error'; readonly errno: number };

const headerBytes = 16;
const type = {
  error: 2,
  done: 3,
  newLink: 16,
  deletedLink: 17,
  getLink: 18,
  newAddress: 20,
  deletedAddress: 21,
  getAddress: 22,
  newRoute: 24,
  deletedRoute: 25,
  getRoute: 26,
};
const flagRequestDump = 0x301; // NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH
const family = { v4: 2, v6: 10 } as const;
const mainTable = 254; // RT_TABLE_MAIN
const unicast = 1; // RTN_UNICAST

/** Groups that a socket is bound to that wants to hear of changes: links, addresses and routes of both families. */
export const changeGroups = 0x1 | 0x10 | 0x100 | 0x40 | 0x400;

export const dump = {
  links: (): Uint8Array => request(type.getLink, flagRequestDump, new Uint8Array(16)),
  addresses: (): Uint8Array => request(type.getAddress, flagRequestDump, new Uint8Array(8)),
  /** The main table of a family; its default routes come first, since the kernel walks up from the lowest key. */
  routes: (of: 4 | 6): Uint8Array => {
    const body = new Uint8Array(12);
    body[0] = of === 4 ? family.v4 : family.v6;
    body[4] = mainTable;
    return request(type.getRoute, flagRequestDump, body);
  },
};

function request(messageType: number, flags: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(headerBytes + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, messageType, true);
  view.setUint16(6, flags, true);
  view.setUint32(8, 1, true);
  bytes.set(body, headerBytes);
  return bytes;
}

/** The messages in what one receive gave. Lengths that do not fit end it; messages of other types are left out. */
export function parseRouteMessages(bytes: Uint8Array): RouteMessage[] {
  const messages: RouteMessage[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + headerBytes <= bytes.length;) {
    const length = view.getUint32(at, true);
    if (length < headerBytes || at + length > bytes.length) break;
    const body = bytes.subarray(at + headerBytes, at + length);
    const message = parseOne(view.getUint16(at + 4, true), body);
    if (message !== undefined) messages.push(message);
    at += (length + 3) & ~3;
  }
  return messages;
}

function parseOne(messageType: number, body: Uint8Array): RouteMessage | undefined {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  switch (messageType) {
    case type.done:
      return { kind: 'done' };
    case type.error:
      return body.length < 4 ? undefined : { kind: 'error', errno: -view.getInt32(0, true) };
    case type.newLink:
    case type.deletedLink:
      return parseLink(body, view, messageType === type.deletedLink);
    case type.newAddress:
    case type.deletedAddress:
      return parseAddress(body, view, messageType === type.deletedAddress);
    case type.newRoute:
    case type.deletedRoute:
      return parseRoute(body, view);
    default:
      return undefined;
  }
}

/** Attributes by their type, the nested bit taken off. */
function attributes(bytes: Uint8Array): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + 4 <= bytes.length;) {
    const length = view.getUint16(at, true);
    if (length < 4 || at + length > bytes.length) break;
    found.set(view.getUint16(at + 2, true) & 0x3fff, bytes.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return found;
}

function number32(bytes: Uint8Array | undefined): number | undefined {
  if (bytes === undefined || bytes.length < 4) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
}

/** Text up to its NUL. */
function text(bytes: Uint8Array | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('utf8');
}

const linkAttribute = {
  address: 1,
  name: 3,
  master: 10,
  info: 18,
  wireless: 11,
  peerNamespace: 37,
  carrierUps: 47,
};
const infoKind = 1;

/**
 * Messages of other families are of bridges' ports (a deleted one means that it left its bridge), and those of
 * wireless extensions have next to nothing in them: the interface's own come beside them.
 */
function parseLink(body: Uint8Array, view: DataView, removed: boolean): RouteMessage | undefined {
  if (body.length < 16 || body[0] !== 0) return undefined;
  const found = attributes(body.subarray(16));
  if (found.has(linkAttribute.wireless)) return undefined;
  const info = found.get(linkAttribute.info);
  const link: Link = {
    hardware: view.getUint16(2, true),
    index: view.getInt32(4, true),
    flags: view.getUint32(8, true),
    name: text(found.get(linkAttribute.name)) ?? '',
    mac: found.get(linkAttribute.address)?.slice() ?? new Uint8Array(),
    master: number32(found.get(linkAttribute.master)),
    kind: info === undefined ? undefined : text(attributes(info).get(infoKind)),
    peerElsewhere: found.has(linkAttribute.peerNamespace),
    carrierUps: number32(found.get(linkAttribute.carrierUps)) ?? 0,
  };
  return { kind: 'link', link, removed };
}

const addressAttribute = { address: 1, local: 2, flags: 8 };
const addressFlag = { dadFailed: 0x08, tentative: 0x40, optimistic: 0x04 };

function parseAddress(body: Uint8Array, view: DataView, removed: boolean): RouteMessage | undefined {
  if (body.length < 8) return undefined;
  const found = attributes(body.subarray(8));
  // IFA_LOCAL is the own end of a point-to-point link; without it IFA_ADDRESS is.
  const address = found.get(addressAttribute.local) ?? found.get(addressAttribute.address);
  const bytes = body[0] === family.v4 ? 4 : body[0] === family.v6 ? 16 : 0;
  if (address === undefined || address.length !== bytes) return undefined;
  const flags = number32(found.get(addressAttribute.flags)) ?? body[2] ?? 0;
  return {
    kind: 'address',
    address: {
      index: view.getInt32(4, true),
      address: address.slice(),
      prefixLength: body[1] as number,
      tentative:
        (flags & (addressFlag.tentative | addressFlag.dadFailed)) !== 0 &&
        (flags & addressFlag.optimistic) === 0,
    },
    removed,
  };
}

const routeAttribute = { oif: 4, priority: 6, multipath: 9, table: 15 };

function parseRoute(body: Uint8Array, view: DataView): RouteMessage | undefined {
  if (body.length < 12) return undefined;
  const found = attributes(body.subarray(12));
  const table = number32(found.get(routeAttribute.table)) ?? body[4];
  if (body[1] !== 0 || table !== mainTable || body[7] !== unicast) return { kind: 'other-route' };
  const direct = number32(found.get(routeAttribute.oif));
  const multipath = found.get(routeAttribute.multipath);
  return {
    kind: 'default-route',
    route: {
      family: view.getUint8(0) === family.v4 ? 4 : 6,
      indexes: [
        ...(direct === undefined ? [] : [direct]),
        ...(multipath === undefined ? [] : nextHops(multipath)),
      ],
      metric: number32(found.get(routeAttribute.priority)) ?? 0,
    },
  };
}

/** Interfaces of RTA_MULTIPATH: struct rtnexthop, each with its attributes. */
function nextHops(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const indexes: number[] = [];
  for (let at = 0; at + 8 <= bytes.length;) {
    const length = view.getUint16(at, true);
    if (length < 8) break;
    indexes.push(view.getInt32(at + 4, true));
    at += (length + 3) & ~3;
  }
  return indexes;
}
