import { Gauge, Registry } from 'prom-client';
import type { Zones } from '../zone/zones.ts';
import type { Content } from './content.ts';

/** Metrics of what is served; those of serving are the server's. */
export function contentMetrics(content: Content, zones: Zones): Registry {
  const registry = new Registry();
  const gauge = (name: string, help: string, value: () => number): void => {
    registry.registerMetric(
      new Gauge({
        name,
        help,
        registers: [],
        collect() {
          this.set(value());
        },
      }),
    );
  };
  const sum = (count: (zone: { won: { length: number }; lost: { length: number } }) => number): number => {
    let total = 0;
    for (const zone of content.composer.composed) total += count(zone);
    return total;
  };
  gauge('cloudless_dns_zones', 'Zones that are served.', () => zones.all.size);
  gauge('cloudless_dns_derived_record_sets', 'Record sets of objects that are served.', () =>
    sum(({ won }) => won.length),
  );
  gauge('cloudless_dns_lost_record_sets', 'Record sets of objects that are not served.', () =>
    sum(({ lost }) => lost.length),
  );
  gauge(
    'cloudless_dns_pending_zones',
    'Zones whose newest content waits for a serial.',
    () => content.publisher.pending.size,
  );
  gauge('cloudless_dns_ready', '1 once the first full sync is published.', () =>
    content.publisher.isReady ? 1 : 0,
  );
  registry.registerMetric(
    new Gauge({
      name: 'cloudless_dns_zone_serial',
      help: 'Serial of each zone.',
      labelNames: ['zone'],
      registers: [],
      collect() {
        this.reset();
        for (const [origin, { zone, isExpired }] of zones.all)
          if (!isExpired) this.set({ zone: `${origin}.` }, zone.serial);
      },
    }),
  );
  return registry;
}
