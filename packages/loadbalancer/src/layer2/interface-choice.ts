import { linkFlag, type DefaultRoute, type Link, type LinkAddress } from './rtnetlink.ts';

/** The interfaces of this machine at one moment. */
export interface LinkTable {
  readonly links: readonly Link[];
  readonly addresses: readonly LinkAddress[];
  readonly defaultRoutes: readonly DefaultRoute[];
}

/**
 * Interfaces that are never chosen unless they are named: those of containers and virtual machines on this host.
 * Upstream's list (config/manifests, ConfigMap metallb-excludel2) and our own.
 */
export const defaultExclude =
  '^(docker|cbr|dummy|virbr|lxcbr|veth|cali|tunl|flannel|kube-ipvs|cni|nodelocaldns|lxc|cilium|br-[0-9a-f]{12}$|lo$)';

/** Links of our own pods and what holds their gateway: no announcement ever belongs there. */
const ownLinks = /^(cloudless|cl[0-9a-f]{12}$)/;

export const isOwnLink = (name: string): boolean => ownLinks.test(name);

/** Why nothing can be answered on an interface. */
export type Unfit = 'down' | 'loopback' | 'no-arp' | 'not-ethernet' | 'port-of-another' | 'pod-link';

const hardwareEthernet = 1;

/** Kinds of device that lead to a segment where others are, when nothing else tells which one does. */
const uplinkKinds: ReadonlySet<string | undefined> = new Set([
  undefined,
  'bond',
  'team',
  'vlan',
  'bridge',
  'macvlan',
]);

/**
 * Where this machine answers for an address when it is the owner, given its interfaces at one moment.
 *
 * Named interfaces are taken as they are named, less those where nothing can be answered. `any`:
 * 1. the interfaces with a subnet that the address is in; when all of these are down, none: on another wire nobody asks;
 * 2. else (an address off every subnet, which a router has a route for: upstream's issue 2009) the interface of the
 *    default route, since that is where the router is; of the other family's when the address's own has none;
 * 3. else every uplink, as upstream does for all addresses.
 */
export class InterfaceChoice {
  readonly #table: LinkTable;
  readonly #byIndex: ReadonlyMap<number, Link>;
  /** Where something can be answered. */
  readonly #fit: readonly Link[];
  /** Those of them that `exclude` leaves, and what would be there if it were up. */
  readonly #eligible: readonly Link[];
  readonly #fitIndexes: ReadonlySet<number>;
  readonly #subnets: readonly LinkAddress[];

  /** @param exclude names of interfaces that only a name chooses. */
  constructor(table: LinkTable, exclude: RegExp) {
    this.#table = table;
    this.#byIndex = new Map(table.links.map((link) => [link.index, link]));
    const reasons = new Map(table.links.map((link) => [link.index, this.unfit(link)]));
    this.#fit = table.links.filter((link) => reasons.get(link.index) === undefined);
    this.#fitIndexes = new Set(this.#fit.map(({ index }) => index));
    this.#eligible = table.links.filter((link) => {
      const why = reasons.get(link.index);
      return (why === undefined || why === 'down') && !exclude.test(link.name);
    });
    const eligible = new Set(this.#eligible.map(({ index }) => index));
    this.#subnets = table.addresses.filter(({ index }) => eligible.has(index));
  }

  /** Whether ARP and NDP can be answered on an interface at all; undefined: yes. */
  unfit(link: Link): Unfit | undefined {
    if (isOwnLink(link.name)) return 'pod-link';
    if ((link.flags & linkFlag.loopback) !== 0) return 'loopback';
    if (link.hardware !== hardwareEthernet || link.mac.length !== 6 || link.mac.every((byte) => byte === 0))
      return 'not-ethernet';
    if ((link.flags & linkFlag.noArp) !== 0) return 'no-arp';
    // What comes in by a port belongs to its bridge, bond or switch; a VRF's members are links of their own.
    if (link.master !== undefined && this.#byIndex.get(link.master)?.kind !== 'vrf') return 'port-of-another';
    const working = linkFlag.up | linkFlag.running;
    return (link.flags & working) === working ? undefined : 'down';
  }

  choose(address: Uint8Array, wanted: readonly string[] | 'any'): Link[] {
    if (wanted !== 'any') return this.#fit.filter((link) => wanted.includes(link.name));
    const inSubnet = new Set(this.#subnets.filter((own) => isInSubnet(address, own)).map((own) => own.index));
    const local = this.#eligible.filter((link) => inSubnet.has(link.index));
    if (local.length > 0) return local.filter((link) => this.#fitIndexes.has(link.index));
    const up = this.#eligible.filter((link) => this.#fitIndexes.has(link.index));
    const family = address.length === 4 ? 4 : 6;
    const routes = this.#table.defaultRoutes;
    for (const route of [
      ...byMetric(routes.filter((one) => one.family === family)),
      ...byMetric(routes.filter((one) => one.family !== family)),
    ]) {
      const links = up.filter((link) => route.indexes.includes(link.index));
      if (links.length > 0) return links;
    }
    return up.filter((link) => uplinkKinds.has(link.kind));
  }

  /** The interfaces, not switched off, that have the address as their own, not as a duplicate. */
  holders(address: Uint8Array): Link[] {
    const indexes = this.#table.addresses
      .filter((own) => !own.tentative && Buffer.compare(own.address, address) === 0)
      .map((own) => own.index);
    return this.#table.links.filter(
      (link) => indexes.includes(link.index) && (link.flags & linkFlag.up) !== 0,
    );
  }
}

function byMetric(routes: readonly DefaultRoute[]): DefaultRoute[] {
  return [...routes].sort((a, b) => a.metric - b.metric);
}

/** Whether an address is in the subnet of an interface's own; a lone address (/32, /128) has no subnet. */
function isInSubnet(address: Uint8Array, own: LinkAddress): boolean {
  const { length } = address;
  if (own.address.length !== length || own.prefixLength === 0 || own.prefixLength === length * 8)
    return false;
  const whole = own.prefixLength >> 3;
  for (let i = 0; i < whole; i++) if (address[i] !== own.address[i]) return false;
  const rest = own.prefixLength & 7;
  const mask = (0xff00 >> rest) & 0xff;
  return rest === 0 || ((address[whole] as number) & mask) === ((own.address[whole] as number) & mask);
}

/**
 * Whether the kernel answers on `link` for an address that `held` have, so that nobody else may. IPv4: by arp_ignore
 * (0: on every interface, 1 to 3: where it is assigned; Documentation/networking/ip-sysctl). IPv6: where it is assigned.
 */
export function kernelAnswers(family: 4 | 6, link: Link, held: readonly Link[], arpIgnore: number): boolean {
  if (family === 4 && arpIgnore === 0) return held.length > 0;
  return (family === 6 || arpIgnore <= 3) && held.some(({ index }) => index === link.index);
}
