/** How long the thread is held by work in slices before it turns to others. */
const sliceMs = 8;

/** Does work that yields where it may be left for a while, all at once. */
export function runAtOnce<T>(steps: Generator<void, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** Does such work, holding the thread for a few milliseconds at a time. Undefined: aborted. */
export async function runInSlices<T>(steps: Generator<void, T>, signal: AbortSignal): Promise<T | undefined> {
  let sliceEndMs = performance.now() + sliceMs;
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    if (performance.now() < sliceEndMs) continue;
    await new Promise((resolve) => void setImmediate(resolve));
    if (signal.aborted) return undefined;
    sliceEndMs = performance.now() + sliceMs;
  }
}
