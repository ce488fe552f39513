/** Upper bounds in seconds, those of etcd's etcd_disk_wal_fsync_duration_seconds: 1 ms doubling to 8.192 s. */
const boundsSeconds = Array.from({ length: 14 }, (_, i) => 0.001 * 2 ** i);

/** How long flushes took: a histogram. */
export class FlushTimes {
  readonly #counts = boundsSeconds.map(() => 0);
  count = 0;
  sum = 0;

  observe(seconds: number): void {
    this.count++;
    this.sum += seconds;
    const at = boundsSeconds.findIndex((bound) => seconds <= bound);
    if (at >= 0) this.#counts[at] = (this.#counts[at] as number) + 1;
  }

  /** Cumulative, as Prometheus wants them. */
  buckets(): Array<{ le: number; count: number }> {
    let count = 0;
    return boundsSeconds.map((le, i) => ({ le, count: (count += this.#counts[i] as number) }));
  }
}
