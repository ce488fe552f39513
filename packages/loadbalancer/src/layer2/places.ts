import { readFileSync } from 'node:fs';
import type { AddressPlan } from '../announcement.ts';
import { addressBytes, addressText } from '../socket/address.ts';
import { InterfaceChoice, isOwnLink, kernelAnswers, type LinkTable } from './interface-choice.ts';
import { linkFlag, type Link, type RouteMessage } from './rtnetlink.ts';

/** One address of the plans and where it belongs on this machine now. */
export interface Place {
  readonly address: string;
  readonly bytes: Uint8Array;
  readonly wanted: readonly string[] | 'any';
  /** Chosen interfaces, those included on which the kernel answers. */
  links: readonly Link[];
  /** Indexes of the interfaces on which the speaker answers when the address is owned. */
  answers: ReadonlySet<number>;
  /** Interfaces that have the address as their own, if the kernel answers for it on one of `links`. */
  held: readonly string[];
}

/** The addresses of the plans on the interfaces that there are. */
export class Places {
  readonly #exclude: RegExp;
  #table: LinkTable;
  #choice: InterfaceChoice;
  readonly #places = new Map<string, Place>();
  /** By the interface's name, as of the last table. */
  readonly #arpIgnore = new Map<string, number>();

  /** @param exclude names of interfaces that are chosen only when a plan names them. */
  constructor(table: LinkTable, exclude: RegExp) {
    this.#exclude = exclude;
    this.#table = table;
    this.#choice = new InterfaceChoice(table, exclude);
  }

  get table(): LinkTable {
    return this.#table;
  }

  get(address: string): Place | undefined {
    return this.#places.get(address);
  }

  values(): Iterable<Place> {
    return this.#places.values();
  }

  /** Replaces the plans. `gone` are no more, `fresh` are to be chosen for; one whose interfaces changed is in both. */
  setPlans(plans: readonly AddressPlan[]): { gone: Place[]; fresh: Place[] } {
    const wanted = new Map(plans.map((plan) => [plan.address, plan.interfaces]));
    const gone = [...this.#places.values()].filter(({ address, wanted: before }) => {
      const interfaces = wanted.get(address);
      return interfaces === undefined || !sameNames(before, interfaces);
    });
    for (const { address } of gone) this.#places.delete(address);
    const fresh: Place[] = [];
    for (const [address, interfaces] of wanted) {
      if (this.#places.has(address)) continue;
      const bytes = addressBytes(address);
      const place: Place = { address, bytes, wanted: interfaces, links: [], answers: new Set(), held: [] };
      this.#places.set(address, place);
      fresh.push(place);
    }
    return { gone, fresh };
  }

  /** Replaces the interfaces; the indexes of those that can be answered on and could not before, or may be elsewhere now. */
  setTable(table: LinkTable): ReadonlySet<number> {
    const before = new Map(this.#table.links.map((link) => [link.index, link]));
    this.#table = table;
    this.#choice = new InterfaceChoice(table, this.#exclude);
    this.#arpIgnore.clear();
    const cameUp = table.links.filter(
      (link) => this.#choice.unfit(link) === undefined && isNew(before.get(link.index), link),
    );
    return new Set(cameUp.map(({ index }) => index));
  }

  /** Chooses interfaces for a place; true when something that others see of it is new. */
  choose(place: Place): boolean {
    const { bytes, links, held } = place;
    const family = bytes.length === 4 ? 4 : 6;
    const holding = this.#choice.holders(bytes);
    place.links = this.#choice.choose(bytes, place.wanted);
    const answered = (link: Link): boolean =>
      holding.length > 0 && kernelAnswers(family, link, holding, this.#arpIgnoreOf(link.name));
    const free = place.links.filter((link) => !answered(link));
    place.answers = new Set(free.map(({ index }) => index));
    // An address that is held where the kernel is told not to answer (arp_ignore, as IPVS wants it) disturbs nobody.
    place.held = free.length < place.links.length ? holding.map(({ name }) => name) : [];
    const names = (list: readonly Link[]): string => list.map(({ name }) => name).join();
    return names(links) !== names(place.links) || held.join() !== place.held.join();
  }

  /** Whether a change may matter here: pods that come and go change interfaces that no announcement is ever on. */
  concerns(message: RouteMessage): boolean {
    if (message.kind === 'default-route') return true;
    if (message.kind === 'link') return !this.#ignorable(message.link.name);
    if (message.kind !== 'address') return false;
    const { index, address } = message.address;
    const link = this.#table.links.find((one) => one.index === index);
    // One of the plans' addresses matters wherever it is.
    return link === undefined || !this.#ignorable(link.name) || this.#places.has(addressText(address));
  }

  #ignorable(name: string): boolean {
    if (isOwnLink(name)) return true;
    if (!this.#exclude.test(name)) return false;
    for (const { wanted } of this.#places.values())
      if (wanted !== 'any' && wanted.includes(name)) return false;
    return true;
  }

  #arpIgnoreOf(interfaceName: string): number {
    const known = this.#arpIgnore.get(interfaceName) ?? readArpIgnore(interfaceName);
    this.#arpIgnore.set(interfaceName, known);
    return known;
  }
}

/** Whether an interface that works now did not before, or is another one: what its segment knows may be old. */
function isNew(before: Link | undefined, now: Link): boolean {
  const working = linkFlag.up | linkFlag.running;
  return (
    before === undefined ||
    (before.flags & working) !== working ||
    before.carrierUps !== now.carrierUps ||
    before.master !== now.master ||
    Buffer.compare(before.mac, now.mac) !== 0
  );
}

function sameNames(a: readonly string[] | 'any', b: readonly string[] | 'any'): boolean {
  return (
    a === b || (a !== 'any' && b !== 'any' && a.length === b.length && a.every((name, i) => name === b[i]))
  );
}

/** The kernel takes the larger of the interface's value and that of all (Documentation/networking/ip-sysctl). */
function readArpIgnore(interfaceName: string): number {
  const read = (name: string): number => {
    try {
      return Number(readFileSync(`/proc/sys/net/ipv4/conf/${name}/arp_ignore`, 'utf8'));
    } catch {
      return 0;
    }
  };
  return Math.max(read('all'), read(interfaceName));
}
