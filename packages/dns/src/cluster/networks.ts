import { isIP } from 'node:net';
import { addressData } from '../wire/rdata.ts';
import { NetworkTable, parseNetwork } from '../server/limits/networks.ts';

/** Addresses of people who run the server themselves: loopback and the ranges that are not routed on the Internet. */
export const privateNetworks: readonly string[] = [
  '127.0.0.0/8',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  '169.254.0.0/16',
  '::1/128',
  'fc00::/7',
  'fe80::/10',
];

/** A set of networks. Throws RangeError for a network that is none. */
export class Networks {
  readonly #table = new NetworkTable();
  /** Answers to the last addresses asked for. */
  readonly #known = new Map<string, boolean>();

  constructor(networks: readonly string[]) {
    for (const text of networks) this.#table.set(parseNetwork(text), 1);
  }

  /** Whether an address (text, as sockets tell it) is in one of them. */
  has(address: string): boolean {
    const known = this.#known.get(address);
    if (known !== undefined) return known;
    const plain = address.replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, '');
    const isIn = isIP(plain) !== 0 && this.hasBytes(addressData(plain));
    if (this.#known.size >= 4096) this.#known.clear();
    this.#known.set(address, isIn);
    return isIn;
  }

  /** 4 or 16 octets. */
  hasBytes(bytes: Uint8Array): boolean {
    return this.#table.find(bytes, 0, bytes.length) === 1;
  }
}
