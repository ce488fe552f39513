import { isIP } from 'node:net';
import { addressData } from '../../wire/rdata.ts';

/** A network's first octets and how many of its bits count. */
export interface Network {
  readonly bytes: Uint8Array;
  readonly prefixLength: number;
}

/** `192.0.2.0/24`, `2001:db8::/32`, or an address alone. Throws RangeError with the text and what is wrong with it. */
export function parseNetwork(text: string): Network {
  const [address = '', length, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0 || address.includes('%'))
    throw new RangeError(`${text} is not a network: write 192.0.2.0/24 or 2001:db8::/32`);
  const longest = family === 4 ? 32 : 128;
  if (length !== undefined && (!/^\d{1,3}$/.test(length) || Number(length) > longest))
    throw new RangeError(`${text} has a prefix length that is not from 0 to ${longest}`);
  return {
    bytes: new Uint8Array(addressData(address)),
    prefixLength: length === undefined ? longest : Number(length),
  };
}

/** Nodes in both trees; each network takes at most one for each bit. */
const wordsOfNode = 3;

/** Values by network, found by longest prefix: a binary tree in an array. IPv4-mapped addresses are to be given as IPv4. */
export class NetworkTable {
  /** Words of a node: the node for a next bit 0, for 1 (0: none), and the value (0: none). */
  #words = new Int32Array(64 * wordsOfNode);
  /** The first two nodes are the roots: IPv4, IPv6. */
  #nodes = 2;

  get isEmpty(): boolean {
    return this.#nodes === 2 && this.#words[2] === 0 && this.#words[wordsOfNode + 2] === 0;
  }

  /** `value` is not 0. A network that is set twice has the last value. */
  set({ bytes, prefixLength }: Network, value: number): void {
    let node = bytes.length === 4 ? 0 : 1;
    for (let bit = 0; bit < prefixLength; bit++) {
      const at = node * wordsOfNode + bitOf(bytes, 0, bit);
      let next = this.#words[at] as number;
      if (next === 0) {
        next = this.#newNode();
        this.#words[at] = next;
      }
      node = next;
    }
    this.#words[node * wordsOfNode + 2] = value;
  }

  /** The value of the longest network around an address of 4 or 16 octets at `start`; 0: there is none. */
  find(bytes: Uint8Array, start: number, length: number): number {
    const words = this.#words;
    let node = length === 4 ? 0 : 1;
    let value = words[node * wordsOfNode + 2] as number;
    for (let bit = 0; bit < length * 8; bit++) {
      node = words[node * wordsOfNode + bitOf(bytes, start, bit)] as number;
      if (node === 0) break;
      const own = words[node * wordsOfNode + 2] as number;
      if (own !== 0) value = own;
    }
    return value;
  }

  #newNode(): number {
    if ((this.#nodes + 1) * wordsOfNode > this.#words.length) {
      const larger = new Int32Array(this.#words.length * 2);
      larger.set(this.#words);
      this.#words = larger;
    }
    return this.#nodes++;
  }
}

const bitOf = (bytes: Uint8Array, start: number, bit: number): number =>
  ((bytes[start + (bit >> 3)] as number) >> (7 - (bit & 7))) & 1;
