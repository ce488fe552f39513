import type { IpAddress } from '../speaker/address.ts';

/** Who may share an address: the `allow-shared-ip` annotation, and with `externalTrafficPolicy: Local` the backends. */
export interface SharingKeys {
  readonly sharing: string;
  readonly backend: string;
}

/** One address in use. */
export interface AddressUse {
  readonly address: IpAddress;
  readonly pool: string;
  keys: SharingKeys;
  /** Services that have it, by key. */
  readonly services: Set<string>;
  /** `TCP/80` → the Service that has it. */
  readonly ports: Map<string, string>;
}

/** Addresses of one pair of sharing keys. */
interface Group {
  readonly uses: Set<AddressUse>;
  /** On how many of the addresses a port is taken. */
  readonly portCounts: Map<string, number>;
}

/** Which addresses are in use, by whom and on which ports. Keeps no rules but MetalLB's on sharing. */
export class AddressUses {
  readonly #uses = { 4: new Map<bigint, AddressUse>(), 6: new Map<bigint, AddressUse>() };
  readonly #groups = new Map<string, Group>();

  has(family: 4 | 6, value: bigint): boolean {
    return this.#uses[family].has(value);
  }

  /**
   * Why a Service may not have an address, or undefined (upstream: checkSharing): all Services of an address have the
   * same keys and different ports. Who is alone on an address may change its key.
   */
  refusal(
    address: IpAddress,
    service: string,
    ports: readonly string[],
    keys: SharingKeys,
  ): string | undefined {
    const use = this.#uses[address.family].get(address.value);
    if (!use) return undefined;
    const { sharing, backend } = use.keys;
    if (sharing === '' || sharing !== keys.sharing || backend !== keys.backend) {
      const others = [...use.services].filter((other) => other !== service);
      if (others.length > 0)
        return `can't change sharing key for "${service}", address also in use by ${others.sort().join(',')}`;
    }
    for (const port of ports) {
      const owner = use.ports.get(port);
      if (owner !== undefined && owner !== service)
        return `port ${port} is already in use on "${address.text}"`;
    }
    return undefined;
  }

  /** The lowest address from `first` to `last` that others have and this Service may share. */
  lowestShareable(
    family: 4 | 6,
    first: bigint,
    last: bigint,
    service: string,
    ports: readonly string[],
    keys: SharingKeys,
  ): IpAddress | undefined {
    if (keys.sharing === '') return undefined;
    const group = this.#groups.get(groupKey(keys));
    if (!group || ports.some((port) => group.portCounts.get(port) === group.uses.size)) return undefined;
    let lowest: IpAddress | undefined;
    for (const { address, ports: taken } of group.uses) {
      if (address.family !== family || address.value < first || address.value > last) continue;
      if (lowest && lowest.value < address.value) continue;
      if (ports.every((port) => (taken.get(port) ?? service) === service)) lowest = address;
    }
    return lowest;
  }

  /** Records a use that {@link refusal} has nothing against. True when the address was free before. */
  add(
    address: IpAddress,
    pool: string,
    service: string,
    ports: readonly string[],
    keys: SharingKeys,
  ): boolean {
    let use = this.#uses[address.family].get(address.value);
    const isNew = use === undefined;
    if (use) this.#leave(use);
    else {
      use = { address, pool, keys, services: new Set(), ports: new Map() };
      this.#uses[address.family].set(address.value, use);
    }
    use.keys = keys;
    use.services.add(service);
    for (const port of ports) use.ports.set(port, service);
    this.#join(use);
    return isNew;
  }

  /** Ends a use. True when the address is free now. */
  remove(address: IpAddress, service: string, ports: readonly string[]): boolean {
    const use = this.#uses[address.family].get(address.value);
    if (!use) return false;
    this.#leave(use);
    use.services.delete(service);
    for (const port of ports) use.ports.delete(port);
    if (use.services.size > 0) {
      this.#join(use);
      return false;
    }
    this.#uses[address.family].delete(address.value);
    return true;
  }

  #join(use: AddressUse): void {
    if (use.keys.sharing === '') return;
    const key = groupKey(use.keys);
    let group = this.#groups.get(key);
    if (!group) this.#groups.set(key, (group = { uses: new Set(), portCounts: new Map() }));
    group.uses.add(use);
    for (const port of use.ports.keys()) group.portCounts.set(port, (group.portCounts.get(port) ?? 0) + 1);
  }

  #leave(use: AddressUse): void {
    const key = groupKey(use.keys);
    const group = this.#groups.get(key);
    if (!group?.uses.delete(use)) return;
    for (const port of use.ports.keys()) {
      const count = (group.portCounts.get(port) ?? 0) - 1;
      if (count > 0) group.portCounts.set(port, count);
      else group.portCounts.delete(port);
    }
    if (group.uses.size === 0) this.#groups.delete(key);
  }
}

const groupKey = ({ sharing, backend }: SharingKeys): string => `${sharing}\n${backend}`;
