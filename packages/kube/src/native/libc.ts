import { constants } from 'node:os';
import koffi from 'koffi';

/** A system call was refused; `code` is the name of its errno (`EPERM`), the message says what was tried. */
export class SystemCallError extends Error {
  override readonly name = 'SystemCallError';
  readonly call: string;
  readonly errno: number;
  readonly code: string;

  constructor(call: string, errno: number, tried: string) {
    const code = errnoNames.get(errno) ?? `errno ${errno}`;
    super(`${tried}: ${call}: ${code}`);
    this.call = call;
    this.errno = errno;
    this.code = code;
  }
}

const errnoNames = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/** The numbers of Linux on x86-64 and arm64 that Node does not name (asm-generic/socket.h, linux/if_packet.h and so on). */
export const linux = {
  AF_INET: 2,
  AF_INET6: 10,
  AF_NETLINK: 16,
  AF_PACKET: 17,
  SOCK_STREAM: 1,
  SOCK_DGRAM: 2,
  SOCK_RAW: 3,
  SOCK_NONBLOCK: 0o4000,
  SOCK_CLOEXEC: 0o2000000,
  EFD_NONBLOCK: 0o4000,
  EFD_CLOEXEC: 0o2000000,
  SOL_SOCKET: 1,
  SO_SNDBUF: 7,
  SO_RCVBUF: 8,
  SO_REUSEPORT: 15,
  SO_ATTACH_FILTER: 26,
  SOL_PACKET: 263,
  PACKET_ADD_MEMBERSHIP: 1,
  PACKET_DROP_MEMBERSHIP: 2,
  PACKET_MR_MULTICAST: 0,
  IPPROTO_IP: 0,
  IP_TOS: 1,
  IP_TTL: 2,
  IP_MTU_DISCOVER: 10,
  IP_PMTUDISC_OMIT: 5,
  IP_RECVTTL: 12,
  IPPROTO_TCP: 6,
  TCP_MD5SIG: 14,
  IPPROTO_IPV6: 41,
  IPV6_UNICAST_HOPS: 16,
  IPV6_ADD_MEMBERSHIP: 20,
  IPV6_DROP_MEMBERSHIP: 21,
  IPV6_MTU_DISCOVER: 23,
  IPV6_V6ONLY: 26,
  IPV6_RECVHOPLIMIT: 51,
  IPV6_HOPLIMIT: 52,
  IPV6_TCLASS: 67,
  POLLIN: 1,
  POLLOUT: 4,
  POLLERR: 8,
  POLLHUP: 16,
  POLLNVAL: 32,
  SOL_NETLINK: 270,
  NETLINK_GET_STRICT_CHK: 12,
  MSG_TRUNC: 0x20,
  MSG_DONTWAIT: 0x40,
  CLOCK_BOOTTIME: 7,
} as const;

type Bytes = Uint8Array;

/** Functions of the C library as they are: −1 and {@link errno} when refused. Each costs about 0.2 µs more than in C. */
export interface Libc {
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Bytes, length: number): number;
  close(fd: number): number;
  poll(fds: Bytes, count: number, timeoutMs: number): number;
  recv(fd: number, buffer: Bytes, length: number, flags: number): number;
  recvfrom(fd: number, buffer: Bytes, length: number, flags: number, from: Bytes, fromLength: Bytes): number;
  recvmsg(fd: number, message: Bytes, flags: number): number;
  /** Many datagrams at once: how many. `timeout` is null: what is there, or what `flags` say. */
  recvmmsg(fd: number, messages: Bytes, count: number, flags: number, timeout: null): number;
  /** How many were sent: fewer when the one after them was refused. */
  sendmmsg(fd: number, messages: Bytes, count: number, flags: number): number;
  send(fd: number, buffer: Bytes, length: number, flags: number): number;
  sendto(fd: number, buffer: Bytes, length: number, flags: number, to: Bytes, toLength: number): number;
  getsockname(fd: number, address: Bytes, length: Bytes): number;
  setsockopt(fd: number, level: number, option: number, value: Bytes, length: number): number;
  getsockopt(fd: number, level: number, option: number, value: Bytes, length: Bytes): number;
  eventfd(initial: number, flags: number): number;
  read(fd: number, buffer: Bytes, length: number): number;
  write(fd: number, buffer: Bytes, length: number): number;
  clock_gettime(clock: number, time: Bytes): number;
}

let bound: Libc | undefined;

/** The C library of this process, bound on the first call. Synchronous calls on the calling thread, in its namespaces. */
export function libc(): Libc {
  if (bound !== undefined) return bound;
  const library = koffi.load('libc.so.6');
  const functions: Record<keyof Libc, unknown> = {
    socket: library.func('int socket(int domain, int type, int protocol)'),
    bind: library.func('int bind(int fd, const void *address, uint32_t length)'),
    close: library.func('int close(int fd)'),
    poll: library.func('int poll(void *fds, unsigned long count, int timeout)'),
    recv: library.func('long recv(int fd, void *buffer, size_t length, int flags)'),
    recvfrom: library.func(
      'long recvfrom(int fd, void *buffer, size_t length, int flags, void *from, void *fromLength)',
    ),
    recvmsg: library.func('long recvmsg(int fd, void *message, int flags)'),
    recvmmsg: library.func(
      'int recvmmsg(int fd, void *messages, unsigned int count, int flags, void *timeout)',
    ),
    sendmmsg: library.func('int sendmmsg(int fd, void *messages, unsigned int count, int flags)'),
    send: library.func('long send(int fd, const void *buffer, size_t length, int flags)'),
    sendto: library.func(
      'long sendto(int fd, const void *buffer, size_t length, int flags, const void *to, uint32_t toLength)',
    ),
    getsockname: library.func('int getsockname(int fd, void *address, void *length)'),
    setsockopt: library.func(
      'int setsockopt(int fd, int level, int option, const void *value, uint32_t length)',
    ),
    getsockopt: library.func('int getsockopt(int fd, int level, int option, void *value, void *length)'),
    eventfd: library.func('int eventfd(unsigned int initial, int flags)'),
    read: library.func('long read(int fd, void *buffer, size_t length)'),
    write: library.func('long write(int fd, const void *buffer, size_t length)'),
    clock_gettime: library.func('int clock_gettime(int clock, void *time)'),
  };
  bound = functions as Libc;
  return bound;
}

/** Why the last call on this thread was refused. */
export const errno = (): number => koffi.errno();

/** Whether a non-blocking call only had nothing to do now, or was interrupted: try again later. */
export function isAgain(code: number): boolean {
  return code === constants.errno.EAGAIN || code === constants.errno.EINTR;
}

/**
 * Passes a result through, or throws what errno says.
 *
 * @param tried what was wanted, with its remedy if there is one: it opens the message.
 */
export function checked(result: number, call: string, tried: string): number {
  if (result < 0) throw new SystemCallError(call, errno(), tried);
  return result;
}

/** Where bytes are in memory, for structures that point at others; hold the array until the call is over. */
export const memoryAddress = (bytes: Uint8Array): bigint => koffi.address(bytes);

/** An int in memory, as socket options want it. */
export function intBytes(value: number): Uint8Array {
  return new Uint8Array(Int32Array.of(value).buffer);
}

const timespec = new Int32Array(4);
const timespecBytes = new Uint8Array(timespec.buffer);

/** CLOCK_BOOTTIME in milliseconds: monotonic, and it goes on while the machine is suspended. */
export function bootTimeMs(): number {
  libc().clock_gettime(linux.CLOCK_BOOTTIME, timespecBytes);
  // struct timespec, little-endian: the low half of the seconds lasts for 68 years of uptime.
  return (timespec[0] as number) * 1000 + (timespec[2] as number) / 1e6;
}
