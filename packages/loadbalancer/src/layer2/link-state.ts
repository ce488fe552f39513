import { addressText } from '../socket/address.ts';
import type { LinkTable } from './interface-choice.ts';
import { linkFlag, type DefaultRoute, type Link, type LinkAddress, type RouteMessage } from './rtnetlink.ts';

/**
 * The machine's interfaces, kept up by what the kernel tells of changes: pure. Asking for them takes the kernel's lock of
 * network configuration, which the removal of a pod's namespace holds for half a second: too long for a thread with heartbeats.
 */
export class LinkState {
  readonly #links = new Map<number, Link>();
  readonly #addresses = new Map<string, LinkAddress>();
  #defaultRoutes: readonly DefaultRoute[] = [];

  /** @param table all there is, read once. */
  constructor(table: LinkTable) {
    this.replace(table);
  }

  table(): LinkTable {
    return {
      links: [...this.#links.values()],
      addresses: [...this.#addresses.values()],
      defaultRoutes: this.#defaultRoutes,
    };
  }

  replace({ links, addresses, defaultRoutes }: LinkTable): void {
    this.#links.clear();
    this.#addresses.clear();
    for (const link of links) this.#links.set(link.index, link);
    for (const address of addresses) this.#addresses.set(addressKey(address), address);
    this.#defaultRoutes = defaultRoutes;
  }

  setDefaultRoutes(routes: readonly DefaultRoute[]): void {
    this.#defaultRoutes = routes;
  }

  /** Takes in changes, in their order. True: default routes are others, and have to be read. */
  apply(changes: readonly RouteMessage[]): boolean {
    let routes = false;
    for (const message of changes) {
      if (message.kind === 'link') this.#applyLink(message.link, message.removed);
      else if (message.kind === 'address') {
        const key = addressKey(message.address);
        if (message.removed) this.#addresses.delete(key);
        else this.#addresses.set(key, message.address);
      } else if (message.kind === 'default-route') routes = true;
    }
    return routes;
  }

  #applyLink(link: Link, removed: boolean): void {
    if (removed) {
      this.#links.delete(link.index);
      for (const [key, { index }] of this.#addresses) if (index === link.index) this.#addresses.delete(key);
    } else this.#links.set(link.index, link);
    // The kernel drops IPv4 routes of an interface that is switched off without a word (net/ipv4/fib_frontend.c).
    if (removed || (link.flags & linkFlag.up) === 0)
      this.#defaultRoutes = this.#defaultRoutes.flatMap((route) => {
        const indexes = route.indexes.filter((index) => index !== link.index);
        return indexes.length === 0 ? [] : [{ ...route, indexes }];
      });
  }
}

const addressKey = ({ index, address, prefixLength }: LinkAddress): string =>
  `${index} ${addressText(address)}/${prefixLength}`;
