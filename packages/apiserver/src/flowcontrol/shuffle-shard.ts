import { createHash } from 'node:crypto';

/** Hash of a flow, from which its hand is dealt (upstream: hashFlowID). */
export function flowHash(schemaName: string, distinguisher: string): bigint {
  return createHash('sha256').update(`${schemaName}\0${distinguisher}`).digest().readBigUInt64LE(0);
}

/**
 * Deals `handSize` different cards of `deckSize` by a hash: two flows rarely get the same hand (upstream:
 * apiserver/pkg/util/shufflesharding).
 */
export function deal(hash: bigint, deckSize: number, handSize: number): number[] {
  const remainders: number[] = [];
  for (let left = hash, i = 0; i < handSize; i++) {
    const among = BigInt(deckSize - i);
    remainders.push(Number(left % among));
    left /= among;
  }
  return remainders.map((remainder, i) => {
    let card = remainder;
    // Each card counts among those that were left when it was dealt.
    for (let j = i - 1; j >= 0; j--) if (card >= (remainders[j] as number)) card++;
    return card;
  });
}
