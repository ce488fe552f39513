import type { Clock } from '@cloudless/kube/clock';

/** A wait whose end may be moved. */
export interface Wait {
  readonly over: Promise<void>;
  /** It ends so many milliseconds from now, whatever was said before. */
  endIn(ms: number): void;
}

/** Waits for so long, or until the signal is aborted; leaves no timer. */
export function startWait(ms: number, clock: Clock, signal: AbortSignal): Wait {
  const { promise, resolve } = Promise.withResolvers<void>();
  let isOver = false;
  const end = (): void => {
    isOver = true;
    timer.cancel();
    signal.removeEventListener('abort', end);
    resolve();
  };
  let timer = clock.setTimeout(end, ms);
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  return {
    over: promise,
    endIn(laterMs) {
      if (isOver) return;
      timer.cancel();
      timer = clock.setTimeout(end, laterMs);
    },
  };
}
