import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';

/** Kernel state that only an administrator would remove is compared with what it should be this often. */
const everyMs = 30_000;
const firstRetryMs = 500;

export interface Settling extends Running {
  /** Asks for a run; many requests become one. Resolves after a run that began after the call. Never rejects. */
  ask(): Promise<void>;
}

/**
 * Runs `settle` when asked, one run at a time; again with back-off when it failed (an `ip` command that met a busy
 * device, a link that is not up yet), and every 30 s as a safety net.
 */
export function startSettling(options: { settle(): Promise<void>; clock: Clock; log: Logger }): Settling {
  const { clock, log } = options;
  let work: Promise<void> = Promise.resolve();
  let queued: Promise<void> | undefined;
  let timer: ClockTimer | undefined;
  let retryMs = firstRetryMs;
  let ended = false;

  const run = async (): Promise<void> => {
    queued = undefined;
    if (ended) return;
    let againMs = everyMs;
    try {
      await options.settle();
      retryMs = firstRetryMs;
    } catch (error) {
      againMs = retryMs;
      retryMs = Math.min(retryMs * 2, everyMs);
      log.error(
        { err: String(error), againInMs: againMs },
        'could not set up this node’s addresses and routes',
      );
    }
    timer?.cancel();
    if (!ended) timer = clock.setTimeout(() => void ask(), againMs);
  };
  const ask = (): Promise<void> => {
    if (!queued) {
      queued = work.then(run);
      work = queued;
    }
    return queued;
  };
  return {
    ask,
    ...running(async () => {
      ended = true;
      timer?.cancel();
      await work;
    }),
  };
}
