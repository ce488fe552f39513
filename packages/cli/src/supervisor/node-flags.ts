/** What every process is started with. */
const common: readonly string[] = ['--disable-warning=ExperimentalWarning'];

/**
 * The control plane's heap may grow by 30% before its garbage is looked for; by V8's own rule a heap of 200 MB grows by
 * far more, and the buffers of objects that were replaced meanwhile stay with it. With 10,000 pods that is 635 instead of
 * 737 MB resident, for one collection in ten more (bench/RESULTS.md). New objects get half of V8's own room: 49 MB less of
 * 1,178 with 30,000 pods, for the same time in collections.
 */
export const controlPlaneFlags: readonly string[] = [
  ...common,
  '--heap-growing-percent=30',
  '--max-semi-space-size=16',
];

/** Flags for Node of a child process. */
export const nodeFlagsOf = (child: string): readonly string[] =>
  child === 'control-plane' ? controlPlaneFlags : common;
