import { type Clock, sleep } from '@cloudless/kube/clock';
import { MachineError } from '../machine.ts';

/** A store may start together with this machine, or as a static pod of this very node: it is waited for so long. */
const waitMs = 60_000;
const againMs = 500;

export interface AwaitStoreOptions<T> {
  /** One attempt. */
  open: () => Promise<T>;
  /** Why it failed, when that may pass by itself; throws what waiting cannot mend. */
  mayPass: (error: unknown) => string;
  /** The flag that names the store, for the error when it is waited for in vain. */
  flag: string;
  clock: Clock;
  /** Aborted when nobody wants the store any more. */
  signal: AbortSignal;
  /** Told once, when the store does not answer at once. */
  onWaiting: (why: string) => void;
}

/**
 * Opens a store that may not be there yet. Undefined when nobody wants it any more.
 *
 * @throws MachineError when it did not come; what `mayPass` throws
 */
export async function awaitStore<T>(options: AwaitStoreOptions<T>): Promise<T | undefined> {
  const { open, mayPass, flag, clock, signal, onWaiting } = options;
  const untilMs = clock.monotonicMs() + waitMs;
  let said = false;
  while (!signal.aborted) {
    try {
      return await open();
    } catch (error) {
      if (signal.aborted) return undefined;
      const why = mayPass(error);
      if (clock.monotonicMs() > untilMs)
        throw new MachineError(`${flag}: waited ${waitMs / 1000} s in vain, ${why}`);
      if (!said) onWaiting(why);
      said = true;
    }
    await sleep(clock, againMs, signal);
  }
  return undefined;
}
