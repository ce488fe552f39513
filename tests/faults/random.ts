export { random as randomFrom } from '@cloudless/kube/testing/random';

/** The seed of this run: `SEED` from the environment, otherwise a new one. */
export const seedOfRun = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
