import { metricFamily } from '../prometheus.ts';
import type { AddressCounters } from './counters.ts';

const metrics: ReadonlyArray<
  readonly [name: string, help: string, of: (counters: AddressCounters) => number]
> = [
  [
    'metallb_layer2_requests_received',
    'ARP requests and neighbour solicitations heard for addresses that this node answers for.',
    (counters) => counters.received,
  ],
  [
    'metallb_layer2_responses_sent',
    'Answers sent to ARP requests and neighbour solicitations.',
    (counters) => counters.sent,
  ],
  [
    'metallb_layer2_gratuitous_sent',
    'Announcements sent unasked after this node took an address over.',
    (counters) => counters.gratuitous,
  ],
];

/** Prometheus text under upstream's names (internal/layer2/stats.go). */
export function layer2Metrics(counters: Iterable<AddressCounters>): string {
  const list = [...counters];
  return metrics
    .map(([name, help, of]) =>
      metricFamily(
        name,
        'counter',
        help,
        list.map((one) => [{ ip: one.address }, of(one)]),
      ),
    )
    .join('');
}
