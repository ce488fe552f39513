import { type Clock, sleep } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';

const retryMs = 5000;

/** Makes `attempt` until it succeeds or `signal` aborts; a failure is logged with `what`, e.g. `the namespace x`. */
export async function untilDone(
  options: { clock: Clock; log: Logger; signal: AbortSignal },
  what: string,
  attempt: () => Promise<void>,
): Promise<void> {
  const { clock, log, signal } = options;
  while (!signal.aborted) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- one try after the other
      await attempt();
      return;
    } catch (error) {
      if (signal.aborted) return;
      log.warn({ err: error, retryMs }, `could not provide ${what}; tried again`);
    }
    // oxlint-disable-next-line no-await-in-loop
    await sleep(clock, retryMs, signal);
  }
}
