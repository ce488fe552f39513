import { addressText } from '../socket/address.ts';
import { SystemCallError } from '@cloudless/kube/native/libc';
import type { PacketSocket } from '../socket/packet-socket.ts';
import type { LinkGroups } from './group-memberships.ts';
import { LinkSockets } from './link-sockets.ts';
import { solicitedNodeGroup } from './ndp.ts';
import type { Place } from './places.ts';
import type { ResponderLink } from './responder.ts';
import type { Link } from './rtnetlink.ts';
import type { ThreadLog } from './thread/elector.ts';

/** An interface with sockets on it. */
export interface OpenLink {
  readonly sockets: LinkSockets;
  /** Counts what was opened: see {@link LinkGroups}. */
  readonly generation: number;
  responder: ResponderLink;
  /** In the loop's time. */
  lastFrameMs: number | undefined;
  /** The interface's own counter at the last look; undefined: not looked yet. */
  receivedPackets: number | undefined;
}

interface Wanted {
  readonly link: Link;
  readonly families: Set<4 | 6>;
  readonly groups: Set<string>;
}

/** Sockets on exactly the interfaces that some address of the plans is for. */
export class OpenLinks {
  readonly #log: ThreadLog;
  readonly #retire: (fds: readonly number[]) => void;
  #opened = 0;
  readonly #open = new Map<number, OpenLink>();
  readonly #byFd = new Map<number, { open: OpenLink; socket: PacketSocket }>();

  /** @param retire closes descriptors later: see {@link Report}, kind `retired`. */
  constructor(log: ThreadLog, retire: (fds: readonly number[]) => void) {
    this.#log = log;
    this.#retire = retire;
  }

  get(index: number): OpenLink | undefined {
    return this.#open.get(index);
  }

  values(): Iterable<OpenLink> {
    return this.#open.values();
  }

  byFd(fd: number): { open: OpenLink; socket: PacketSocket } | undefined {
    return this.#byFd.get(fd);
  }

  /**
   * Opens what is missing, closes what is in excess; the groups to hear. `renewed` are opened anew: their memberships may
   * be lost.
   */
  fit(places: Iterable<Place>, renewed: ReadonlySet<number>): LinkGroups[] {
    const wanted = wantedLinks(places);
    for (const [index, open] of this.#open) {
      const entry = wanted.get(index);
      if (entry !== undefined && !renewed.has(index) && fits(open.sockets, entry)) continue;
      this.#retire(open.sockets.fds());
      this.#open.delete(index);
    }
    const heard: LinkGroups[] = [];
    for (const [index, { link, families, groups }] of wanted) {
      const open = this.#open.get(index) ?? this.#openLink(link, families);
      if (open === undefined) continue;
      open.responder = { index, mac: link.mac };
      heard.push({ index, generation: open.generation, groups: [...groups] });
    }
    this.#byFd.clear();
    for (const open of this.#open.values())
      for (const socket of [open.sockets.arp, open.sockets.ndp])
        if (socket !== undefined) this.#byFd.set(socket.fd, { open, socket });
    return heard;
  }

  /** Descriptors of all sockets. */
  fds(): number[] {
    return [...this.#byFd.keys()];
  }

  close(): void {
    for (const { sockets } of this.#open.values()) sockets.close();
  }

  #openLink(link: Link, families: ReadonlySet<4 | 6>): OpenLink | undefined {
    try {
      const open = {
        sockets: new LinkSockets(link, families),
        generation: (this.#opened += 1),
        responder: { index: link.index, mac: link.mac },
        lastFrameMs: undefined,
        receivedPackets: undefined,
      };
      this.#open.set(link.index, open);
      return open;
    } catch (error) {
      if (!(error instanceof SystemCallError) || error.code === 'EPERM') throw error;
      // Gone since it was listed: the change of interfaces that says so is on its way.
      this.#log('warn', 'cannot answer on an interface', { interface: link.name, reason: error.message });
      return undefined;
    }
  }
}

function wantedLinks(places: Iterable<Place>): ReadonlyMap<number, Wanted> {
  const wanted = new Map<number, Wanted>();
  for (const { bytes, links } of places)
    for (const link of links) {
      const entry = wanted.get(link.index) ?? { link, families: new Set(), groups: new Set() };
      wanted.set(link.index, entry);
      entry.families.add(bytes.length === 4 ? 4 : 6);
      if (bytes.length === 16) entry.groups.add(addressText(solicitedNodeGroup(bytes)));
    }
  return wanted;
}

function fits(sockets: LinkSockets, { link, families }: Wanted): boolean {
  return (
    sockets.link.name === link.name &&
    (sockets.arp !== undefined || !families.has(4)) &&
    (sockets.ndp !== undefined || !families.has(6))
  );
}
