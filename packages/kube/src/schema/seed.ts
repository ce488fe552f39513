// Property tests import this for its effect: SEED repeats a run (a failure prints its seed), ITERATIONS sets how many
// cases each property tries where it does not say itself.
import * as fc from 'fast-check';

const { SEED: seed, ITERATIONS: iterations } = process.env;
fc.configureGlobal({
  ...(seed === undefined ? {} : { seed: Number(seed) }),
  ...(iterations === undefined ? {} : { numRuns: Number(iterations) }),
});
