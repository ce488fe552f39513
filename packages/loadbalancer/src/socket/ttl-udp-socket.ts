import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { addressText } from './address.ts';
import { checked, intBytes, libc, linux, memoryAddress } from '@cloudless/kube/native/libc';
import { sockaddr } from './udp-socket.ts';

/** A datagram and how far it came. */
export interface TravelledDatagram {
  /** IPv6 link-local addresses without their interface: the socket has it. */
  readonly address: string;
  /** TTL or hop limit as it arrived: 255 minus the routers it passed, if it was sent with 255. */
  readonly ttl: number;
  /** A view of the socket's one buffer: copy what outlives the next call. */
  readonly data: Uint8Array;
}

/** Hears datagrams with their TTL; non-blocking. */
export interface TtlReceiver {
  readonly fd: number;
  /** The next datagram; undefined: none waits. */
  receive(): TravelledDatagram | undefined;
  close(): void;
}

/** Sends datagrams with the largest TTL, as control traffic of the network (class selector 6), to one peer. */
export interface TtlSender {
  /** False when the kernel did not take it: as good as lost on the way. */
  send(data: Uint8Array): boolean;
  close(): void;
}

const largestTtl = 255;
/** DSCP CS6, network control (RFC 4594 section 3.1), in the octet's place. */
const networkControl = 0xc0;
const largestDatagram = 2048;
const controlBytes = 64;
const sockaddrBytes = 28;
/** struct msghdr and struct iovec of 64-bit Linux. */
const msghdrBytes = 56;
const iovecBytes = 16;
const cmsghdrBytes = 16;

/** struct sockaddr_in6 with the interface of `fe80::1%eth0`. @throws for an interface that is not there */
function scopedSockaddr(address: string, port: number): [Uint8Array, number] {
  const [bare = '', scope] = address.split('%');
  const [bytes, length] = sockaddr(bare, port);
  if (scope !== undefined) {
    const index = Number(readFileSync(`/sys/class/net/${scope}/ifindex`, 'utf8'));
    new DataView(bytes.buffer).setUint32(24, index, true);
  }
  return [bytes, length];
}

const isV6 = (address: string): boolean => isIPv6(address.split('%')[0] ?? '');

function openSocket(
  address: string,
  port: number,
  options: ReadonlyArray<readonly [number, number, number]>,
): number {
  const c = libc();
  const family = isV6(address) ? linux.AF_INET6 : linux.AF_INET;
  const what = `UDP ${address} port ${port}`;
  const type = linux.SOCK_DGRAM | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC;
  const fd = checked(c.socket(family, type, 0), 'socket', what);
  try {
    for (const [level, option, value] of options)
      checked(c.setsockopt(fd, level, option, intBytes(value), 4), 'setsockopt', what);
    checked(c.bind(fd, ...scopedSockaddr(address, port)), 'bind', what);
  } catch (error) {
    c.close(fd);
    throw error;
  }
  return fd;
}

/** @throws {SystemCallError} naming address and port: `EADDRINUSE`, `EADDRNOTAVAIL` */
export function openTtlReceiver(address: string, port: number): TtlReceiver {
  const v6 = isV6(address);
  const fd = openSocket(
    address,
    port,
    v6
      ? [
          [linux.IPPROTO_IPV6, linux.IPV6_V6ONLY, 1],
          [linux.IPPROTO_IPV6, linux.IPV6_RECVHOPLIMIT, 1],
        ]
      : [[linux.IPPROTO_IP, linux.IP_RECVTTL, 1]],
  );
  const message = new Message();
  const at = v6 ? 8 : 4;
  return {
    fd,
    receive() {
      const length = message.receive(fd);
      if (length === undefined) return undefined;
      const ttl = v6
        ? message.controlInt(linux.IPPROTO_IPV6, linux.IPV6_HOPLIMIT)
        : message.controlInt(linux.IPPROTO_IP, linux.IP_TTL);
      return {
        address: addressText(message.from.subarray(at, at + (v6 ? 16 : 4))),
        ttl: ttl ?? 0,
        data: message.data.subarray(0, length),
      };
    },
    close: () => void libc().close(fd),
  };
}

/** @param port of this end @throws {SystemCallError} naming address and port */
export function openTtlSender(
  address: string,
  port: number,
  peer: { readonly address: string; readonly port: number },
): TtlSender {
  const fd = openSocket(
    address,
    port,
    isV6(address)
      ? [
          [linux.IPPROTO_IPV6, linux.IPV6_UNICAST_HOPS, largestTtl],
          [linux.IPPROTO_IPV6, linux.IPV6_TCLASS, networkControl],
        ]
      : [
          [linux.IPPROTO_IP, linux.IP_TTL, largestTtl],
          [linux.IPPROTO_IP, linux.IP_TOS, networkControl],
        ],
  );
  const to = scopedSockaddr(peer.address, peer.port);
  return {
    send: (data) => libc().sendto(fd, data, data.length, 0, ...to) === data.length,
    close: () => void libc().close(fd),
  };
}

/** What recvmsg(2) fills. All of it lies outside of the JavaScript heap, as the kernel is given its places. */
class Message {
  readonly data = new Uint8Array(new ArrayBuffer(largestDatagram));
  readonly from = new Uint8Array(new ArrayBuffer(sockaddrBytes));
  readonly #control = new DataView(new ArrayBuffer(controlBytes));
  readonly #vector = new DataView(new ArrayBuffer(iovecBytes));
  readonly #header = new DataView(new ArrayBuffer(msghdrBytes));
  readonly #headerBytes = new Uint8Array(this.#header.buffer);

  constructor() {
    const place = ({ buffer }: { buffer: ArrayBufferLike }): bigint => memoryAddress(new Uint8Array(buffer));
    this.#vector.setBigUint64(0, place(this.data), true);
    this.#vector.setBigUint64(8, BigInt(largestDatagram), true);
    this.#header.setBigUint64(0, place(this.from), true);
    this.#header.setBigUint64(16, place(this.#vector), true);
    this.#header.setBigUint64(24, 1n, true);
    this.#header.setBigUint64(32, place(this.#control), true);
  }

  /** Bytes of the next datagram; undefined: none waits. */
  receive(fd: number): number | undefined {
    this.#header.setUint32(8, sockaddrBytes, true);
    this.#header.setBigUint64(40, BigInt(controlBytes), true);
    const length = libc().recvmsg(fd, this.#headerBytes, 0);
    return length < 0 ? undefined : length;
  }

  /** The number that the kernel told beside the datagram. */
  controlInt(level: number, type: number): number | undefined {
    const end = Number(this.#header.getBigUint64(40, true));
    for (let at = 0; at + cmsghdrBytes + 4 <= end;) {
      const length = Number(this.#control.getBigUint64(at, true));
      if (this.#control.getInt32(at + 8, true) === level && this.#control.getInt32(at + 12, true) === type)
        return this.#control.getInt32(at + cmsghdrBytes, true);
      if (length < cmsghdrBytes) return undefined;
      at += Math.ceil(length / 8) * 8;
    }
    return undefined;
  }
}
