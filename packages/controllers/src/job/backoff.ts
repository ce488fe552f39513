import type { Clock } from '@cloudless/kube/clock';
import type { Pod } from '@cloudless/kube/types/core-v1';
import { parseTime } from '@cloudless/kube/time';

/** Upstream: DefaultJobPodFailureBackOff, MaxJobPodFailureBackOff. */
const baseMs = 10_000;
const maxMs = 600_000;

/** When a pod came to its end, as its containers tell; or now. */
export function endedAtMs(pod: Pod, nowMs: number): number {
  const ends = (pod.status?.containerStatuses ?? []).map((one) =>
    parseTime(one.state?.terminated?.finishedAt),
  );
  const known = ends.filter((ms) => !Number.isNaN(ms));
  return known.length > 0 ? Math.max(...known) : nowMs;
}

/** How long a Job waits before it replaces failed pods: 10 s doubling to 10 min, from the last success on. */
export class FailureBackoff {
  readonly #clock: Clock;
  readonly #jobs = new Map<string, { failures: number; lastMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes in pods that ended since the last time. */
  note(uid: string, failed: readonly Pod[], succeeded: number): void {
    if (succeeded > 0) this.#jobs.delete(uid);
    if (failed.length === 0) return;
    const nowMs = this.#clock.nowMs();
    const lastMs = Math.max(...failed.map((pod) => endedAtMs(pod, nowMs)));
    this.#jobs.set(uid, { failures: (this.#jobs.get(uid)?.failures ?? 0) + failed.length, lastMs });
  }

  /** Milliseconds still to wait. */
  waitMs(uid: string): number {
    const job = this.#jobs.get(uid);
    if (!job) return 0;
    const delayMs = Math.min(maxMs, baseMs * 2 ** (job.failures - 1));
    return Math.max(0, Math.min(delayMs, job.lastMs + delayMs - this.#clock.nowMs()));
  }

  forget(uid: string): void {
    this.#jobs.delete(uid);
  }
}
