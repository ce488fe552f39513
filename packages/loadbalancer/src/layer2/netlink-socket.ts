import { checked, errno, intBytes, isAgain, libc, linux, SystemCallError } from '@cloudless/kube/native/libc';
import { changeGroups, type DefaultRoute, dump, parseRouteMessages, type RouteMessage } from './rtnetlink.ts';
import type { LinkTable } from './interface-choice.ts';

const sockaddrBytes = 12;
const receiveBytes = 65_536;
/** A router's table in motion must not keep the loop from answering. */
const receivesPerCall = 16;

/** Opens a routing netlink socket of the calling thread's network namespace; `groups` 0: hears of no changes. */
function open(groups: number): number {
  const c = libc();
  const what = 'routing netlink';
  const fd = checked(
    c.socket(linux.AF_NETLINK, linux.SOCK_RAW | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC, 0),
    'socket',
    what,
  );
  const address = new Uint8Array(sockaddrBytes);
  const view = new DataView(address.buffer);
  view.setUint16(0, linux.AF_NETLINK, true);
  view.setUint32(8, groups, true);
  if (c.bind(fd, address, sockaddrBytes) < 0) {
    const code = errno();
    c.close(fd);
    throw new SystemCallError('bind', code, what);
  }
  // Lets the kernel filter routes by table; before Linux 4.20 it sends all and they are left out here.
  c.setsockopt(fd, linux.SOL_NETLINK, linux.NETLINK_GET_STRICT_CHK, intBytes(1), 4);
  return fd;
}

/** Reads interfaces, addresses and default routes, and hears when they change. */
export class RouteSocket {
  /** Readable: something changed. */
  readonly fd = open(changeGroups);
  readonly #buffer = new Uint8Array(receiveBytes);

  /**
   * Everything at this moment. It waits for whoever changes the network's configuration: once at the start, then
   * {@link LinkState} follows the changes. @throws {SystemCallError}
   */
  read(): LinkTable {
    const links = this.#ask(dump.links()).flatMap((message) =>
      message.kind === 'link' ? [message.link] : [],
    );
    const addresses = this.#ask(dump.addresses()).flatMap((message) =>
      message.kind === 'address' ? [message.address] : [],
    );
    return { links, addresses, defaultRoutes: this.defaultRoutes() };
  }

  /** Default routes of the main table. @throws {SystemCallError} */
  defaultRoutes(): DefaultRoute[] {
    return ([4, 6] as const).flatMap((family) =>
      this.#ask(dump.routes(family)).flatMap((message) =>
        message.kind === 'default-route' ? [message.route] : [],
      ),
    );
  }

  /** Some of what changed; `'lost'`: more than the kernel could keep, so read everything. */
  changes(): RouteMessage[] | 'lost' {
    const messages: RouteMessage[] = [];
    for (let i = 0; i < receivesPerCall; i++) {
      const length = libc().recv(this.fd, this.#buffer, receiveBytes, 0);
      if (length < 0) return isAgain(errno()) ? messages : 'lost';
      messages.push(...parseRouteMessages(this.#buffer.subarray(0, length)));
    }
    return messages;
  }

  close(): void {
    libc().close(this.fd);
  }

  /** A socket for each question: a dump that is not read to its end goes with it. */
  #ask(request: Uint8Array): RouteMessage[] {
    const c = libc();
    const fd = open(0);
    try {
      checked(c.send(fd, request, request.length, 0), 'send', 'routing netlink');
      const messages: RouteMessage[] = [];
      // The kernel has queued the next part of its answer by the time the call before returns.
      for (;;) {
        const length = checked(c.recv(fd, this.#buffer, receiveBytes, 0), 'recv', 'routing netlink');
        const batch = parseRouteMessages(this.#buffer.subarray(0, length));
        messages.push(...batch);
        const last = batch.at(-1)?.kind;
        // Default routes are in the first part; a router's million others are not wanted.
        if (last === undefined || last === 'done' || last === 'error' || last === 'other-route')
          return messages;
      }
    } finally {
      c.close(fd);
    }
  }
}
