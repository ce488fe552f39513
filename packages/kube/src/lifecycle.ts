/**
 * Every long-lived part of Cloudless is `start(options)` → a handle with `stop()`.
 *
 * Stopping is idempotent, waits for work in flight, and leaves no timer, socket or child behind, so that a
 * process ends by draining and never needs `process.exit`.
 */
export interface Running extends AsyncDisposable {
  /** Ends the part in an orderly way. Safe to call twice; both calls resolve when it has ended. */
  stop(): Promise<void>;
}

/** Makes a {@link Running} handle from one asynchronous stop function; runs it at most once. */
export function running(stop: () => Promise<void> | void): Running {
  let ended: Promise<void> | undefined;
  const once = (): Promise<void> => (ended ??= Promise.resolve().then(stop));
  return { stop: once, [Symbol.asyncDispose]: once };
}
