/** Subnets of one size out of a network, each given out once. Pure; works on both families. */

export interface Cidr {
  /** The network's address as a number, 32 or 128 bits wide. */
  base: bigint;
  bits: 32 | 128;
  prefix: number;
}

/** Reads `10.244.0.0/16` or `fd00::/48`. Throws when it is no CIDR, naming it. */
export function parseCidr(text: string): Cidr {
  const [address = '', length = ''] = text.split('/');
  const bits = address.includes(':') ? 128 : 32;
  const value = bits === 32 ? parseV4(address) : parseV6(address);
  const prefix = Number(length);
  if (value === undefined || !/^\d{1,3}$/.test(length) || prefix > bits) {
    throw new Error(
      `${JSON.stringify(text)} is no CIDR; write one such as 10.244.0.0/16 or fd00:10:244::/48`,
    );
  }
  const host = BigInt(bits - prefix);
  return { base: (value >> host) << host, bits, prefix };
}

function parseV4(text: string): bigint | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || parts.some((part) => !/^\d{1,3}$/.test(part) || Number(part) > 255))
    return undefined;
  return parts.reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

function parseV6(text: string): bigint | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const groups = (half: string | undefined): string[] => (half ? half.split(':') : []);
  const head = groups(halves[0]);
  const tail = groups(halves[1]);
  const gap = 8 - head.length - tail.length;
  if (halves.length === 1 ? gap !== 0 : gap < 1) return undefined;
  const all = [...head, ...Array.from({ length: Math.max(0, gap) }, () => '0'), ...tail];
  if (all.some((group) => !/^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  return all.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

/** In canonical text (RFC 5952 for IPv6). */
export function formatCidr({ base, bits, prefix }: Cidr): string {
  if (bits === 32) return `${[24n, 16n, 8n, 0n].map((shift) => (base >> shift) & 255n).join('.')}/${prefix}`;
  const groups = Array.from({ length: 8 }, (_, i) => ((base >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  // The first of the longest runs of zeros, if longer than one, is left out.
  let [start, length] = [-1, 1];
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (groups[i + run] === '0') run++;
    if (run > length) [start, length] = [i, run];
  }
  if (start < 0) return `${groups.join(':')}/${prefix}`;
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}/${prefix}`;
}

/** Whether two networks share an address. */
export function overlap(a: Cidr, b: Cidr): boolean {
  if (a.bits !== b.bits) return false;
  const shift = BigInt(a.bits - Math.min(a.prefix, b.prefix));
  return a.base >> shift === b.base >> shift;
}

/** More subnets than this are not counted out (upstream: clusterSubnetMaxDiff). */
const maxDifference = 16;

export class CidrSet {
  readonly cluster: Cidr;
  readonly #prefix: number;
  readonly #size: number;
  readonly #used = new Set<number>();
  #next = 0;

  /** Throws when subnets of `prefix` do not fit the network. */
  constructor(cluster: Cidr, prefix: number) {
    if (prefix < cluster.prefix || prefix > cluster.bits) {
      throw new Error(
        `the node CIDR mask size ${prefix} does not fit the cluster CIDR ${formatCidr(cluster)}`,
      );
    }
    if (prefix - cluster.prefix > maxDifference) {
      throw new Error(
        `the node CIDR mask size ${prefix} is too far from the cluster CIDR ${formatCidr(cluster)}: at most ${maxDifference} bits`,
      );
    }
    this.cluster = cluster;
    this.#prefix = prefix;
    this.#size = 2 ** (prefix - cluster.prefix);
  }

  get free(): number {
    return this.#size - this.#used.size;
  }

  /** The next free subnet, or undefined when all are taken. Goes round, so that a freed one rests first. */
  allocate(): Cidr | undefined {
    for (let tried = 0; tried < this.#size; tried++) {
      const index = (this.#next + tried) % this.#size;
      if (this.#used.has(index)) continue;
      this.#used.add(index);
      this.#next = (index + 1) % this.#size;
      return this.#subnet(index);
    }
    return undefined;
  }

  /** Takes what a network covers: a subnet, several, or none of ours. */
  occupy(cidr: Cidr): void {
    for (const index of this.#covered(cidr)) this.#used.add(index);
  }

  release(cidr: Cidr): void {
    for (const index of this.#covered(cidr)) this.#used.delete(index);
  }

  /** Whether this network holds `cidr`. */
  holds(cidr: Cidr): boolean {
    return cidr.prefix >= this.cluster.prefix && overlap(cidr, this.cluster);
  }

  #subnet(index: number): Cidr {
    const { base, bits } = this.cluster;
    return { base: base + (BigInt(index) << BigInt(bits - this.#prefix)), bits, prefix: this.#prefix };
  }

  *#covered(cidr: Cidr): Generator<number> {
    if (!overlap(cidr, this.cluster)) return;
    const { base, bits } = this.cluster;
    const step = BigInt(bits - this.#prefix);
    const last = cidr.base + (1n << BigInt(bits - cidr.prefix)) - 1n;
    const from = cidr.base > base ? Number((cidr.base - base) >> step) : 0;
    const to = Math.min(this.#size - 1, Number((last - base) >> step));
    for (let index = from; index <= to; index++) yield index;
  }
}
