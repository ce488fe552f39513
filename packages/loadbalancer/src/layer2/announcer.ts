import { readFileSync } from 'node:fs';
import type { AddressPlan } from '../announcement.ts';
import { addressBytes, macText } from '../socket/address.ts';
import { gratuitousArp } from './arp.ts';
import { Bursts } from './bursts.ts';
import { Counters } from './counters.ts';
import type { LinkGroups } from './group-memberships.ts';
import type { LinkTable } from './interface-choice.ts';
import { checkPermission } from './link-sockets.ts';
import { LinkState } from './link-state.ts';
import { unsolicitedAdvertisement } from './ndp.ts';
import { RouteSocket } from './netlink-socket.ts';
import { OpenLinks } from './open-links.ts';
import { type Place, Places } from './places.ts';
import { macKey, OwnedAddresses, respond } from './responder.ts';
import type { Link } from './rtnetlink.ts';
import type { ThreadLog } from './thread/elector.ts';
import type { LoopPart } from '@cloudless/kube/native/loop';

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
  /** Groups to be heard, all of them (GroupMemberships of the main side). */
  groupsChanged(groups: readonly LinkGroups[]): void;
  /** Closes descriptors, later and elsewhere. */
  retire(this: void, fds: readonly number[]): void;
  /** Where addresses would be answered is not what it was. */
  interfacesChanged(): void;
}

/** Frames taken from one socket before others have their turn, and announcements sent in one. */
const framesPerTurn = 64;
const announcementsPerTurn = 256;
/** A freeze leaves at most a socket's buffer of questions behind. */
const framesDropped = 4096;
/** Changes of interfaces come in bunches: so long between two choices of everything. */
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
  readonly #state: LinkState;
  readonly #places: Places;
  readonly #open: OpenLinks;
  #owned: ReadonlySet<string> = new Set();
  #ownMacs: ReadonlySet<number>;
  #fds: readonly number[] = [this.#routes.fd];
  readonly #defendedMs = new Map<string, number>();
  #groupsText = '[]';
  #refreshedMs: number;
  #refreshDueMs: number;

  /** @throws {SystemCallError} `EPERM`: this process may not open packet sockets. */
  constructor(options: AnnouncerOptions) {
    checkPermission();
    this.#options = options;
    this.#refreshedMs = options.nowMs();
    this.#refreshDueMs = this.#refreshedMs + refreshEveryMs;
    this.#open = new OpenLinks(options.log, options.retire);
    this.#state = new LinkState(this.#routes.read());
    this.#places = new Places(this.#state.table(), options.exclude);
    this.#ownMacs = macsOf(this.#places.table);
  }

  fds(): readonly number[] {
    return this.#fds;
  }

  readable(fd: number): void {
    if (fd === this.#routes.fd) this.#hearChanges();
    else this.#answer(fd);
  }

  nextDeadlineMs(): number {
    return Math.min(this.#bursts.nextMs(), this.#refreshDueMs);
  }

  deadline(nowMs: number): void {
    if (nowMs >= this.#refreshDueMs) this.#refresh();
    const due = this.#bursts.due(nowMs, announcementsPerTurn);
    if (due.length > 0 && this.#options.mayAnnounce())
      for (const { address, link } of due) this.#announce(address, link);
  }

  /** Drops every question that waits: who asked has asked others since, or will ask again. */
  frozen(): void {
    for (const fd of this.#open.fds()) {
      const socket = this.#open.byFd(fd)?.socket;
      for (let i = 0; i < framesDropped && socket?.receive() !== undefined; i++);
    }
  }

  /** The plans of this speaker, whoever owns them: interfaces are chosen and listened on before an address is owned. */
  setPlans(plans: readonly AddressPlan[]): void {
    const { gone, fresh } = this.#places.setPlans(plans);
    for (const place of gone) {
      this.#silence(place);
      if (this.#places.get(place.address) !== undefined) continue;
      this.#defendedMs.delete(place.address);
      this.counters.forget(place.address);
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

  /** See {@link ElectorContext.interfaceWith}. */
  interfaceWith(address: string): string | undefined {
    const bytes = addressBytes(address);
    const { links, addresses } = this.#places.table;
    const own = addresses.find((one) => Buffer.compare(one.address, bytes) === 0);
    return links.find(({ index }) => index === own?.index)?.name;
  }

  /** See {@link ElectorContext.lastFrameMs}. */
  lastFrameMs(interfaceName: string): number | undefined {
    const link = this.#places.table.links.find(({ name }) => name === interfaceName);
    const open = link === undefined ? undefined : this.#open.get(link.index);
    if (link === undefined || open === undefined) return undefined;
    // What the filters keep out counts too: the interface's own counter has moved since the last look.
    const received = receivedPackets(interfaceName);
    if (received !== undefined && received > (open.receivedPackets ?? received))
      open.lastFrameMs = this.#options.nowMs();
    open.receivedPackets = received;
    return open.lastFrameMs;
  }

  close(): void {
    this.#open.close();
    this.#routes.close();
  }

  #answer(fd: number): void {
    const found = this.#open.byFd(fd);
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
      if (this.#open.byFd(fd) === undefined) return;
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
    if (changes === 'lost') this.#state.replace(this.#routes.read());
    else if (this.#state.apply(changes)) this.#state.setDefaultRoutes(this.#routes.defaultRoutes());
    if (changes !== 'lost' && !changes.some((message) => this.#places.concerns(message))) return;
    this.#refreshDueMs = Math.max(this.#options.nowMs(), this.#refreshedMs + refreshSpacingMs);
    if (this.#refreshDueMs <= this.#options.nowMs()) this.#refresh();
  }

  #refresh(): void {
    this.#refreshedMs = this.#options.nowMs();
    this.#refreshDueMs = this.#refreshedMs + refreshEveryMs;
    const cameUp = this.#places.setTable(this.#state.table());
    this.#ownMacs = macsOf(this.#places.table);
    this.#put(this.#places.values(), cameUp);
  }

  /** Chooses interfaces for addresses, opens and closes sockets, announces what is owned where that is new. */
  #put(places: Iterable<Place>, cameUp: ReadonlySet<number>): void {
    const news: Array<[string, number]> = [];
    let changed = false;
    for (const place of places) {
      const old = place.links;
      const { held } = place;
      changed = this.#places.choose(place) || changed;
      if (place.held.length > 0 && held.join() !== place.held.join())
        this.#options.log('warn', 'an address to announce is this machine’s own: its kernel answers for it', {
          address: place.address,
          interfaces: place.held,
        });
      if (!this.#owned.has(place.address)) continue;
      this.#table.set(place.address, place.bytes, place.answers);
      for (const { index } of old)
        if (!place.links.some((link) => link.index === index)) this.#bursts.stop(place.address, index);
      for (const { index } of place.links)
        if (cameUp.has(index) || !old.some((link) => link.index === index)) news.push([place.address, index]);
    }
    const groups = this.#open.fit(this.#places.values(), cameUp);
    const groupsText = JSON.stringify(groups);
    if (groupsText !== this.#groupsText) this.#options.groupsChanged(groups);
    this.#groupsText = groupsText;
    this.#fds = [this.#routes.fd, ...this.#open.fds()];
    for (const [address, index] of news) this.#bursts.start(address, index, this.#options.nowMs());
    if (changed) this.#options.interfacesChanged();
  }
}

function macsOf({ links }: LinkTable): ReadonlySet<number> {
  return new Set(links.filter(({ mac }) => mac.length === 6).map(({ mac }) => macKey(mac, 0)));
}

/** What an interface of this thread's namespace received so far, without the lock that netlink takes; undefined: it is gone. */
function receivedPackets(interfaceName: string): number | undefined {
  const text = readFileSync('/proc/thread-self/net/dev', 'utf8');
  const at = text.indexOf(`\n${interfaceName.padStart(6)}:`);
  // `name: bytes packets …` (proc(5)).
  const packets = at < 0 ? undefined : /:\s*\d+\s+(\d+)/.exec(text.slice(at, at + 120))?.[1];
  return packets === undefined ? undefined : Number(packets);
}
