/** One range of service addresses: which of them may be handed out, in what order (pure; upstream: ipallocator). */
import {
  type Cidr,
  formatCidr,
  formatIp,
  type Ip,
  type IpFamily,
  sizeOf,
} from '../../validation/addresses.ts';

/** `first` and `size` of a run of addresses. */
interface Section {
  readonly first: bigint;
  readonly size: bigint;
}

export interface AddressRange {
  readonly family: IpFamily;
  /** Canonical, as errors name it. */
  readonly text: string;
  /** Without the network's own address and, for IPv4, the broadcast address. */
  readonly first: bigint;
  readonly size: bigint;
  /**
   * The lower addresses, for those who ask for one by number: handed out by themselves only when the upper ones are
   * gone (KEP-3070).
   */
  readonly reserved: bigint;
}

/** A sixteenth of the range, at least 16 and at most 256 addresses; none in ranges of up to 16. */
function reservedOf(cidrSize: bigint): bigint {
  if (cidrSize <= 16n) return 0n;
  const share = cidrSize / 16n;
  return share < 16n ? 16n : share > 256n ? 256n : share;
}

export function addressRange(cidr: Cidr): AddressRange {
  const all = sizeOf(cidr);
  const unusable = cidr.family === 'IPv4' ? 2n : 1n;
  const size = all > unusable ? all - unusable : 0n;
  const reserved = reservedOf(all);
  return {
    family: cidr.family,
    text: formatCidr(cidr),
    first: cidr.first + 1n,
    size,
    reserved: reserved < size ? reserved : 0n,
  };
}

export const rangeHolds = (range: AddressRange, ip: Ip): boolean =>
  ip.family === range.family && ip.value >= range.first && ip.value < range.first + range.size;

/** Uniform in [0, below); `random` gives [0, 1). Precise to 53 bits, which is more than a range is ever filled. */
function randomBelow(below: bigint, random: () => number): bigint {
  if (below <= 1n) return 0n;
  const wide = BigInt(Math.floor(random() * 2 ** 52));
  return below > 1n << 52n ? (wide * below) >> 52n : (wide * below) / (1n << 52n);
}

/** Random addresses tried before going through a section in order. */
const randomTries = 8;

function findInSection(
  range: AddressRange,
  section: Section,
  isTaken: (ip: string) => boolean,
  takenAtMost: number,
  random: () => number,
): string | undefined {
  if (section.size <= 0n) return undefined;
  const at = (offset: bigint): string =>
    formatIp({ family: range.family, value: section.first + (offset % section.size) });
  let offset = 0n;
  for (let i = 0; i < randomTries; i++) {
    offset = randomBelow(section.size, random);
    const ip = at(offset);
    if (!isTaken(ip)) return ip;
  }
  // Among one address more than are taken, one is free.
  const steps = section.size <= BigInt(takenAtMost) ? Number(section.size) : takenAtMost + 1;
  for (let i = 1; i <= steps; i++) {
    const ip = at(offset + BigInt(i));
    if (!isTaken(ip)) return ip;
  }
  return undefined;
}

/**
 * A free address: at random from the upper part, then from the reserved one; undefined when none is left.
 * `takenAtMost` bounds how many addresses are taken anywhere, and so the time this takes.
 */
export function findFree(
  range: AddressRange,
  isTaken: (ip: string) => boolean,
  takenAtMost: number,
  random: () => number = Math.random,
): string | undefined {
  const upper: Section = { first: range.first + range.reserved, size: range.size - range.reserved };
  const lower: Section = { first: range.first, size: range.reserved };
  return (
    findInSection(range, upper, isTaken, takenAtMost, random) ??
    findInSection(range, lower, isTaken, takenAtMost, random)
  );
}
