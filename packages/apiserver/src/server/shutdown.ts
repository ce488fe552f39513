import type { Clock } from '@cloudless/kube/clock';
import type { HealthCheck } from '../http/health.ts';

/** Upstream's bound on requests under way at a stop; more is never waited. */
const longestDrainMs = 60_000;
const defaultDrainMs = 10_000;

export interface ShutdownOptions {
  clock: Clock;
  /** How long `/readyz` fails before connections are refused (upstream: `--shutdown-delay-duration`). Default 0. */
  delayMs?: number | undefined;
  /** How long requests under way may go on afterwards. Default 10 s, at most 60 s. */
  drainMs?: number | undefined;
}

/**
 * The steps of a server's end (upstream: server/genericapiserver.go): `/readyz` fails while everything is served on;
 * then nothing new comes in, watches end, and what is under way is finished; then the rest is cut.
 */
export class Shutdown {
  readonly #clock: Clock;
  readonly #delayMs: number;
  readonly drainMs: number;
  readonly #draining = new AbortController();
  #announcedMs: number | undefined;

  constructor({ clock, delayMs = 0, drainMs = defaultDrainMs }: ShutdownOptions) {
    this.#clock = clock;
    this.#delayMs = delayMs;
    this.drainMs = Math.min(drainMs, longestDrainMs);
  }

  /** Aborted when nothing new is taken any more. */
  get draining(): AbortSignal {
    return this.#draining.signal;
  }

  /** One line of `/readyz`. */
  readonly check: HealthCheck = {
    name: 'shutdown',
    check: () => {
      if (this.#announcedMs !== undefined) throw new Error('process is shutting down');
    },
  };

  /** Turns `/readyz` to 500, so that whoever balances load looks elsewhere. */
  announce(): void {
    this.#announcedMs ??= this.#clock.monotonicMs();
  }

  /** Waits until the delay since the announcement is over, then begins to drain. */
  async begin(): Promise<void> {
    this.announce();
    const leftMs = (this.#announcedMs ?? 0) + this.#delayMs - this.#clock.monotonicMs();
    if (leftMs > 0) await new Promise<void>((resolve) => void this.#clock.setTimeout(resolve, leftMs));
    this.#draining.abort();
  }
}
