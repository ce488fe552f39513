import { Counter, Histogram, Registry } from 'prom-client';
import { rcodeName } from './wire/types.ts';

/** Metrics under CoreDNS's names (plugin/metrics). */
export interface DnsMetrics {
  readonly registry: Registry;
  /** `plugin`: which one answered; `none`: nobody may, or nobody does. */
  answered(code: number, plugin: string, tookMs: number): void;
}

/** A registry with the DNS server's metrics. */
export function dnsMetrics(): DnsMetrics {
  const registry = new Registry();
  const responses = new Counter({
    name: 'coredns_dns_responses_total',
    help: 'Answers by response code and by where they came from.',
    labelNames: ['rcode', 'plugin'],
    registers: [registry],
  });
  const duration = new Histogram({
    name: 'coredns_dns_request_duration_seconds',
    help: 'Time from query to answer.',
    labelNames: ['plugin'],
    buckets: [0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.064, 0.256, 1, 2, 4],
    registers: [registry],
  });
  // Looking labels up for each answer would cost more than answering from memory.
  const counters = new Map<string, Counter.Internal>();
  const timers = new Map<string, Histogram.Internal<'plugin'>>();
  return {
    registry,
    answered(code, plugin, tookMs) {
      const key = `${code} ${plugin}`;
      let counter = counters.get(key);
      if (!counter) counters.set(key, (counter = responses.labels({ rcode: rcodeName(code), plugin })));
      let timer = timers.get(plugin);
      if (!timer) timers.set(plugin, (timer = duration.labels({ plugin })));
      counter.inc();
      timer.observe(tookMs / 1000);
    },
  };
}
