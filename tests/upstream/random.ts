import { createHash } from 'node:crypto';

/** A number in [0, 1) that belongs to `text` under `seed`: adding a case does not change what others get. */
export function fraction(seed: number, text: string): number {
  return createHash('sha256').update(`${seed} ${text}`).digest().readUInt32BE(0) / 2 ** 32;
}

/** One of `choices`, by seed and text. */
export const choose = <T>(seed: number, text: string, choices: readonly T[]): T =>
  choices[Math.floor(fraction(seed, text) * choices.length)] as T;

/** At most `count` of `all`, chosen by seed, in their order. */
export function sample<T>(seed: number, all: readonly T[], count: number, nameOf: (one: T) => string): T[] {
  if (all.length <= count) return [...all];
  const ranked = all.map((one, index) => ({ one, index, rank: fraction(seed, nameOf(one)) }));
  ranked.sort((a, b) => a.rank - b.rank);
  return ranked
    .slice(0, count)
    .sort((a, b) => a.index - b.index)
    .map(({ one }) => one);
}
