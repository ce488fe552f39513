import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { rcodeName } from '../wire/types.ts';

/** What forwarding tells of itself, under CoreDNS's names (plugin/forward, plugin/pkg/proxy). */
export interface ForwardMetrics {
  answered(to: string, code: number, tookMs: number): void;
  /** A connection was needed; `kept`: there was one. */
  connected(to: string, protocol: 'tcp' | 'tcp-tls', kept: boolean): void;
  healthCheckFailed(to: string): void;
  /** Every server is suspected. */
  allBroken(): void;
  tooMany(): void;
}

export function forwardMetrics(registry: Registry): ForwardMetrics {
  const registers = [registry];
  const proxyName = { proxy_name: 'forward' };
  const duration = new Histogram({
    name: 'coredns_proxy_request_duration_seconds',
    help: 'Time of one question to one server upstream.',
    labelNames: ['proxy_name', 'to', 'rcode'],
    buckets: [0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.064, 0.256, 1, 2, 4],
    registers,
  });
  const requests = new Counter({
    name: 'coredns_forward_requests_total',
    help: 'Questions that a server upstream answered.',
    labelNames: ['to'],
    registers,
  });
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> =>
    new Counter({ name, help, labelNames, registers });
  const failures = counter(
    'coredns_proxy_healthcheck_failures_total',
    'Servers upstream looked after in vain.',
    ['proxy_name', 'to'],
  );
  const oldFailures = counter(
    'coredns_forward_healthcheck_failures_total',
    'The same, as it was called before.',
    ['to'],
  );
  const hits = counter('coredns_proxy_conn_cache_hits_total', 'Connections that were there.', [
    'proxy_name',
    'to',
    'proto',
  ]);
  const misses = counter('coredns_proxy_conn_cache_misses_total', 'Connections that were made.', [
    'proxy_name',
    'to',
    'proto',
  ]);
  const broken = counter(
    'coredns_forward_healthcheck_broken_total',
    'Questions while every server was suspected.',
    [],
  );
  const rejects = counter(
    'coredns_forward_max_concurrent_rejects_total',
    'Questions over max_concurrent.',
    [],
  );
  return {
    answered(to, code, tookMs) {
      duration.observe({ ...proxyName, to, rcode: rcodeName(code) }, tookMs / 1000);
      requests.inc({ to });
    },
    connected: (to, proto, kept) => (kept ? hits : misses).inc({ ...proxyName, to, proto }),
    healthCheckFailed(to) {
      failures.inc({ ...proxyName, to });
      oldFailures.inc({ to });
    },
    allBroken: () => broken.inc(),
    tooMany: () => rejects.inc(),
  };
}

/** What the cache counts; plain numbers, as they change with every query. */
export class CacheCounts {
  hits = { success: 0, denial: 0, error: 0 };
  misses = 0;
  requests = 0;
  prefetches = 0;
  servedStale = 0;
  evictions = { success: 0, denial: 0, error: 0 };
}

const cacheTypes = ['success', 'denial'] as const;

/** Publishes the counts under CoreDNS's names (plugin/cache). Failures are counted with denials. */
export function cacheMetrics(
  registry: Registry,
  counts: CacheCounts,
  entries: () => { success: number; denial: number },
): void {
  const registers = [registry];
  const total = (name: string, help: string, read: () => number): void => {
    const counter: Counter = new Counter({
      name,
      help,
      registers,
      collect() {
        counter.reset();
        counter.inc(read());
      },
    });
  };
  total('coredns_cache_requests_total', 'Questions that the cache was asked.', () => counts.requests);
  total('coredns_cache_misses_total', 'Questions that it could not answer.', () => counts.misses);
  total(
    'coredns_cache_prefetch_total',
    'Answers fetched before their time was over.',
    () => counts.prefetches,
  );
  total('coredns_cache_served_stale_total', 'Answers given after their time.', () => counts.servedStale);
  const byType = (name: string, help: string, read: (type: 'success' | 'denial') => number): void => {
    const counter: Counter<'type'> = new Counter({
      name,
      help,
      labelNames: ['type'],
      registers,
      collect() {
        counter.reset();
        for (const type of cacheTypes) counter.inc({ type }, read(type));
      },
    });
  };
  const withErrors = (values: CacheCounts['hits'], type: 'success' | 'denial'): number =>
    values[type] + (type === 'denial' ? values.error : 0);
  byType('coredns_cache_hits_total', 'Questions that it answered.', (type) => withErrors(counts.hits, type));
  byType('coredns_cache_evictions_total', 'Answers dropped for others.', (type) =>
    withErrors(counts.evictions, type),
  );
  const gauge: Gauge<'type'> = new Gauge({
    name: 'coredns_cache_entries',
    help: 'Answers that are kept.',
    labelNames: ['type'],
    registers,
    collect() {
      const now = entries();
      for (const type of cacheTypes) gauge.set({ type }, now[type]);
    },
  });
}
