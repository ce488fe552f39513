/**
 * The Huffman code of header strings (RFC 7541, appendix B). It is canonical: codes of one length follow each other in
 * the order of their symbols, so that the lengths alone make it.
 */

/** Bits of the code of each byte; that of the end of a string, which may not occur inside one, has 30. */
const codeBits = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28,
  28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7,
  8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19,
  13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13,
  28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21,
  22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23,
  22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25,
  25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
] as const;
const endBits = 30;
const endSymbol = 256;
/** A string ends within a byte, filled up with the beginning of the end's code: ones. */
const maxPaddingBits = 7;

/** Two children a node: what follows a 0 and a 1. Negative: the symbol, complemented. Nodes begin at 0, absent is 0. */
const tree: Int16Array = makeTree();

function makeTree(): Int16Array {
  const children = new Int16Array(2 * (codeBits.length + 1));
  const symbols = [...codeBits, endBits]
    .map((bits, symbol) => ({ bits, symbol }))
    .sort((a, b) => a.bits - b.bits || a.symbol - b.symbol);
  let nodes = 1;
  let code = 0;
  let length = 0;
  for (const { bits, symbol } of symbols) {
    code <<= bits - length;
    length = bits;
    let node = 0;
    for (let bit = bits - 1; bit > 0; bit--) {
      const edge = 2 * node + ((code >>> bit) & 1);
      if (children[edge] === 0) children[edge] = nodes++;
      node = children[edge] as number;
    }
    children[2 * node + (code & 1)] = ~symbol;
    code++;
  }
  return children;
}

/** The string of these bytes, a character a byte; undefined for what is no such code. */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number): string | undefined {
  const codes: number[] = [];
  let node = 0;
  let bits = 0;
  let ones = true;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number;
    for (let shift = 7; shift >= 0; shift--) {
      const bit = (byte >>> shift) & 1;
      const next = tree[2 * node + bit] as number;
      bits++;
      ones &&= bit === 1;
      if (next > 0) {
        node = next;
        continue;
      }
      if (~next === endSymbol) return undefined;
      codes.push(~next);
      node = 0;
      bits = 0;
      ones = true;
    }
  }
  if (bits > maxPaddingBits || !ones) return undefined;
  return codes.length < 4096 ? String.fromCharCode(...codes) : Buffer.from(codes).toString('latin1');
}
