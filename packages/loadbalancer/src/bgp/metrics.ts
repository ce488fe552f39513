import { type MetricSample, metricFamily } from '../prometheus.ts';
import type { BgpCounters, BgpSession } from './bgp.ts';

/** Counters under the names of MetalLB's FRR exporter. */
const counters: ReadonlyArray<readonly [name: string, help: string, counter: keyof BgpCounters]> = [
  ['updates_total', 'BGP UPDATE messages sent', 'updatesSent'],
  ['updates_total_received', 'BGP UPDATE messages received', 'updatesReceived'],
  ['opens_sent', 'BGP OPEN messages sent', 'opensSent'],
  ['opens_received', 'BGP OPEN messages received', 'opensReceived'],
  ['keepalives_sent', 'BGP KEEPALIVE messages sent', 'keepalivesSent'],
  ['keepalives_received', 'BGP KEEPALIVE messages received', 'keepalivesReceived'],
  ['notifications_sent', 'BGP NOTIFICATION messages sent', 'notificationsSent'],
];

/** Prometheus text of all sessions, under MetalLB's names and with its label `peer`, `address:port`. */
export function bgpMetrics(sessions: Iterable<BgpSession>): string {
  const all = [...sessions].map((session) => ({
    labels: { peer: `${session.peer.peerAddress}:${session.peer.peerPort}` },
    status: session.status(),
    counters: session.counters(),
  }));
  const gauge = (name: string, help: string, value: (one: (typeof all)[number]) => number): string =>
    metricFamily(
      `metallb_bgp_${name}`,
      'gauge',
      help,
      all.map((one): MetricSample => [one.labels, value(one)]),
    );
  return [
    gauge('session_up', '1 while the BGP session is established', ({ status }) =>
      Number(status.state === 'Established'),
    ),
    gauge('announced_prefixes_total', 'Prefixes that the peer has been told', ({ status }) => {
      return status.advertisedRoutes;
    }),
    gauge('pending_prefixes_total', 'Prefixes that the peer is to be told', ({ status }) => {
      return status.wantedRoutes ?? 0;
    }),
    ...counters.map(([name, help, counter]) =>
      metricFamily(
        `metallb_bgp_${name}`,
        'counter',
        help,
        all.map((one): MetricSample => [one.labels, one.counters[counter]]),
      ),
    ),
  ].join('');
}
