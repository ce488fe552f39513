import { setImmediate } from 'node:timers/promises';

/** Longer than this, and requests and watches that wait would notice. */
const sliceMs = 5;

/** Cuts long work into slices: whoever works calls `breathe` often, and lets the event loop turn when it is time. */
export class Slices {
  #since = performance.now();

  async breathe(): Promise<void> {
    if (performance.now() - this.#since < sliceMs) return;
    await setImmediate();
    this.#since = performance.now();
  }
}
