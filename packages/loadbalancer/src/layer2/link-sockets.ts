import { addressText } from '../socket/address.ts';
import { libc, linux } from '../socket/libc.ts';
import {
  ancillary,
  bpf,
  openPacketSocket,
  packetOtherHost,
  type Instruction,
  type PacketSocket,
} from '../socket/packet-socket.ts';
import { etherType } from './ethernet.ts';
import { multicastMac } from './ndp.ts';
import type { Link } from './rtnetlink.ts';

const whole = 0xffff_ffff;
const drop: Instruction = [bpf.return, 0, 0, 0];
const accept: Instruction = [bpf.return, 0, 0, whole];

/** ARP requests and replies that are for this station or for all. */
const arpFilter: readonly Instruction[] = [
  [bpf.loadWord, 0, 0, ancillary.packetType],
  [bpf.jumpEqual, 4, 0, packetOtherHost],
  [bpf.loadHalf, 0, 0, 20], // operation
  [bpf.jumpEqual, 1, 0, 1],
  [bpf.jumpEqual, 0, 1, 2],
  accept,
  drop,
];

/** Neighbour solicitations and advertisements: everything else of IPv6 stays in the kernel. */
const ndpFilter: readonly Instruction[] = [
  [bpf.loadWord, 0, 0, ancillary.packetType],
  [bpf.jumpEqual, 6, 0, packetOtherHost],
  [bpf.loadByte, 0, 0, 20], // next header
  [bpf.jumpEqual, 0, 4, 58],
  [bpf.loadByte, 0, 0, 54], // ICMPv6 type
  [bpf.jumpEqual, 1, 0, 135],
  [bpf.jumpEqual, 0, 1, 136],
  accept,
  drop,
];

/** @throws {SystemCallError} `EPERM` when this process may not open packet sockets, saying what it needs. */
export function checkPermission(): void {
  openPacketSocket(0, etherType.arp, [drop]).close();
}

/**
 * The sockets on one interface: one for ARP, one for NDP, and memberships of the groups in which addresses are asked
 * for. A group is joined the way an address of the interface's own would be, so that switches that snoop MLD send it
 * here; where IPv6 is off, by the interface's filter alone.
 */
export class LinkSockets {
  readonly link: Link;
  readonly arp: PacketSocket | undefined;
  readonly ndp: PacketSocket | undefined;
  readonly #groups = new Map<string, Membership>();
  readonly #memberSockets: number[] = [];
  #pending: Array<{ text: string; group: Uint8Array | undefined }> = [];

  /** @throws {SystemCallError} when the interface is gone or this process may not. */
  constructor(link: Link, families: ReadonlySet<4 | 6>) {
    this.link = link;
    this.arp = families.has(4) ? openPacketSocket(link.index, etherType.arp, arpFilter) : undefined;
    try {
      this.ndp = families.has(6) ? openPacketSocket(link.index, etherType.ipv6, ndpFilter) : undefined;
    } catch (error) {
      this.arp?.close();
      throw error;
    }
  }

  /** The groups to hear; those before and not among them are to be left. {@link changeGroups} does it. */
  setGroups(groups: readonly Uint8Array[]): void {
    const wanted = new Map(groups.map((group) => [addressText(group), group]));
    this.#pending = [
      ...[...this.#groups.keys()]
        .filter((text) => !wanted.has(text))
        .map((text) => ({ text, group: undefined })),
      ...[...wanted].filter(([text]) => !this.#groups.has(text)).map(([text, group]) => ({ text, group })),
    ];
  }

  /** Whether groups wait to be joined or left. */
  get groupsWait(): boolean {
    return this.#pending.length > 0;
  }

  /** Joins and leaves up to `most` groups: thousands at once take long enough to miss a heartbeat. */
  changeGroups(most: number): void {
    for (const { text, group } of this.#pending.splice(0, most)) {
      if (group !== undefined) this.#groups.set(text, this.#join(group));
      else {
        this.#groups.get(text)?.leave();
        this.#groups.delete(text);
      }
    }
  }

  close(): void {
    this.arp?.close();
    this.ndp?.close();
    // Memberships end with their sockets.
    for (const fd of this.#memberSockets) libc().close(fd);
  }

  #join(group: Uint8Array): Membership {
    const request = new Uint8Array(20);
    request.set(group);
    new DataView(request.buffer).setInt32(16, this.link.index, true);
    const last = this.#memberSockets.at(-1);
    const c = libc();
    const join = (fd: number): boolean =>
      c.setsockopt(fd, linux.IPPROTO_IPV6, linux.IPV6_ADD_MEMBERSHIP, request, request.length) === 0;
    // A socket holds a few hundred memberships (net.core.optmem_max): then the next one.
    const fd = last !== undefined && join(last) ? last : this.#openMemberSocket(join);
    if (fd !== undefined)
      return {
        leave: () =>
          void c.setsockopt(fd, linux.IPPROTO_IPV6, linux.IPV6_DROP_MEMBERSHIP, request, request.length),
      };
    const mac = multicastMac(group);
    this.ndp?.join(mac);
    return { leave: () => this.ndp?.leave(mac) };
  }

  #openMemberSocket(join: (fd: number) => boolean): number | undefined {
    const c = libc();
    const fd = c.socket(linux.AF_INET6, linux.SOCK_DGRAM | linux.SOCK_CLOEXEC, 0);
    if (fd < 0) return undefined;
    if (!join(fd)) {
      c.close(fd);
      return undefined;
    }
    this.#memberSockets.push(fd);
    return fd;
  }
}

interface Membership {
  leave(): void;
}
