import type { AddressRange, Pool } from '../config/config.ts';
import { addressText, type IpAddress } from '../speaker/address.ts';
import { AddressUses, type SharingKeys } from './address-uses.ts';
import { confusesOldDevices, FreeAddresses } from './free-addresses.ts';
import { isPoolFor, pinnedPools } from './pool-choice.ts';

/** What the allocator needs to know of a Service. */
export interface AllocationRequest {
  /** `namespace/name`. */
  readonly service: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly namespaceLabels: Readonly<Record<string, string>>;
  /** `TCP/80`. */
  readonly ports: readonly string[];
  readonly keys: SharingKeys;
  /** Those of its cluster IPs, the first one first. */
  readonly families: readonly (4 | 6)[];
  /** One address is enough where there are two families (`ipFamilyPolicy: PreferDualStack`). */
  readonly oneFamilySuffices: boolean;
}

export interface Allocation {
  readonly pool: string;
  /** As the Service asked, else IPv4 before IPv6; one that was added to another stands last. */
  readonly addresses: readonly IpAddress[];
}

/** An allocation, or why there is none, in MetalLB's words. */
export type AllocationResult = Allocation | { readonly refused: string };

export interface PoolCounts {
  readonly assignedIPv4: number;
  readonly assignedIPv6: number;
  /** Addresses that may be given out, used or not. */
  readonly capacityIPv4: bigint;
  readonly capacityIPv6: bigint;
  readonly services: number;
}

interface Held extends Allocation {
  readonly ports: readonly string[];
  readonly keys: SharingKeys;
}

interface PoolState {
  readonly pool: Pool;
  readonly free: readonly FreeAddresses[];
  readonly capacity: Readonly<Record<4 | 6, bigint>>;
  readonly used: Record<4 | 6, number>;
  services: number;
}

/**
 * Which Service has which addresses of which pool (upstream: internal/allocator). Pure: no clock, no I/O. An address
 * has one Service, or several that share it by the rules; every address lies in a pool; the lowest that fits is given.
 */
export class Allocator {
  readonly #uses = new AddressUses();
  readonly #held = new Map<string, Held>();
  #pools = new Map<string, PoolState>();
  /** Ranges of all pools by family, in order; no two overlap. */
  #ranges: Record<4 | 6, Array<{ range: AddressRange; pool: PoolState; free: FreeAddresses }>> = {
    4: [],
    6: [],
  };
  readonly #touched = new Set<string>();
  #freed = 0;

  /** Rises with each change that may let another Service have what it could not: an address, a port, a key. */
  get freed(): number {
    return this.#freed;
  }

  /** Pools whose counts changed since the last call. */
  takeTouchedPools(): string[] {
    const touched = [...this.#touched];
    this.#touched.clear();
    return touched;
  }

  get hasPools(): boolean {
    return this.#pools.size > 0;
  }

  allocationOf(service: string): Allocation | undefined {
    return this.#held.get(service);
  }

  countsOf(pool: string): PoolCounts | undefined {
    const state = this.#pools.get(pool);
    return (
      state && {
        assignedIPv4: state.used[4],
        assignedIPv6: state.used[6],
        capacityIPv4: state.capacity[4],
        capacityIPv6: state.capacity[6],
        services: state.services,
      }
    );
  }

  /** Replaces the pools. Services keep addresses that are in a pool still, whatever its name; others lose them. */
  setPools(pools: ReadonlyMap<string, Pool>): void {
    for (const name of this.#pools.keys()) this.#touched.add(name);
    const held = [...this.#held];
    for (const [service] of held) this.release(service);
    this.#pools = new Map([...pools].map(([name, pool]) => [name, this.#stateOf(pool)]));
    this.#ranges = { 4: [], 6: [] };
    for (const pool of this.#pools.values())
      for (const free of pool.free) this.#ranges[free.range.family].push({ range: free.range, pool, free });
    for (const family of [4, 6] as const)
      this.#ranges[family].sort((a, b) => (a.range.first < b.range.first ? -1 : 1));
    for (const [service, { addresses, ports, keys }] of held) {
      const pool = this.#poolOf(addresses);
      if (pool) this.#hold(service, { pool: pool.pool.name, addresses, ports, keys });
    }
    for (const name of this.#pools.keys()) this.#touched.add(name);
    this.#freed++;
  }

  /** Gives a Service exactly these addresses, if they may be its. What it had before is kept when they may not. */
  assign(request: AllocationRequest, addresses: readonly IpAddress[]): AllocationResult {
    const { service, ports, keys } = request;
    const pool = this.#poolOf(addresses);
    if (!pool) return { refused: `${quoted(addresses)} is not allowed in config` };
    if (!isPoolFor(pool.pool, request))
      return { refused: `pool ${pool.pool.name} not compatible for ip assignment` };
    if (addresses.length > 2) return { refused: `more than two addresses ${quoted(addresses)}` };
    if (addresses.length === 2 && addresses[0]?.family === addresses[1]?.family)
      return { refused: `${quoted(addresses)} has the same family` };
    for (const address of addresses) {
      const refused = this.#uses.refusal(address, service, ports, keys);
      if (refused !== undefined) return { refused };
    }
    const before = this.#held.get(service);
    const next: Held = { pool: pool.pool.name, addresses, ports, keys };
    if (before && sameHeld(before, next)) return before;
    this.release(service);
    this.#hold(service, next);
    return next;
  }

  /** Gives a Service addresses of the pool that suits best: first one that is meant for it, then any other. */
  allocate(request: AllocationRequest): AllocationResult {
    const pools = [...this.#pools.values()].map(({ pool }) => pool);
    const others = pools.filter((pool) => pool.autoAssign && pool.serviceAllocation === undefined);
    for (const choice of [pinnedPools(pools, request), others]) {
      const addresses = this.#bestOf(choice, request);
      const result = addresses && this.assign(request, addresses);
      if (result && !('refused' in result)) return result;
    }
    return { refused: pools.length === 0 ? 'there is no IPAddressPool' : 'no available IPs' };
  }

  /** Gives a Service addresses of this pool, even if it is not for automatic use. */
  allocateFromPool(request: AllocationRequest, name: string): AllocationResult {
    const pool = this.#pools.get(name)?.pool;
    if (!pool) return { refused: `unknown pool "${name}"` };
    const addresses = this.#freeIn(pool, request, request.families);
    if (addresses.length === 0) return { refused: `no available IPs in pool ${name}` };
    if (addresses.length < request.families.length && !request.oneFamilySuffices)
      return { refused: `no available IPs in pool ${name} for ${familyName(request.families)} IPFamily` };
    return this.assign(request, addresses);
  }

  /** Adds an address of the other family, of the same pool, to the one that a Service has. */
  addFamily(request: AllocationRequest): AllocationResult {
    const held = this.#held.get(request.service);
    const pool = this.#pools.get(held?.pool ?? '')?.pool;
    const [had] = held?.addresses ?? [];
    if (!pool || !had) return { refused: `unknown pool "${held?.pool ?? ''}"` };
    const family = had.family === 4 ? 6 : 4;
    const [added] = this.#freeIn(pool, request, [family]);
    if (!added)
      return { refused: `no available IPs in pool ${pool.name} for ${familyName([family])} IPFamily` };
    return this.assign(request, [had, added]);
  }

  /** Takes a Service's addresses away. False when it had none. */
  release(service: string): boolean {
    const held = this.#held.get(service);
    if (!held) return false;
    this.#held.delete(service);
    this.#freed++;
    const state = this.#pools.get(held.pool);
    if (state) state.services--;
    this.#touched.add(held.pool);
    for (const address of held.addresses) {
      if (!this.#uses.remove(address, service, held.ports)) continue;
      if (state) state.used[address.family]--;
      this.#rangeOf(address)?.free.release(address.value);
    }
    return true;
  }

  #hold(service: string, held: Held): void {
    const state = this.#pools.get(held.pool);
    this.#held.set(service, held);
    for (const address of held.addresses)
      if (this.#uses.add(address, held.pool, service, held.ports, held.keys) && state)
        state.used[address.family]++;
    if (state) state.services++;
    this.#touched.add(held.pool);
  }

  #stateOf(pool: Pool): PoolState {
    const free = pool.ranges.map(
      (range) => new FreeAddresses(range, pool.avoidBuggyIPs, (value) => this.#uses.has(range.family, value)),
    );
    const capacity = { 4: 0n, 6: 0n };
    for (const range of pool.ranges) capacity[range.family] += capacityOf(range, pool.avoidBuggyIPs);
    return { pool, free, capacity, used: { 4: 0, 6: 0 }, services: 0 };
  }

  #rangeOf({ family, value }: IpAddress): { pool: PoolState; free: FreeAddresses } | undefined {
    const ranges = this.#ranges[family];
    let low = 0;
    let high = ranges.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const found = ranges[middle];
      if (!found) return undefined;
      if (value < found.range.first) high = middle - 1;
      else if (value > found.range.last) low = middle + 1;
      else return found;
    }
    return undefined;
  }

  /** The one pool that has all of the addresses and may give them out. */
  #poolOf(addresses: readonly IpAddress[]): PoolState | undefined {
    let pool: PoolState | undefined;
    for (const address of addresses) {
      const found = this.#rangeOf(address)?.pool;
      if (!found || (pool && found !== pool)) return undefined;
      if (found.pool.avoidBuggyIPs && confusesOldDevices(address.family, address.value)) return undefined;
      pool = found;
    }
    return pool;
  }

  /** Upstream: findBestPoolForService. */
  #bestOf(pools: readonly Pool[], request: AllocationRequest): IpAddress[] | undefined {
    const [primary] = request.families;
    let primaryOnly: IpAddress[] | undefined;
    let secondaryOnly: IpAddress[] | undefined;
    for (const pool of pools) {
      const addresses = this.#freeIn(pool, request, request.families);
      if (addresses.length === request.families.length) return addresses;
      if (!request.oneFamilySuffices || addresses.length === 0) continue;
      if (addresses[0]?.family === primary) primaryOnly ??= addresses;
      else secondaryOnly ??= addresses;
    }
    return primaryOnly ?? secondaryOnly;
  }

  /** The lowest address of each family that the Service may have, as far as there is one; IPv4 first. */
  #freeIn(pool: Pool, request: AllocationRequest, families: readonly (4 | 6)[]): IpAddress[] {
    const { service, ports, keys } = request;
    const found: IpAddress[] = [];
    for (const family of [4, 6] as const) {
      if (!families.includes(family)) continue;
      for (const free of this.#pools.get(pool.name)?.free ?? []) {
        const { range } = free;
        if (range.family !== family) continue;
        const value = free.lowest();
        const shared = this.#uses.lowestShareable(family, range.first, range.last, service, ports, keys);
        if (value === undefined && !shared) continue;
        found.push(
          shared && (value === undefined || shared.value < value)
            ? shared
            : { family, value: value as bigint, text: addressText(family, value as bigint) },
        );
        break;
      }
    }
    return found;
  }
}

/** How many addresses of a range may be given out. */
function capacityOf({ family, first, last }: AddressRange, avoidBuggyIPs: boolean): bigint {
  const size = last - first + 1n;
  if (!avoidBuggyIPs || family === 6) return size;
  // Numbers from 0 to n that end in `byte`.
  const upTo = (n: bigint, byte: bigint): bigint => (n < byte ? 0n : (n - byte) / 256n + 1n);
  const within = (byte: bigint): bigint => upTo(last, byte) - (first === 0n ? 0n : upTo(first - 1n, byte));
  return size - within(0n) - within(255n);
}

const sameList = <T>(a: readonly T[], b: readonly T[]): boolean =>
  a.length === b.length && a.every((item, i) => item === b[i]);

function sameHeld(a: Held, b: Held): boolean {
  return (
    a.pool === b.pool &&
    a.keys.sharing === b.keys.sharing &&
    a.keys.backend === b.keys.backend &&
    sameList(a.ports, b.ports) &&
    sameList(
      a.addresses.map(({ text }) => text),
      b.addresses.map(({ text }) => text),
    )
  );
}

const familyName = (families: readonly (4 | 6)[]): string =>
  families.length === 2 ? 'dual' : families[0] === 6 ? 'ipv6' : 'ipv4';

/** As Go prints a list with %q, which MetalLB's Events have. */
export const quoted = (addresses: readonly IpAddress[]): string =>
  `[${addresses.map(({ text }) => JSON.stringify(text)).join(' ')}]`;
