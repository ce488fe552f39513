import type { ChildMessage } from '../supervisor/child.ts';

/** Tells the supervisor, when there is one. */
export function report(message: ChildMessage): void {
  if (process.connected) process.send?.(message);
}

/** How a process is told to end. */
export interface StopRequest {
  /** `stop-pods`: the node's pods end too. */
  mode: 'leave-pods' | 'stop-pods';
}

/**
 * Resolves when this process shall end: SIGTERM or SIGINT leave pods running, SIGUSR2 ends them. The loss of the
 * supervisor ends the process as SIGTERM does, so that no orphan holds a port.
 */
export function stopRequested(): Promise<StopRequest> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      process.once(signal, () => resolve({ mode: 'leave-pods' }));
    process.once('SIGUSR2', () => resolve({ mode: 'stop-pods' }));
    process.once('disconnect', () => resolve({ mode: 'leave-pods' }));
  });
}
