import { Counter, Histogram, Registry } from 'prom-client';

/** Metrics under CoreDNS's names (plugin/metrics). */
export interface DnsMetrics {
  readonly registry: Registry;
  answered(code: number, source: 'cluster' | 'forward', tookMs: number): void;
}

const codeNames: Record<number, string> = {
  0: 'NOERROR',
  1: 'FORMERR',
  2: 'SERVFAIL',
  3: 'NXDOMAIN',
  4: 'NOTIMP',
  5: 'REFUSED',
};

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
  return {
    registry,
    answered(code, source, tookMs) {
      const plugin = source === 'cluster' ? 'kubernetes' : 'forward';
      responses.inc({ rcode: codeNames[code] ?? String(code), plugin });
      duration.observe({ plugin }, tookMs / 1000);
    },
  };
}
