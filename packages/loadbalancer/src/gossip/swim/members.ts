import { endpointText } from '../wire/address.ts';
import type { Endpoint } from '../wire/address.ts';
import type { MemberRecord } from './member.ts';

/** The list of members: by name, by address, and in the order in which they are probed. */
export class Members {
  readonly #random: () => number;
  readonly #byName = new Map<string, MemberRecord>();
  readonly #byEndpoint = new Map<string, MemberRecord>();
  #order: MemberRecord[] = [];
  #probeIndex = 0;

  /** `random`: numbers in [0, 1). */
  constructor(random: () => number) {
    this.#random = random;
  }

  get size(): number {
    return this.#byName.size;
  }

  get(name: string): MemberRecord | undefined {
    return this.#byName.get(name);
  }

  at(endpoint: Endpoint): MemberRecord | undefined {
    return this.#byEndpoint.get(endpointText(endpoint));
  }

  values(): Iterable<MemberRecord> {
    return this.#byName.values();
  }

  /** A new one gets a random place in the order of probes, so that the first probe of it is not the last of a round. */
  add(member: MemberRecord): void {
    this.#byName.set(member.name, member);
    this.#byEndpoint.set(endpointText(member.endpoint), member);
    const place = Math.floor(this.#random() * (this.#order.length + 1));
    const displaced = this.#order[place];
    if (displaced) this.#order.push(displaced);
    this.#order[place] = member;
  }

  /** Gives a member another address. */
  move(member: MemberRecord, addr: Buffer, endpoint: Endpoint): void {
    this.#forgetEndpoint(member);
    member.addr = addr;
    member.endpoint = endpoint;
    this.#byEndpoint.set(endpointText(endpoint), member);
  }

  /**
   * The next member to probe that `wanted` takes; undefined when there is none. When a round is over, those to `forget`
   * are forgotten and the others are shuffled.
   */
  nextProbe(
    wanted: (member: MemberRecord) => boolean,
    forget: (member: MemberRecord) => boolean,
  ): MemberRecord | undefined {
    for (let checked = 0; checked <= this.#order.length; checked++) {
      if (this.#probeIndex >= this.#order.length) {
        this.#forget(forget);
        this.#shuffle(this.#order);
        this.#probeIndex = 0;
      }
      const member = this.#order[this.#probeIndex++];
      if (member && wanted(member)) return member;
    }
    return undefined;
  }

  /** Up to `count` random members that `wanted` takes. */
  pick(count: number, wanted: (member: MemberRecord) => boolean): MemberRecord[] {
    const length = this.#order.length;
    if (length < count * 3) return this.#shuffle(this.#order.filter(wanted)).slice(0, count);
    const picked = new Set<MemberRecord>();
    for (let tries = 3 * length; tries > 0 && picked.size < count; tries--) {
      const member = this.#order[Math.floor(this.#random() * length)];
      if (member && wanted(member)) picked.add(member);
    }
    return [...picked];
  }

  #forget(forget: (member: MemberRecord) => boolean): void {
    this.#order = this.#order.filter((member) => {
      if (!forget(member)) return true;
      this.#byName.delete(member.name);
      this.#forgetEndpoint(member);
      return false;
    });
  }

  #forgetEndpoint(member: MemberRecord): void {
    const key = endpointText(member.endpoint);
    if (this.#byEndpoint.get(key) === member) this.#byEndpoint.delete(key);
  }

  #shuffle<T>(list: T[]): T[] {
    for (let last = list.length - 1; last > 0; last--) {
      const other = Math.floor(this.#random() * (last + 1));
      const [a, b] = [list[last], list[other]];
      if (a !== undefined && b !== undefined) [list[last], list[other]] = [b, a];
    }
    return list;
  }
}
