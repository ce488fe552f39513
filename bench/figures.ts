// A process measures itself.
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';

/** What this process went through since it was last asked. */
export interface Figures {
  /** Milliseconds by which a timer was late, at the 99th and 50th percentile, and the worst. */
  delayMs: { p50: number; p99: number; max: number };
  gc: { pauses: number; totalMs: number; maxMs: number };
  /**
   * Milliseconds in which the main thread could have run and had no processor: what other processes, or this one's own
   * threads, took from it. 0 where the kernel does not tell.
   */
  waitedMs: number;
  /** Processor time as a share of one core. */
  cpu: number;
  residentBytes: number;
  heapBytes: number;
  externalBytes: number;
}

const delayResolutionMs = 5;

/** What the main thread has waited for a processor since it began (proc(5): /proc/PID/schedstat, its second number). */
function runDelayMs(): number {
  try {
    return Number(readFileSync('/proc/self/schedstat', 'utf8').split(' ')[1]) / 1e6;
  } catch {
    return 0;
  }
}

/** Begins to measure this process; the result answers with the figures since the last call. */
export function measure(): () => Figures {
  const delay = monitorEventLoopDelay({ resolution: delayResolutionMs });
  delay.enable();
  let pauses: number[] = [];
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) pauses.push(duration);
  }).observe({ entryTypes: ['gc'] });
  let cpu = process.cpuUsage();
  let waitedMs = runDelayMs();
  let sinceMs = performance.now();
  return () => {
    const used = process.cpuUsage(cpu);
    const elapsedMs = performance.now() - sinceMs;
    const late = (ns: number): number => Math.max(0, ns / 1e6 - delayResolutionMs);
    const { heapUsed, external } = process.memoryUsage();
    const result: Figures = {
      delayMs: { p50: late(delay.percentile(50)), p99: late(delay.percentile(99)), max: late(delay.max) },
      gc: {
        pauses: pauses.length,
        totalMs: pauses.reduce((sum, ms) => sum + ms, 0),
        maxMs: Math.max(0, ...pauses),
      },
      waitedMs: runDelayMs() - waitedMs,
      cpu: (used.user + used.system) / 1000 / elapsedMs,
      residentBytes: process.memoryUsage.rss(),
      heapBytes: heapUsed,
      externalBytes: external,
    };
    delay.reset();
    pauses = [];
    cpu = process.cpuUsage();
    waitedMs = runDelayMs();
    sinceMs = performance.now();
    return result;
  };
}
