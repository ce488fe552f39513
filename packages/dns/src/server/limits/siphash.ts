/**
 * SipHash-2-4 (Aumasson, Bernstein 2012) of up to some hundred octets, as the server cookies of RFC 9018 want it. 64-bit
 * words are pairs of 32-bit ones in local variables: with BigInt, or in an array, it would cost more than the answer.
 */
export class SipHash {
  readonly #key: Int32Array;

  /** @param key 16 octets */
  constructor(key: Uint8Array) {
    if (key.length !== 16) throw new RangeError('a key of SipHash has 16 octets');
    const view = new DataView(key.buffer, key.byteOffset, 16);
    this.#key = Int32Array.from([0, 4, 8, 12], (at) => view.getInt32(at, true));
  }

  /** Writes the 8 octets of the hash of `length` octets into `out`. */
  hash(bytes: Uint8Array, start: number, length: number, out: Uint8Array, outStart: number): void {
    const [k0 = 0, k1 = 0, k2 = 0, k3 = 0] = this.#key;
    // v0 to v3, low and high halves.
    let [al, ah, bl, bh] = [0x70736575 ^ k0, 0x736f6d65 ^ k1, 0x6e646f6d ^ k2, 0x646f7261 ^ k3];
    let [cl, ch, dl, dh] = [0x6e657261 ^ k0, 0x6c796765 ^ k1, 0x79746573 ^ k2, 0x74656462 ^ k3];
    let [ml, mh] = [0, 0];
    // Two rounds for each word, the last of which has the length; then four.
    const taking = ((length >> 3) + 1) * 2;
    for (let round = 0; round < taking + 4; round++) {
      const isFirst = (round & 1) === 0 && round < taking;
      if (isFirst) {
        const at = round << 2;
        ml = word(bytes, start + at, length - at);
        mh = word(bytes, start + at + 4, length - at - 4);
        if (round === taking - 2) mh |= (length & 0xff) << 24;
        dl ^= ml;
        dh ^= mh;
      } else if (round === taking) cl ^= 0xff;
      let sum = (al >>> 0) + (bl >>> 0);
      ah = (ah + bh + (sum > 0xffffffff ? 1 : 0)) | 0;
      al = sum | 0;
      let low = ((bl << 13) | (bh >>> 19)) ^ al;
      bh = ((bh << 13) | (bl >>> 19)) ^ ah;
      bl = low;
      low = al;
      al = ah;
      ah = low;
      sum = (cl >>> 0) + (dl >>> 0);
      ch = (ch + dh + (sum > 0xffffffff ? 1 : 0)) | 0;
      cl = sum | 0;
      low = ((dl << 16) | (dh >>> 16)) ^ cl;
      dh = ((dh << 16) | (dl >>> 16)) ^ ch;
      dl = low;
      sum = (al >>> 0) + (dl >>> 0);
      ah = (ah + dh + (sum > 0xffffffff ? 1 : 0)) | 0;
      al = sum | 0;
      low = ((dl << 21) | (dh >>> 11)) ^ al;
      dh = ((dh << 21) | (dl >>> 11)) ^ ah;
      dl = low;
      sum = (cl >>> 0) + (bl >>> 0);
      ch = (ch + bh + (sum > 0xffffffff ? 1 : 0)) | 0;
      cl = sum | 0;
      low = ((bl << 17) | (bh >>> 15)) ^ cl;
      bh = ((bh << 17) | (bl >>> 15)) ^ ch;
      bl = low;
      low = cl;
      cl = ch;
      ch = low;
      if (!isFirst && round < taking) {
        al ^= ml;
        ah ^= mh;
      }
    }
    writeWord(al ^ bl ^ cl ^ dl, out, outStart);
    writeWord(ah ^ bh ^ ch ^ dh, out, outStart + 4);
  }
}

/** Up to four octets, little-endian. */
function word(bytes: Uint8Array, at: number, left: number): number {
  let value = 0;
  for (let i = 0; i < left && i < 4; i++) value |= (bytes[at + i] as number) << (8 * i);
  return value;
}

function writeWord(value: number, out: Uint8Array, at: number): void {
  for (let i = 0; i < 4; i++) out[at + i] = value >>> (8 * i);
}
