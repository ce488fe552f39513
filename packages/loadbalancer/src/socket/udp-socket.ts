import { isIPv6 } from 'node:net';
import { addressBytes, addressText } from './address.ts';
import { checked, intBytes, libc, linux } from '@cloudless/kube/native/libc';

export interface Datagram {
  readonly address: string;
  readonly port: number;
  /** A view of the socket's one buffer: copy what outlives the next call. */
  readonly data: Uint8Array;
}

/** A non-blocking UDP socket of one family, for a thread that waits in poll(2) and not in Node's loop. */
export interface UdpSocket {
  readonly fd: number;
  readonly port: number;
  /** The next datagram; undefined: none waits. */
  receive(): Datagram | undefined;
  /** False when the kernel did not take it (no route, no room, link down): as good as lost on the way. */
  send(data: Uint8Array, address: string, port: number): boolean;
  close(): void;
}

const sockaddrBytes = 28;
const largest = 65_536;

/** struct sockaddr_in or sockaddr_in6; `[bytes, length]`. IPv6 scopes (`fe80::1%eth0`) are not for this socket. */
export function sockaddr(address: string, port: number): [Uint8Array, number] {
  const bytes = new Uint8Array(sockaddrBytes);
  const view = new DataView(bytes.buffer);
  const v6 = isIPv6(address);
  view.setUint16(0, v6 ? linux.AF_INET6 : linux.AF_INET, true);
  view.setUint16(2, port);
  bytes.set(addressBytes(address), v6 ? 8 : 4);
  return [bytes, v6 ? sockaddrBytes : 16];
}

/** Opens and binds; port 0: any free one. @throws {SystemCallError} naming address and port. */
export function openUdpSocket(address: string, port: number): UdpSocket {
  const c = libc();
  const family = isIPv6(address) ? linux.AF_INET6 : linux.AF_INET;
  const what = `UDP ${address} port ${port}`;
  const fd = checked(
    c.socket(family, linux.SOCK_DGRAM | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC, 0),
    'socket',
    what,
  );
  const from = new Uint8Array(sockaddrBytes);
  const fromView = new DataView(from.buffer);
  const fromLength = intBytes(sockaddrBytes);
  const buffer = new Uint8Array(largest);
  try {
    if (family === linux.AF_INET6)
      checked(c.setsockopt(fd, linux.IPPROTO_IPV6, linux.IPV6_V6ONLY, intBytes(1), 4), 'setsockopt', what);
    checked(c.bind(fd, ...sockaddr(address, port)), 'bind', what);
    checked(c.getsockname(fd, from, fromLength), 'getsockname', what);
  } catch (error) {
    c.close(fd);
    throw error;
  }
  return {
    fd,
    port: fromView.getUint16(2),
    receive() {
      fromLength.set(intBytes(sockaddrBytes));
      const length = c.recvfrom(fd, buffer, largest, 0, from, fromLength);
      // Nothing there, or an ICMP error of an earlier send, told once.
      if (length < 0) return undefined;
      const at = family === linux.AF_INET6 ? 8 : 4;
      return {
        address: addressText(from.subarray(at, at + (family === linux.AF_INET6 ? 16 : 4))),
        port: fromView.getUint16(2),
        data: buffer.subarray(0, length),
      };
    },
    send(data, to, toPort) {
      return c.sendto(fd, data, data.length, 0, ...sockaddr(to, toPort)) === data.length;
    },
    close() {
      c.close(fd);
    },
  };
}
