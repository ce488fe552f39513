/** Results of decisions, as upstream's label `result`. */
export type AttemptResult = 'scheduled' | 'unschedulable' | 'error';

/** Upper bounds in seconds (upstream: scheduler_pod_scheduling_sli_duration_seconds, its first ones). */
const boundsSeconds = Array.from({ length: 15 }, (_, i) => 0.01 * 2 ** i);

export interface SchedulerMetrics {
  count(result: AttemptResult): void;
  /** A pod was bound so long after it appeared. */
  scheduled(seconds: number): void;
  /** In Prometheus' text format, under upstream's names. */
  text(): string;
}

export function newMetrics(): SchedulerMetrics {
  const attempts: Record<AttemptResult, number> = { scheduled: 0, unschedulable: 0, error: 0 };
  const counts = boundsSeconds.map(() => 0);
  let sum = 0;
  return {
    count: (result) => void attempts[result]++,
    scheduled: (seconds) => {
      attempts.scheduled++;
      sum += seconds;
      boundsSeconds.forEach((bound, i) => {
        if (seconds <= bound) counts[i] = (counts[i] as number) + 1;
      });
    },
    text: () => {
      const duration = 'scheduler_pod_scheduling_sli_duration_seconds';
      return [
        '# HELP scheduler_schedule_attempts_total Decisions by result.',
        '# TYPE scheduler_schedule_attempts_total counter',
        ...Object.entries(attempts).map(
          ([result, count]) => `scheduler_schedule_attempts_total{result="${result}"} ${count}`,
        ),
        `# HELP ${duration} Time from a pod's first turn in the queue to its binding.`,
        `# TYPE ${duration} histogram`,
        ...boundsSeconds.map((bound, i) => `${duration}_bucket{le="${bound}"} ${counts[i]}`),
        `${duration}_bucket{le="+Inf"} ${attempts.scheduled}`,
        `${duration}_sum ${sum}`,
        `${duration}_count ${attempts.scheduled}`,
        '',
      ].join('\n');
    },
  };
}
