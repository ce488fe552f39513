import { addressBytes } from '../socket/address.ts';
import { libc, linux } from '@cloudless/kube/native/libc';
import { bpf, openPacketSocket, type PacketSocket } from '../socket/packet-socket.ts';
import { multicastMac } from './ndp.ts';

/** The groups to hear on one interface. */
export interface LinkGroups {
  readonly index: number;
  /** Another number: the interface is new or came up again, and what was joined before is lost. */
  readonly generation: number;
  /** IPv6 groups as text. */
  readonly groups: readonly string[];
}

/**
 * Membership of the groups in which addresses are asked for. A group is joined the way an address of the interface's own
 * would be, so that switches that snoop MLD send it here; where IPv6 is off, by the interface's filter alone.
 *
 * It belongs to the main side: joining waits for the lock of network configuration, which the thread must never do.
 */
export class GroupMemberships {
  readonly #links = new Map<number, LinkMemberships>();

  /** Joins and leaves until exactly these are heard. */
  set(links: readonly LinkGroups[]): void {
    const wanted = new Map(links.map((link) => [link.index, link]));
    for (const [index, link] of this.#links) {
      if (wanted.get(index)?.generation === link.generation) continue;
      link.close();
      this.#links.delete(index);
    }
    for (const { index, generation, groups } of links) {
      if (groups.length === 0 && !this.#links.has(index)) continue;
      const link = this.#links.get(index) ?? new LinkMemberships(index, generation);
      this.#links.set(index, link);
      link.set(groups);
    }
  }

  close(): void {
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }
}

class LinkMemberships {
  readonly generation: number;
  readonly #index: number;
  /** By the group's text, the way to leave it. */
  readonly #joined = new Map<string, () => void>();
  readonly #sockets: number[] = [];
  #filter: PacketSocket | undefined;

  constructor(index: number, generation: number) {
    this.#index = index;
    this.generation = generation;
  }

  set(groups: readonly string[]): void {
    const wanted = new Set(groups);
    for (const [group, leave] of this.#joined) {
      if (wanted.has(group)) continue;
      leave();
      this.#joined.delete(group);
    }
    for (const group of wanted)
      if (!this.#joined.has(group)) this.#joined.set(group, this.#join(addressBytes(group)));
  }

  /** Memberships end with their sockets. */
  close(): void {
    for (const fd of this.#sockets) libc().close(fd);
    this.#filter?.close();
  }

  #join(group: Uint8Array): () => void {
    const c = libc();
    const request = new Uint8Array(20);
    request.set(group);
    new DataView(request.buffer).setInt32(16, this.#index, true);
    const option = (fd: number, name: number): boolean =>
      c.setsockopt(fd, linux.IPPROTO_IPV6, name, request, request.length) === 0;
    const last = this.#sockets.at(-1);
    // A socket holds a few hundred memberships (net.core.optmem_max): then the next one.
    const fd =
      last !== undefined && option(last, linux.IPV6_ADD_MEMBERSHIP)
        ? last
        : this.#openSocket((fresh) => option(fresh, linux.IPV6_ADD_MEMBERSHIP));
    return fd === undefined
      ? this.#joinFilter(multicastMac(group))
      : () => void option(fd, linux.IPV6_DROP_MEMBERSHIP);
  }

  #openSocket(join: (fd: number) => boolean): number | undefined {
    const c = libc();
    const fd = c.socket(linux.AF_INET6, linux.SOCK_DGRAM | linux.SOCK_CLOEXEC, 0);
    if (fd < 0) return undefined;
    if (!join(fd)) {
      c.close(fd);
      return undefined;
    }
    this.#sockets.push(fd);
    return fd;
  }

  #joinFilter(mac: Uint8Array): () => void {
    try {
      const filter = (this.#filter ??= openPacketSocket(this.#index, 0, [[bpf.return, 0, 0, 0]]));
      filter.join(mac);
      return () => filter.leave(mac);
    } catch {
      // The interface is gone since: the thread is about to say so.
      return () => {};
    }
  }
}
