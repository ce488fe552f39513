import { checked, intBytes, libc, linux } from '@cloudless/kube/native/libc';
import { addressData } from '../wire/rdata.ts';

/** What waits while a thread is busy: some thousand queries; the kernel may allow less (net.core.rmem_max). */
const bufferBytes = 4 * 1024 * 1024;

/** Bound sockets of the main thread: they stay, and what waits in them, when a thread fails. */
export interface UdpSockets {
  readonly port: number;
  /** For each thread, a socket on each address. */
  readonly ofThreads: ReadonlyArray<readonly number[]>;
  close(): void;
}

/**
 * Binds each address once for each thread; the kernel spreads clients over them (SO_REUSEPORT). Throws SystemCallError,
 * EADDRINUSE also for a port that somebody else shares: half of the queries would be theirs. Nothing is bound then.
 */
export function openUdpSockets(addresses: readonly string[], wanted: number, threads: number): UdpSockets {
  const fds: number[] = [];
  const close = (): void => {
    for (const fd of fds.splice(0)) libc().close(fd);
  };
  try {
    let port = wanted;
    for (const address of addresses) {
      const alone = bind(address, port, false);
      port = portOf(alone);
      libc().close(alone);
    }
    const ofThreads = Array.from({ length: threads }, () =>
      addresses.map((address) => {
        const fd = bind(address, port, true);
        fds.push(fd);
        return fd;
      }),
    );
    return { port, ofThreads, close };
  } catch (error) {
    close();
    throw error;
  }
}

function bind(address: string, port: number, isShared: boolean): number {
  const isIpv6 = address.includes(':');
  const tried = `cannot answer DNS on ${isIpv6 ? `[${address}]` : address}:${port} by UDP`;
  const type = linux.SOCK_DGRAM | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC;
  const fd = checked(libc().socket(isIpv6 ? linux.AF_INET6 : linux.AF_INET, type, 0), 'socket', tried);
  try {
    const set = (level: number, option: number, value: number): number =>
      libc().setsockopt(fd, level, option, intBytes(value), 4);
    if (isShared) checked(set(linux.SOL_SOCKET, linux.SO_REUSEPORT, 1), 'setsockopt SO_REUSEPORT', tried);
    set(linux.SOL_SOCKET, linux.SO_RCVBUF, bufferBytes);
    set(linux.SOL_SOCKET, linux.SO_SNDBUF, bufferBytes);
    // No path MTU is learnt from strangers' ICMP, and no answer of ours is so long that it would matter.
    if (isIpv6) {
      checked(set(linux.IPPROTO_IPV6, linux.IPV6_V6ONLY, 1), 'setsockopt IPV6_V6ONLY', tried);
      set(linux.IPPROTO_IPV6, linux.IPV6_MTU_DISCOVER, linux.IP_PMTUDISC_OMIT);
    } else set(linux.IPPROTO_IP, linux.IP_MTU_DISCOVER, linux.IP_PMTUDISC_OMIT);
    const name = socketAddress(address, port);
    checked(libc().bind(fd, name, name.length), 'bind', tried);
    return fd;
  } catch (error) {
    libc().close(fd);
    throw error;
  }
}

/** struct sockaddr_in or sockaddr_in6. */
function socketAddress(address: string, port: number): Buffer {
  const data = addressData(address);
  const name = Buffer.alloc(data.length === 4 ? 16 : 28);
  name.writeUInt16LE(data.length === 4 ? linux.AF_INET : linux.AF_INET6, 0);
  name.writeUInt16BE(port, 2);
  data.copy(name, data.length === 4 ? 4 : 8);
  return name;
}

function portOf(fd: number): number {
  const name = Buffer.alloc(128);
  checked(libc().getsockname(fd, name, intBytes(name.length)), 'getsockname', 'cannot tell the port');
  return name.readUInt16BE(2);
}
