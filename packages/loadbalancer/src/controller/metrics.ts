import { metricFamily, type MetricSample } from '../prometheus.ts';
import type { PoolCounts } from './allocator.ts';

export interface ControllerFigures {
  readonly pools: ReadonlyArray<readonly [name: string, counts: PoolCounts]>;
  /** Services that were looked at, and looks that ended without an address or in an error. */
  readonly updates: number;
  readonly updateErrors: number;
  readonly configLoaded: boolean;
  readonly configStale: boolean;
}

/** Prometheus text by MetalLB's names (internal/allocator/stats.go, internal/k8s/controllers/stats.go). */
export function controllerMetrics(figures: ControllerFigures): string {
  const perPool = (value: (counts: PoolCounts) => number): MetricSample[] =>
    figures.pools.map(([pool, counts]) => [{ pool }, value(counts)]);
  const gauge = (name: string, help: string, value: (counts: PoolCounts) => number): string =>
    metricFamily(`metallb_allocator_${name}`, 'gauge', help, perPool(value));
  const client = (name: string, type: 'gauge' | 'counter', help: string, value: number): string =>
    metricFamily(`metallb_k8s_client_${name}`, type, help, [[{}, value]]);
  return [
    gauge('addresses_total', 'Addresses a pool may give out.', (of) =>
      Number(of.capacityIPv4 + of.capacityIPv6),
    ),
    gauge('ipv4_addresses_total', 'IPv4 addresses a pool may give out.', (of) => Number(of.capacityIPv4)),
    gauge('ipv6_addresses_total', 'IPv6 addresses a pool may give out.', (of) => Number(of.capacityIPv6)),
    gauge('addresses_in_use_total', 'Addresses of a pool in use.', (of) => of.assignedIPv4 + of.assignedIPv6),
    gauge('ipv4_addresses_in_use_total', 'IPv4 addresses of a pool in use.', (of) => of.assignedIPv4),
    gauge('ipv6_addresses_in_use_total', 'IPv6 addresses of a pool in use.', (of) => of.assignedIPv6),
    gauge('services_allocated_total', 'Services with addresses of a pool.', (of) => of.services),
    client('updates_total', 'counter', 'Services looked at.', figures.updates),
    client(
      'update_errors_total',
      'counter',
      'Services left without an address, or not written.',
      figures.updateErrors,
    ),
    client('config_loaded_bool', 'gauge', '1: there was a good configuration.', Number(figures.configLoaded)),
    client(
      'config_stale_bool',
      'gauge',
      '1: the newest configuration is not in force.',
      Number(figures.configStale),
    ),
  ].join('');
}
