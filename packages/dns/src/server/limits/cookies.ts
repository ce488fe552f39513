import { SipHash } from './siphash.ts';

/** Secrets of 16 octets, the same for all threads (and replicas) that answer on one address. */
export interface CookieSecrets {
  readonly current: Uint8Array;
  /** Still accepted. */
  readonly previous: Uint8Array | undefined;
}

export const clientCookieBytes = 8;
/** Of RFC 9018: version, three reserved octets, timestamp, hash. */
export const serverCookieBytes = 16;
/** RFC 9018 section 4.3: accepted for an hour, and five minutes ahead. */
const oldestSeconds = 3600;
const aheadSeconds = 300;
const refreshSeconds = 1800;

/** Server cookies (RFC 7873) of the form that servers have agreed on (RFC 9018): who has one can be reached at its address. */
export class Cookies {
  readonly #current: SipHash;
  readonly #previous: SipHash | undefined;
  readonly #input = new Uint8Array(32);
  readonly #hash = new Uint8Array(8);

  constructor(secrets: CookieSecrets) {
    this.#current = new SipHash(secrets.current);
    this.#previous = secrets.previous && new SipHash(secrets.previous);
  }

  /**
   * Whether the cookie at `start` (client's part, then server's part, `length` octets in all) is one that we gave to this
   * address of 4 or 16 octets.
   */
  isValid(
    cookie: Uint8Array,
    start: number,
    length: number,
    address: Uint8Array,
    addressStart: number,
    addressLength: number,
    nowSeconds: number,
  ): boolean {
    if (length !== clientCookieBytes + serverCookieBytes || cookie[start + 8] !== 1) return false;
    const ageSeconds = ageOf(cookie, start, nowSeconds);
    if (ageSeconds > oldestSeconds || ageSeconds < -aheadSeconds) return false;
    const input = this.#fill(cookie, start, address, addressStart, addressLength);
    for (let i = 8; i < 16; i++) this.#input[i] = cookie[start + i] as number;
    return (
      this.#matches(this.#current, input, cookie, start + 16) ||
      (this.#previous !== undefined && this.#matches(this.#previous, input, cookie, start + 16))
    );
  }

  /** Whether a cookie that is valid may be given back as it is: until it is half an hour old (RFC 9018 section 4.3). */
  isYoung(cookie: Uint8Array, start: number, nowSeconds: number): boolean {
    return ageOf(cookie, start, nowSeconds) < refreshSeconds;
  }

  /** Writes client's and server's part, 24 octets. */
  write(
    clientCookie: Uint8Array,
    start: number,
    address: Uint8Array,
    addressStart: number,
    addressLength: number,
    nowSeconds: number,
    out: Uint8Array,
    outStart: number,
  ): void {
    const input = this.#fill(clientCookie, start, address, addressStart, addressLength);
    this.#input[8] = 1;
    this.#input.fill(0, 9, 12);
    for (let i = 0; i < 4; i++) this.#input[12 + i] = nowSeconds >>> (24 - 8 * i);
    this.#current.hash(this.#input, 0, input, this.#hash, 0);
    for (let i = 0; i < 16; i++) out[outStart + i] = this.#input[i] as number;
    for (let i = 0; i < 8; i++) out[outStart + 16 + i] = this.#hash[i] as number;
  }

  /** Client's part and address, with room for what stands between them; how many octets the input of the hash has. */
  #fill(
    cookie: Uint8Array,
    start: number,
    address: Uint8Array,
    addressStart: number,
    addressLength: number,
  ): number {
    for (let i = 0; i < 8; i++) this.#input[i] = cookie[start + i] as number;
    for (let i = 0; i < addressLength; i++) this.#input[16 + i] = address[addressStart + i] as number;
    return 16 + addressLength;
  }

  #matches(hash: SipHash, length: number, cookie: Uint8Array, at: number): boolean {
    hash.hash(this.#input, 0, length, this.#hash, 0);
    let difference = 0;
    for (let i = 0; i < 8; i++) difference |= (this.#hash[i] as number) ^ (cookie[at + i] as number);
    return difference === 0;
  }
}

/** In serial number arithmetic: 32 bits of seconds last until 2106. */
function ageOf(cookie: Uint8Array, start: number, nowSeconds: number): number {
  const at = start + 12;
  const time =
    ((cookie[at] as number) << 24) |
    ((cookie[at + 1] as number) << 16) |
    ((cookie[at + 2] as number) << 8) |
    (cookie[at + 3] as number);
  return (nowSeconds - time) | 0;
}
