/** Reproducible numbers in [0, 1) (mulberry32): a failed run is repeated by its seed. */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** The seed of this run: `SEED` from the environment, otherwise a new one. */
export const seedOfRun = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
