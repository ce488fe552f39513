import {
  ancillary,
  bpf,
  openPacketSocket,
  packetOtherHost,
  type Instruction,
  type PacketSocket,
} from '../socket/packet-socket.ts';
import { etherType } from './ethernet.ts';
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

/** The sockets on one interface: one for ARP, one for NDP. */
export class LinkSockets {
  readonly link: Link;
  readonly arp: PacketSocket | undefined;
  readonly ndp: PacketSocket | undefined;

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

  fds(): number[] {
    return [this.arp, this.ndp].flatMap((socket) => (socket === undefined ? [] : [socket.fd]));
  }

  close(): void {
    this.arp?.close();
    this.ndp?.close();
  }
}
