/**
 * Restart back-off (upstream: client-go util/flowcontrol/backoff.go with kubelet's constants).
 *
 * The delay starts at 10 s, doubles at every restart to at most 5 min, and starts anew once the container has
 * run for 10 min without a restart.
 */
export interface BackoffEntry {
  readonly delayMs: number;
  /** When the delay was last raised, wall clock. */
  readonly updatedAtMs: number;
}

export interface BackoffLimits {
  readonly initialMs: number;
  readonly maximumMs: number;
}

/** Of containers that end, and of image pulls that fail. */
export const restartBackoff: BackoffLimits = { initialMs: 10_000, maximumMs: 300_000 };

/** True when what happened at `eventMs` is too long after the last raise for the entry to count. */
function expired(entry: BackoffEntry, eventMs: number, limits: BackoffLimits): boolean {
  return eventMs - entry.updatedAtMs > limits.maximumMs * 2;
}

/** The entry after one more restart, for a failure that happened at `eventMs`. */
export function raiseBackoff(
  entry: BackoffEntry | undefined,
  eventMs: number,
  nowMs: number,
  limits: BackoffLimits = restartBackoff,
): BackoffEntry {
  const delayMs =
    entry === undefined || expired(entry, eventMs, limits)
      ? limits.initialMs
      : Math.min(entry.delayMs * 2, limits.maximumMs);
  return { delayMs, updatedAtMs: nowMs };
}

/** When a new try is allowed after a failure at `eventMs`; at or before now when it is allowed at once. */
export function backoffUntilMs(
  entry: BackoffEntry | undefined,
  eventMs: number,
  limits: BackoffLimits = restartBackoff,
): number {
  if (entry === undefined || expired(entry, eventMs, limits)) return 0;
  return eventMs + entry.delayMs;
}

/** A duration as Go prints it: `10s`, `2m40s`, `5m0s`. */
export function goDuration(ms: number): string {
  if (ms === 0) return '0s';
  if (ms < 1000) return `${ms}ms`;
  const seconds = ms / 1000;
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  const rest = Math.round((seconds - hours * 3600 - minutes * 60) * 1000) / 1000;
  if (hours > 0) return `${hours}h${minutes}m${rest}s`;
  return minutes > 0 ? `${minutes}m${rest}s` : `${rest}s`;
}
