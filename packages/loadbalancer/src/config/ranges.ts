import { addressOf } from '../speaker/address.ts';
import type { AddressRange } from './config.ts';

const bitsOf = (family: 4 | 6): number => (family === 4 ? 32 : 128);

/**
 * A pool's entry: a network (`192.0.2.0/24`; host bits are ignored) or an inclusive range (`192.0.2.1-192.0.2.9`,
 * spaces around the dash allowed), as MetalLB reads it (internal/config: ParseCIDR). Anything else: what is wrong.
 */
export function parseRange(text: string): AddressRange | string {
  return text.includes('-') ? fromEnds(text) : fromNetwork(text);
}

function fromNetwork(text: string): AddressRange | string {
  const wrong = `"${text}" is no network; write it as 192.0.2.0/24, or a range as 192.0.2.1-192.0.2.9`;
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const address = match && addressOf(match[1] as string);
  if (!address) return wrong;
  const prefixLength = Number(match[2]);
  if (prefixLength > bitsOf(address.family)) return wrong;
  const hostBits = BigInt(bitsOf(address.family) - prefixLength);
  const first = (address.value >> hostBits) << hostBits;
  return { family: address.family, first, last: first + (1n << hostBits) - 1n, text, prefixLength };
}

function fromEnds(text: string): AddressRange | string {
  const [low = '', high = '', ...more] = text.split('-').map((end) => end.trim());
  const first = addressOf(low);
  const last = addressOf(high);
  if (!first || !last || more.length > 0) return `"${text}" is no range; write it as 192.0.2.1-192.0.2.9`;
  if (first.family !== last.family) return `"${text}" begins in one IP family and ends in the other`;
  if (first.value > last.value) return `"${text}" is reversed: it ends before it begins`;
  return { family: first.family, first: first.value, last: last.value, text, prefixLength: undefined };
}

/**
 * The shortest of the prefixes that make up a range: an aggregate that is shorter would hold addresses beyond it
 * (MetalLB: internal/config, lowestMask).
 */
export function shortestPrefix({ family, first, last, prefixLength }: AddressRange): number {
  if (prefixLength !== undefined) return prefixLength;
  let shortest = bitsOf(family);
  for (let at = first; at <= last;) {
    let hostBits = 0;
    const fits = (bits: number): boolean => {
      const size = 1n << BigInt(bits);
      return at % size === 0n && at + size - 1n <= last;
    };
    while (hostBits < bitsOf(family) && fits(hostBits + 1)) hostBits++;
    shortest = Math.min(shortest, bitsOf(family) - hostBits);
    at += 1n << BigInt(hostBits);
  }
  return shortest;
}
