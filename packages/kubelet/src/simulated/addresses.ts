/** Gives out the IPv4 addresses of a CIDR, and takes them back. */
export interface AddressRange {
  take(): string;
  give(address: string): void;
}

/** Throws on what is no IPv4 CIDR; the network's own, its gateway's and the broadcast address are left out. */
export function addressRange(cidr: string): AddressRange {
  const parts = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(cidr);
  const bits = Number(parts?.[5]);
  if (!parts || bits > 30) throw new RangeError(`"${cidr}" is not an IPv4 CIDR with room for pods`);
  const bytes = parts.slice(1, 5).map(Number);
  if (bytes.some((byte) => byte > 255)) throw new RangeError(`"${cidr}" is not an IPv4 CIDR`);
  const size = 2 ** (32 - bits);
  const whole = bytes.reduce((number, byte) => number * 256 + byte, 0);
  const base = whole - (whole % size);
  const taken = new Set<number>();
  let next = 2;
  return {
    take() {
      for (let tries = 0; tries < size; tries++) {
        const at = next;
        next = next + 1 >= size - 1 ? 2 : next + 1;
        if (taken.has(at)) continue;
        taken.add(at);
        return textOf(base + at);
      }
      throw new RangeError(`no free address left in ${cidr}`);
    },
    give(address) {
      const number = address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0);
      taken.delete(number - base);
    },
  };
}

const textOf = (number: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');
