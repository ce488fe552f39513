/**
 * The addresses of Services as IPAddress and ServiceCIDR objects (upstream: pkg/registry/core/service/ipallocator,
 * KEP-1880). Handing one out adds the creation of its IPAddress to the Service's own transaction, which fails when
 * that exists: no address is ever handed out twice, whoever else writes to the store.
 */
import type { KubeObject } from '@cloudless/kube/object';
import { networking } from '@cloudless/kube/resources';
import type { Service } from '@cloudless/kube/types/core-v1';
import type { IPAddress, ServiceCIDR } from '@cloudless/kube/types/networking-v1';
import type { Caches, ResourceCache } from '../../../cache/cache.ts';
import type { Transaction } from '../../../storage/transaction.ts';
import { formatIp, type IpFamily, parseCidr, parseIp } from '../../validation/addresses.ts';
import { type AddressRange, addressRange, findFree, rangeHolds } from './address-range.ts';
import { Reservations } from './reservations.ts';

export const familyLabel = 'ipaddress.kubernetes.io/ip-family';
export const managedByLabel = 'ipaddress.kubernetes.io/managed-by';
export const managedBy = 'ipallocator.k8s.io';

/** Why an address could not be had. */
export type AddressProblem = 'allocated' | 'out-of-range' | 'full' | 'no-range';

/** Text goes into the error of the Service. */
export class AddressError extends Error {
  readonly problem: AddressProblem;

  constructor(problem: AddressProblem, message: string) {
    super(message);
    this.name = 'AddressError';
    this.problem = problem;
  }
}

/** The IPAddress of an address of a Service. */
export function ipAddressOf(ip: string, service: { namespace: string; name: string }): IPAddress {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'IPAddress',
    metadata: {
      name: ip,
      labels: { [familyLabel]: parseIp(ip)?.family ?? 'IPv4', [managedByLabel]: managedBy },
    },
    spec: {
      parentRef: { resource: 'services', namespace: service.namespace, name: service.name },
    },
  };
}

/** Whether the address belongs to this Service. */
export function belongsTo(address: IPAddress, service: { namespace: string; name: string }): boolean {
  const parent = address.spec?.parentRef;
  return (
    parent !== undefined &&
    (parent.group ?? '') === '' &&
    parent.resource === 'services' &&
    parent.namespace === service.namespace &&
    parent.name === service.name
  );
}

function isReady(range: ServiceCIDR): boolean {
  if (range.metadata.deletionTimestamp) return false;
  const ready = range.status?.conditions?.find((condition) => condition.type === 'Ready');
  // Without a controller that sets it the range counts as ready.
  return ready === undefined || ready.status === 'True';
}

/** The default range comes first, then the others by age: the first family is the cluster's default. */
function inOrder(ranges: Iterable<ServiceCIDR>): ServiceCIDR[] {
  const rank = (range: ServiceCIDR): string =>
    range.metadata.name === 'kubernetes' ? '' : `${range.metadata.creationTimestamp}/${range.metadata.name}`;
  return [...ranges].sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
}

export const serviceName = (service: Service): { namespace: string; name: string } => ({
  namespace: service.metadata.namespace ?? '',
  name: service.metadata.name ?? '',
});

export class AddressBook {
  readonly #addresses: ResourceCache<IPAddress>;
  readonly #cidrs: ResourceCache<ServiceCIDR>;
  readonly #reserved = new Reservations();
  #ranges: readonly AddressRange[] | undefined;
  /** Addresses taken. */
  #count = 0;
  #isLoaded = false;

  constructor(caches: Caches) {
    this.#addresses = caches.of(networking.ipaddresses);
    this.#cidrs = caches.of(networking.servicecidrs);
    this.#cidrs.subscribe(() => (this.#ranges = undefined));
    this.#addresses.subscribe(({ type, object }) => {
      if (type === 'added') {
        this.#count++;
        this.#reserved.delete(object.metadata.name as string);
      } else if (type === 'deleted') this.#count--;
    });
  }

  /** Resolves when the book knows every address and range. */
  async ready(): Promise<void> {
    await Promise.all([this.#addresses.ready, this.#cidrs.ready]);
    if (this.#isLoaded) return;
    // Listeners of a cache do not hear of its first load.
    this.#isLoaded = true;
    this.#count = [...this.#addresses.list()].length;
    this.#ranges = undefined;
  }

  /** Resolves when everything committed before the call is in the book. */
  async fresh(): Promise<void> {
    await Promise.all([this.#addresses.fresh(), this.#cidrs.fresh()]);
  }

  get ranges(): readonly AddressRange[] {
    this.#ranges ??= inOrder([...this.#cidrs.list()].filter(isReady)).flatMap((range) =>
      (range.spec?.cidrs ?? []).flatMap((text) => {
        const cidr = parseCidr(text);
        return cidr ? [addressRange(cidr)] : [];
      }),
    );
    return this.#ranges;
  }

  /**
   * Families of the cluster, the default one first: those of the ranges that the server was started with. Further ranges
   * add addresses, but no family (upstream takes the families from its flags).
   */
  get families(): IpFamily[] {
    const cidrs = this.#cidrs.get('', 'kubernetes')?.spec?.cidrs ?? [];
    const own = cidrs.flatMap((text) => parseCidr(text)?.family ?? []);
    return [...new Set(own.length > 0 ? own : this.ranges.map((range) => range.family))];
  }

  /** Takes any free address of a family. Throws {@link AddressError}. */
  async takeAny(
    family: IpFamily,
    service: Service,
    transaction: Transaction | undefined,
    nowMs: number,
  ): Promise<string> {
    const ranges = this.ranges.filter((range) => range.family === family);
    if (ranges.length === 0) {
      throw new AddressError('no-range', `no ServiceCIDR is ready for ${family} addresses`);
    }
    const isKnown = (ip: string): boolean => this.#addresses.get('', ip) !== undefined;
    const atMost = this.#count + this.#reserved.size;
    const search = (isTaken: (ip: string) => boolean): string | undefined => {
      for (const range of ranges) {
        const ip = findFree(range, isTaken, atMost);
        if (ip !== undefined) return ip;
      }
      return undefined;
    };
    let ip = search((one) => isKnown(one) || this.#reserved.has(one, nowMs));
    if (ip === undefined) {
      // The last addresses may be reserved by writes that failed.
      await this.fresh();
      ip = search(isKnown);
    }
    if (ip === undefined) throw new AddressError('full', 'range is full');
    this.#take(ip, service, transaction, nowMs);
    return ip;
  }

  /** Takes this very address. Throws {@link AddressError}. */
  async takeThis(
    text: string,
    service: Service,
    transaction: Transaction | undefined,
    nowMs: number,
  ): Promise<void> {
    const parsed = parseIp(text);
    const ranges = this.ranges.filter((range) => range.family === parsed?.family);
    if (!parsed || !ranges.some((range) => rangeHolds(range, parsed))) {
      const valid = ranges.map((range) => range.text).join(', ');
      const why = `the provided IP (${text}) is not in the valid range. The range of valid IPs is ${valid}`;
      throw new AddressError('out-of-range', why);
    }
    const ip = formatIp(parsed);
    if (this.#reserved.has(ip, nowMs)) await this.fresh();
    if (this.#addresses.get('', ip)) throw new AddressError('allocated', 'provided IP is already allocated');
    this.#take(ip, service, transaction, nowMs);
  }

  #take(ip: string, service: Service, transaction: Transaction | undefined, nowMs: number): void {
    if (!transaction) return;
    this.#reserved.add(ip, nowMs);
    const object = ipAddressOf(ip, serviceName(service)) as KubeObject;
    transaction.add({ type: 'create', resource: networking.ipaddresses, object });
  }

  /** Gives an address back, if it is this Service's. */
  async release(text: string, service: Service, transaction: Transaction): Promise<void> {
    const parsed = parseIp(text);
    if (!parsed) return;
    const ip = formatIp(parsed);
    let address = this.#addresses.get('', ip);
    if (!address) {
      await this.#addresses.fresh();
      address = this.#addresses.get('', ip);
    }
    if (!address || !belongsTo(address, serviceName(service))) return;
    transaction.add({
      type: 'delete',
      resource: networking.ipaddresses,
      namespace: '',
      name: ip,
      ...(address.metadata.resourceVersion ? { resourceVersion: address.metadata.resourceVersion } : {}),
    });
  }
}
