import { readFileSync } from 'node:fs';
import type { AddressPlan } from '../announcement.ts';
import { addressBytes, macText } from '../socket/address.ts';
import { SystemCallError } from '../socket/libc.ts';
import type { PacketSocket } from '../socket/packet-socket.ts';
import { gratuitousArp } from './arp.ts';
import { Bursts } from './bursts.ts';
import { Counters } from './counters.ts';
import { InterfaceChoice, kernelAnswers, type LinkTable } from './interface-choice.ts';
import { checkPermission, LinkSockets } from './link-sockets.ts';
import { solicitedNodeGroup, unsolicitedAdvertisement } from './ndp.ts';
import { RouteSocket } from './netlink-socket.ts';
import { macKey, OwnedAddresses, respond, type ResponderLink } from './responder.ts';
import { linkFlag, type Link, type RouteMessage } from './rtnetlink.ts';
import type { ThreadLog } from './thread/elector.ts';
import type { LoopPart } from './thread/loop.ts';

export interface AnnouncerOptions {
  /** True: the thread was frozen just now, and what was to be sent must not be (Loop.checkpoint). */
  checkpoint(this: void): boolean;
  nowMs(this: void): number;
  /** Names of interfaces that are chosen only when a plan names them. */
  exclude: RegExp;
  log: ThreadLog;
  /** A frame came in; false: it is not to be answered (Elector.heardFrame). */
  heardFrame(interfaceName: string): boolean;
  /** Whether announcements may be sent now (Elector.mayAnnounce). */
  mayAnnounce(): boolean;
  /** Another station claims an address that is answered for here. */
  heardClaim(this: void, address: string, mac: string, interfaceName: string): void;
  /** Where addresses would be answered is not what it was. */
  interfacesChanged(): void;
}

/** One address of the plans and where it belongs on this machine now. */
interface Place {
  readonly address: string;
  readonly bytes: Uint8Array;
  readonly wanted: readonly string[] | 'any';
  /** Chosen interfaces, those included on which the kernel answers. */
  links: readonly Link[];
  /** Indexes of the interfaces on which this thread answers when the address is owned. */
  answers: ReadonlySet<number>;
  /** Interfaces that have the address as their own. */
  held: readonly string[];
}

interface OpenLink {
  readonly sockets: LinkSockets;
  responder: ResponderLink;
  lastFrameMs: number | undefined;
  receivedPackets: number;
}

/** Frames taken from one socket before others have their turn, and announcements sent in one. */
const framesPerTurn = 64;
const announcementsPerTurn = 256;
const groupsPerTurn = 128;
/** A freeze leaves at most a socket's buffer of questions behind. */
const framesDropped = 4096;
/** Changes of interfaces come in bunches: so long between two readings of everything. */
const refreshSpacingMs = 50;
/** DEFEND_INTERVAL of RFC 5227 section 1.1. */
const defendEveryMs = 10_000;
/** Without any change heard: arp_ignore has no event. */
const refreshEveryMs = 30_000;

/** Answers for owned addresses on the wire, tells the segment of new ones, and follows the machine's interfaces. */
export class Announcer implements LoopPart {
  readonly #options: AnnouncerOptions;
  readonly #routes = new RouteSocket();
  readonly #bursts = new Bursts();
  readonly #table = new OwnedAddresses();
  readonly counters = new Counters();
  readonly #places = new Map<string, Place>();
  #owned: ReadonlySet<string> = new Set();
  #links: LinkTable;
  #choice: InterfaceChoice;
  #ownMacs: ReadonlySet<number>;
  readonly #arpIgnore = new Map<string, number>();
  readonly #open = new Map<number, OpenLink>();
  readonly #byFd = new Map<number, { open: OpenLink; socket: PacketSocket }>();
  #fds: readonly number[] = [this.#routes.fd];
  readonly #defendedMs = new Map<string, number>();
  #refreshedMs: number;
  #refreshDueMs: number;

  /** @throws {SystemCallError} `EPERM`: this process may not open packet sockets. */
  constructor(options: AnnouncerOptions) {
    checkPermission();
    this.#options = options;
    this.#refreshedMs = options.nowMs();
    this.#refreshDueMs = this.#refreshedMs + refreshEveryMs;
    this.#links = this.#routes.read();
    this.#choice = new InterfaceChoice(this.#links, options.exclude);
    this.#ownMacs = macsOf(this.#links);
  }

  fds(): readonly number[] {
    return this.#fds;
  }

  readable(fd: number): void {
    if (fd === this.#routes.fd) this.#hearChanges();
    else this.#answer(fd);
  }

  nextDeadlineMs(): number {
    for (const { sockets } of this.#open.values()) if (sockets.groupsWait) return 0;
    return Math.min(this.#bursts.nextMs(), this.#refreshDueMs);
  }

  deadline(nowMs: number): void {
    if (nowMs >= this.#refreshDueMs) this.#refresh();
    for (const { sockets } of this.#open.values()) sockets.changeGroups(groupsPerTurn);
    const due = this.#bursts.due(nowMs, announcementsPerTurn);
    if (due.length > 0 && this.#options.mayAnnounce())
      for (const { address, link } of due) this.#announce(address, link);
  }

  /** Drops every question that waits: who asked has asked others since, or will ask again. */
  frozen(): void {
    for (const { socket } of this.#byFd.values())
      for (let i = 0; i < framesDropped && socket.receive() !== undefined; i++);
  }

  /** The plans of this speaker, whoever owns them: interfaces are chosen and listened on before an address is owned. */
  setPlans(plans: readonly AddressPlan[]): void {
    const wanted = new Set(plans.map((plan) => plan.address));
    for (const [address, place] of this.#places) {
      if (wanted.has(address)) continue;
      this.#silence(place);
      this.#places.delete(address);
      this.#defendedMs.delete(address);
      this.counters.forget(address);
    }
    const fresh: Place[] = [];
    for (const { address, interfaces } of plans) {
      const known = this.#places.get(address);
      if (known !== undefined && sameNames(known.wanted, interfaces)) continue;
      if (known !== undefined) this.#silence(known);
      const bytes = known?.bytes ?? addressBytes(address);
      const place = { address, bytes, wanted: interfaces, links: [], answers: new Set<number>(), held: [] };
      this.#places.set(address, place);
      fresh.push(place);
    }
    this.#put(fresh, new Set());
  }

  /** The addresses that this node answers for from now on; new ones are announced at once. */
  setOwned(owned: ReadonlySet<string>): void {
    const before = this.#owned;
    this.#owned = owned;
    for (const place of this.#places.values()) {
      if (before.has(place.address) && !owned.has(place.address)) this.#silence(place);
      if (before.has(place.address) || !owned.has(place.address)) continue;
      this.#table.set(place.address, place.bytes, place.answers);
      this.announce(place.address);
    }
    this.deadline(this.#options.nowMs());
  }

  /** Starts the burst for an owned address anew, as after taking over. */
  announce(address: string): void {
    const place = this.#places.get(address);
    if (place === undefined || !this.#owned.has(address)) return;
    for (const link of place.links) this.#bursts.start(address, link.index, this.#options.nowMs());
  }

  /** Names of the interfaces for an address of the plans. */
  interfacesFor(address: string): readonly string[] {
    return this.#places.get(address)?.links.map(({ name }) => name) ?? [];
  }

  /** Names of the interfaces that have an address of the plans as their own. */
  heldBy(address: string): readonly string[] {
    return this.#places.get(address)?.held ?? [];
  }

  /** See {@link ElectorContext.lastFrameMs}. */
  lastFrameMs(interfaceName: string): number | undefined {
    const link = this.#links.links.find(({ name }) => name === interfaceName);
    const open = link === undefined ? undefined : this.#open.get(link.index);
    if (link === undefined || open === undefined) return undefined;
    // What the filters keep out counts too: the interface's own counter has moved since the last look.
    const received = this.#routes.receivedPackets(link.index) ?? open.receivedPackets;
    if (received > open.receivedPackets) open.lastFrameMs = this.#options.nowMs();
    open.receivedPackets = received;
    return open.lastFrameMs;
  }

  close(): void {
    for (const { sockets } of this.#open.values()) sockets.close();
    this.#routes.close();
  }

  #answer(fd: number): void {
    const found = this.#byFd.get(fd);
    if (found === undefined) return;
    const { open, socket } = found;
    for (let i = 0; i < framesPerTurn; i++) {
      const frame = socket.receive();
      if (frame === undefined) return;
      open.lastFrameMs = this.#options.nowMs();
      const outcome = respond(frame, open.responder, this.#table, this.#ownMacs);
      if (outcome.kind === 'claim') this.#hearClaim(outcome.address, macText(outcome.mac), open.sockets.link);
      if (outcome.kind === 'ignored' && outcome.why === 'own-frame') continue;
      const may = this.#options.heardFrame(open.sockets.link.name);
      if (outcome.kind !== 'answer' || !may) continue;
      if (this.#options.checkpoint()) return;
      this.counters.received(outcome.address);
      if (socket.send(outcome.frame)) this.counters.sent(outcome.address);
      if (!this.#byFd.has(fd)) return;
    }
  }

  /**
   * Another station has, or wants, an address that is answered for here: by mistake, or a speaker that does not know yet.
   * It is told again who has it, at most once in so long that two such stations make no storm (RFC 5227 section 2.4).
   */
  #hearClaim(address: string, mac: string, link: Link): void {
    const { log, nowMs, heardClaim } = this.#options;
    heardClaim(address, mac, link.name);
    if (nowMs() < (this.#defendedMs.get(address) ?? -Infinity) + defendEveryMs) return;
    this.#defendedMs.set(address, nowMs());
    log('warn', 'another station claims an address of this node', { address, mac, interface: link.name });
    if (this.#options.mayAnnounce()) this.#announce(address, link.index);
  }

  /** One round of announcing one address on one interface. */
  #announce(address: string, index: number): void {
    const open = this.#open.get(index);
    const place = this.#places.get(address);
    if (open === undefined || place === undefined || !this.#owned.has(address)) return;
    const { mac } = open.responder;
    const v4 = place.bytes.length === 4;
    const frames = v4 ? gratuitousArp(place.bytes, mac) : [unsolicitedAdvertisement(place.bytes, mac)];
    const socket = v4 ? open.sockets.arp : open.sockets.ndp;
    for (const frame of frames) if (socket?.send(frame) === true) this.counters.gratuitous(address);
  }

  /** Answers no more for an address, and tells nobody of it. */
  #silence(place: Place): void {
    this.#table.delete(place.bytes);
    for (const link of place.links) this.#bursts.stop(place.address, link.index);
  }

  #hearChanges(): void {
    const changes = this.#routes.changes();
    if (changes !== 'lost' && !changes.some((message) => this.#concerns(message))) return;
    this.#refreshDueMs = Math.max(this.#options.nowMs(), this.#refreshedMs + refreshSpacingMs);
    if (this.#refreshDueMs <= this.#options.nowMs()) this.#refresh();
  }

  /** Pods that come and go change interfaces that no announcement is ever on. */
  #concerns(message: RouteMessage): boolean {
    const { exclude } = this.#options;
    const ignorable = (name: string): boolean =>
      exclude.test(name) &&
      ![...this.#places.values()].some(({ wanted }) => wanted !== 'any' && wanted.includes(name));
    if (message.kind === 'link') return !ignorable(message.link.name);
    // An address of any interface, a container's included, may be one of the plans'.
    return message.kind === 'address' || message.kind === 'default-route';
  }

  #refresh(): void {
    const { exclude } = this.#options;
    this.#refreshedMs = this.#options.nowMs();
    this.#refreshDueMs = this.#refreshedMs + refreshEveryMs;
    const before = new Map(this.#links.links.map((link) => [link.index, link]));
    this.#links = this.#routes.read();
    this.#choice = new InterfaceChoice(this.#links, exclude);
    this.#ownMacs = macsOf(this.#links);
    this.#arpIgnore.clear();
    const cameUp = this.#links.links.filter(
      (link) => this.#choice.unfit(link) === undefined && isNew(before.get(link.index), link),
    );
    this.#put([...this.#places.values()], new Set(cameUp.map(({ index }) => index)));
  }

  /** Chooses interfaces for addresses, opens and closes sockets, announces what is owned where that is new. */
  #put(places: readonly Place[], cameUp: ReadonlySet<number>): void {
    const news: Array<[string, number]> = [];
    let changed = false;
    for (const place of places) {
      const old = place.links;
      changed = this.#choose(place) || changed;
      if (!this.#owned.has(place.address)) continue;
      this.#table.set(place.address, place.bytes, place.answers);
      for (const { index } of old)
        if (!place.links.some((link) => link.index === index)) this.#bursts.stop(place.address, index);
      for (const { index } of place.links)
        if (cameUp.has(index) || !old.some((link) => link.index === index)) news.push([place.address, index]);
    }
    this.#openLinks(cameUp);
    for (const [address, index] of news) this.#bursts.start(address, index, this.#options.nowMs());
    if (changed) this.#options.interfacesChanged();
  }

  /** True when something that others see of the place is new. */
  #choose(place: Place): boolean {
    const { bytes, links, held } = place;
    const family = bytes.length === 4 ? 4 : 6;
    const holding = this.#choice.holders(bytes);
    place.links = this.#choice.choose(bytes, place.wanted);
    place.held = holding.map(({ name }) => name);
    const answered = (link: Link): boolean =>
      holding.length > 0 && kernelAnswers(family, link, holding, this.#arpIgnoreOf(link.name));
    place.answers = new Set(place.links.filter((link) => !answered(link)).map(({ index }) => index));
    const names = (list: readonly Link[]): string => list.map(({ name }) => name).join();
    return names(links) !== names(place.links) || held.join() !== place.held.join();
  }

  #arpIgnoreOf(interfaceName: string): number {
    const known = this.#arpIgnore.get(interfaceName) ?? readArpIgnore(interfaceName);
    this.#arpIgnore.set(interfaceName, known);
    return known;
  }

  /** Sockets on exactly the interfaces that some address of the plans is for. */
  #openLinks(cameUp: ReadonlySet<number>): void {
    const wanted = new Map<number, { link: Link; families: Set<4 | 6>; groups: Uint8Array[] }>();
    for (const { bytes, links } of this.#places.values())
      for (const link of links) {
        const entry = wanted.get(link.index) ?? { link, families: new Set(), groups: [] };
        wanted.set(link.index, entry);
        entry.families.add(bytes.length === 4 ? 4 : 6);
        if (bytes.length === 16) entry.groups.push(solicitedNodeGroup(bytes));
      }
    for (const [index, open] of this.#open) {
      const entry = wanted.get(index);
      if (entry !== undefined && !cameUp.has(index) && fits(open.sockets, entry)) continue;
      open.sockets.close();
      this.#open.delete(index);
    }
    for (const [index, { link, families, groups }] of wanted) {
      const open = this.#open.get(index) ?? this.#openLink(link, families);
      if (open === undefined) continue;
      open.responder = { index, mac: link.mac };
      open.sockets.setGroups(groups);
    }
    this.#listFds();
  }

  #openLink(link: Link, families: ReadonlySet<4 | 6>): OpenLink | undefined {
    try {
      const open = {
        sockets: new LinkSockets(link, families),
        responder: { index: link.index, mac: link.mac },
        lastFrameMs: undefined,
        receivedPackets: link.receivedPackets,
      };
      this.#open.set(link.index, open);
      return open;
    } catch (error) {
      if (!(error instanceof SystemCallError) || error.code === 'EPERM') throw error;
      // Gone since it was listed: the change of interfaces that says so is on its way.
      this.#options.log('warn', 'cannot answer on an interface', {
        interface: link.name,
        reason: error.message,
      });
      return undefined;
    }
  }

  #listFds(): void {
    this.#byFd.clear();
    for (const open of this.#open.values())
      for (const socket of [open.sockets.arp, open.sockets.ndp])
        if (socket !== undefined) this.#byFd.set(socket.fd, { open, socket });
    this.#fds = [this.#routes.fd, ...this.#byFd.keys()];
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

function fits(sockets: LinkSockets, entry: { link: Link; families: ReadonlySet<4 | 6> }): boolean {
  return (
    sockets.link.name === entry.link.name &&
    (sockets.arp !== undefined || !entry.families.has(4)) &&
    (sockets.ndp !== undefined || !entry.families.has(6))
  );
}

function sameNames(a: readonly string[] | 'any', b: readonly string[] | 'any'): boolean {
  return (
    a === b || (a !== 'any' && b !== 'any' && a.length === b.length && a.every((name, i) => name === b[i]))
  );
}

function macsOf({ links }: LinkTable): ReadonlySet<number> {
  return new Set(links.filter(({ mac }) => mac.length === 6).map(({ mac }) => macKey(mac, 0)));
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
