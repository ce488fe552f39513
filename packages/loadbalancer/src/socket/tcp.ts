import { Socket, isIPv6 } from 'node:net';
import { addressBytes } from './address.ts';
import { checked, intBytes, libc, linux } from '@cloudless/kube/native/libc';

export interface TcpTarget {
  /** An address, not a name; IPv6 link-local ones with their interface (`fe80::1%eth0`). */
  readonly address: string;
  readonly port: number;
  /** Undefined: the kernel chooses. */
  readonly sourceAddress: string | undefined;
  /** TCP MD5 signatures (RFC 2385) on every segment, the first one included; at most 80 bytes. */
  readonly md5Password: string | undefined;
  /** TTL or hop limit of what is sent; undefined: the kernel's own. */
  readonly ttl: number | undefined;
}

/** TCP_MD5SIG_MAXKEYLEN of linux/tcp.h. */
const md5PasswordBytes = 80;
/** struct tcp_md5sig: sockaddr_storage (128), flags, prefix length, key length, interface, key. */
const md5SignatureBytes = 216;

/**
 * Begins to connect and returns the socket, which emits `connect` or `error` as any. The descriptor is made here, so
 * that options which must hold from the first segment are set before it is sent. Throws SystemCallError or
 * RangeError when an option is refused.
 */
export function connectTcp(target: TcpTarget): Socket {
  const v6 = isIPv6(target.address);
  const what = `TCP to ${target.address} port ${target.port}`;
  const c = libc();
  const family = v6 ? linux.AF_INET6 : linux.AF_INET;
  const fd = checked(c.socket(family, linux.SOCK_STREAM | linux.SOCK_CLOEXEC, 0), 'socket', what);
  try {
    if (target.md5Password !== undefined) {
      const signature = md5Signature(target.address, target.md5Password);
      checked(
        c.setsockopt(fd, linux.IPPROTO_TCP, linux.TCP_MD5SIG, signature, signature.length),
        'setsockopt',
        `${what}: TCP MD5 (it needs a kernel with CONFIG_TCP_MD5SIG)`,
      );
    }
    if (target.ttl !== undefined) {
      const [level, option] = v6
        ? ([linux.IPPROTO_IPV6, linux.IPV6_UNICAST_HOPS] as const)
        : ([linux.IPPROTO_IP, linux.IP_TTL] as const);
      checked(c.setsockopt(fd, level, option, intBytes(target.ttl), 4), 'setsockopt', `${what}: TTL`);
    }
  } catch (error) {
    c.close(fd);
    throw error;
  }
  // Opened on the descriptor but not read before it is connected.
  const options: ConstructorParameters<typeof Socket>[0] & { manualStart: boolean } = {
    fd,
    manualStart: true,
  };
  const socket = new Socket(options);
  try {
    socket.connect({
      host: target.address,
      port: target.port,
      ...(target.sourceAddress === undefined ? {} : { localAddress: target.sourceAddress }),
    });
  } catch (error) {
    socket.destroy();
    throw error;
  }
  return socket;
}

/** The option's value: which peer, and the key that both sign with (linux/tcp.h). */
export function md5Signature(address: string, password: string): Uint8Array {
  const key = Buffer.from(password);
  if (key.length === 0 || key.length > md5PasswordBytes)
    throw new RangeError(`a TCP MD5 password has 1 to ${md5PasswordBytes} bytes, not ${key.length}`);
  const [bare = ''] = address.split('%');
  const v6 = isIPv6(bare);
  const bytes = Buffer.alloc(md5SignatureBytes);
  bytes.writeUInt16LE(v6 ? linux.AF_INET6 : linux.AF_INET, 0);
  bytes.set(addressBytes(bare), v6 ? 8 : 4);
  bytes.writeUInt16LE(key.length, 130);
  key.copy(bytes, 136);
  return bytes;
}
