/**
 * SipHash-2-4 (Aumasson, Bernstein 2012) of up to some hundred octets, as the server cookies of RFC 9018 want it. 64-bit
 * words are pairs of 32-bit ones: BigInt would cost more than the answer.
 */
export class SipHash {
  readonly #key: Uint32Array;
  /** v0 to v3, low word first. */
  readonly #v = new Uint32Array(8);

  /** @param key 16 octets */
  constructor(key: Uint8Array) {
    if (key.length !== 16) throw new RangeError('a key of SipHash has 16 octets');
    const view = new DataView(key.buffer, key.byteOffset, 16);
    this.#key = Uint32Array.from([0, 4, 8, 12], (at) => view.getUint32(at, true));
  }

  /** Writes the 8 octets of the hash of `length` octets into `out`. */
  hash(bytes: Uint8Array, start: number, length: number, out: Uint8Array, outStart: number): void {
    const v = this.#v;
    const [k0 = 0, k1 = 0, k2 = 0, k3 = 0] = this.#key;
    v[0] = 0x70736575 ^ k0;
    v[1] = 0x736f6d65 ^ k1;
    v[2] = 0x6e646f6d ^ k2;
    v[3] = 0x646f7261 ^ k3;
    v[4] = 0x6e657261 ^ k0;
    v[5] = 0x6c796765 ^ k1;
    v[6] = 0x79746573 ^ k2;
    v[7] = 0x74656462 ^ k3;
    const whole = length & ~7;
    for (let at = 0; at < whole; at += 8)
      this.#take(word(bytes, start + at, 4), word(bytes, start + at + 4, 4));
    const left = length - whole;
    const low = word(bytes, start + whole, Math.min(4, left));
    const high = word(bytes, start + whole + 4, Math.max(0, left - 4)) | ((length & 0xff) << 24);
    this.#take(low, high);
    v[4] ^= 0xff;
    for (let round = 0; round < 4; round++) this.#round();
    for (let half = 0; half < 2; half++) {
      const value =
        ((v[half] as number) ^
          (v[2 + half] as number) ^
          (v[4 + half] as number) ^
          (v[6 + half] as number)) >>>
        0;
      for (let i = 0; i < 4; i++) out[outStart + half * 4 + i] = value >>> (8 * i);
    }
  }

  #take(low: number, high: number): void {
    const v = this.#v;
    v[6] = (v[6] as number) ^ low;
    v[7] = (v[7] as number) ^ high;
    this.#round();
    this.#round();
    v[0] = (v[0] as number) ^ low;
    v[1] = (v[1] as number) ^ high;
  }

  #round(): void {
    this.#add(0, 2);
    this.#turn(2, 13, 0);
    this.#swap(0);
    this.#add(4, 6);
    this.#turn(6, 16, 4);
    this.#add(0, 6);
    this.#turn(6, 21, 0);
    this.#add(4, 2);
    this.#turn(2, 17, 4);
    this.#swap(4);
  }

  /** v[a] += v[b] */
  #add(a: number, b: number): void {
    const v = this.#v;
    const low = (v[a] as number) + (v[b] as number);
    v[a + 1] = (v[a + 1] as number) + (v[b + 1] as number) + (low > 0xffffffff ? 1 : 0);
    v[a] = low;
  }

  /** v[a] = v[a] turned left by `bits` (under 32), then ^ v[b] */
  #turn(a: number, bits: number, b: number): void {
    const v = this.#v;
    const [low, high] = [v[a] as number, v[a + 1] as number];
    v[a] = ((low << bits) | (high >>> (32 - bits))) ^ (v[b] as number);
    v[a + 1] = ((high << bits) | (low >>> (32 - bits))) ^ (v[b + 1] as number);
  }

  /** v[a] turned by 32 bits */
  #swap(a: number): void {
    const v = this.#v;
    const low = v[a] as number;
    v[a] = v[a + 1] as number;
    v[a + 1] = low;
  }
}

/** `count` octets, little-endian. */
function word(bytes: Uint8Array, at: number, count: number): number {
  let value = 0;
  for (let i = 0; i < count; i++) value |= (bytes[at + i] as number) << (8 * i);
  return value;
}
