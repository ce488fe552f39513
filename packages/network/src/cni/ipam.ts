/** An IPv4 block as numbers. */
export interface Ipv4Block {
  first: number;
  size: number;
  prefix: number;
}

/** Parses `10.244.1.0/24`; throws in a sentence that names the text. */
export function parseIpv4Block(text: string): Ipv4Block {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(text);
  const octets = match?.slice(1, 5).map(Number) ?? [];
  const prefix = Number(match?.[5]);
  if (!match || octets.some((octet) => octet > 255) || prefix > 32)
    throw new Error(`"${text}" is not an IPv4 block such as 10.244.1.0/24`);
  const address = octets.reduce((sum, octet) => sum * 256 + octet, 0);
  const size = 2 ** (32 - prefix);
  return { first: address - (address % size), size, prefix };
}

/** Whether `inner` is an IPv4 block that lies within `outer`; false for any other text. */
export function blockContains(outer: string, inner: string): boolean {
  try {
    const [a, b] = [parseIpv4Block(outer), parseIpv4Block(inner)];
    return b.first >= a.first && b.first + b.size <= a.first + a.size;
  } catch {
    return false;
  }
}

/** `184549377` → `11.0.0.1`. */
export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
}

/** The pod range has no free address left. */
export class PodRangeExhaustedError extends Error {
  override readonly name = 'PodRangeExhaustedError';
}

/**
 * Host-local addresses of one node's pod CIDR, as CNI's host-local plugin hands them out: ascending and round
 * robin, so that an address rests as long as possible before it is used again. The first address of the block is
 * the network's, the second the gateway's, the last one broadcast.
 */
export class PodRange {
  readonly cidr: string;
  readonly gateway: string;
  readonly #block: Ipv4Block;
  readonly #used = new Set<string>();
  #next = 2;

  constructor(cidr: string) {
    this.cidr = cidr;
    this.#block = parseIpv4Block(cidr);
    if (this.#block.size < 4) throw new Error(`pod CIDR ${cidr} is too small: it needs at least a /30`);
    this.gateway = formatIpv4(this.#block.first + 1);
  }

  /** Marks an address as used; for those found on disk at start. */
  reserve(ip: string): void {
    this.#used.add(ip);
    const offset = parseIpv4Block(`${ip}/32`).first - this.#block.first;
    if (offset >= this.#next && offset < this.#block.size - 1) this.#next = offset + 1;
  }

  allocate(): string {
    const usable = this.#block.size - 3;
    for (let tried = 0; tried < usable; tried++) {
      if (this.#next > this.#block.size - 2) this.#next = 2;
      const ip = formatIpv4(this.#block.first + this.#next);
      this.#next += 1;
      if (this.#used.has(ip)) continue;
      this.#used.add(ip);
      return ip;
    }
    throw new PodRangeExhaustedError(
      `no free address in this node's pod CIDR ${this.cidr}: ${usable} pods have one`,
    );
  }

  release(ip: string): void {
    this.#used.delete(ip);
  }
}
