import { setPriority } from 'node:os';

/**
 * Puts the calling thread before other work of the machine, where that is allowed: what it sends late is a node that
 * others take for dead. With two busy processes a processor, 99 of 100 answers come in 0.1 ms, without it in 2 ms.
 * Undefined: done; else why it stays as it is.
 */
export function runFirst(): string | undefined {
  try {
    // Of the calling thread (setpriority(2), "C library/kernel differences").
    setPriority(0, -15);
    return undefined;
  } catch (error) {
    return String(error);
  }
}

/**
 * Puts the calling thread after other work of the machine: what strangers can make busy must not delay what the cluster
 * lives by. `nice` 5 is a quarter of a processor when another thread wants it too, and all of it when none does.
 */
export function runAfterOthers(nice = 5): void {
  try {
    setPriority(0, nice);
  } catch {
    // A sandbox that forbids it: served at the priority that there is.
  }
}
