import { metricFamily, type MetricSample } from '../prometheus.ts';
import type { HeartbeatReport } from './thread/heartbeat-elector.ts';

/** Prometheus text; names of our own, for MetalLB has no heartbeats. Empty when there are none. */
export function heartbeatMetrics(report: HeartbeatReport | undefined): string {
  if (!report) return '';
  const { counts, contests, state } = report;
  const labelled = (label: string, values: Readonly<Record<string, number>>): MetricSample[] =>
    Object.entries(values).map(([value, count]) => [{ [label]: value }, count]);
  return [
    metric('live', 'gauge', 'Whether this node may answer for addresses.', [[{}, state === 'live' ? 1 : 0]]),
    metric('heartbeats_sent_total', 'counter', 'Heartbeats sent.', [[{}, counts.sent]]),
    metric('heartbeats_received_total', 'counter', 'Heartbeats taken.', [[{}, counts.taken]]),
    metric(
      'heartbeats_refused_total',
      'counter',
      'Datagrams that were no heartbeat of a member.',
      labelled('reason', counts.refused),
    ),
    metric('silences_total', 'counter', 'Other nodes whose heartbeats stopped.', [[{}, counts.silences]]),
    metric(
      'rejoins_total',
      'counter',
      'Times this node answered nothing until it had rejoined.',
      labelled('reason', counts.rejoins),
    ),
    metric('contests_total', 'counter', 'Addresses that two nodes were seen to answer for.', [
      [{}, contests],
    ]),
  ].join('');
}

function metric(
  name: string,
  type: 'gauge' | 'counter',
  help: string,
  values: readonly MetricSample[],
): string {
  return metricFamily(`cloudless_layer2_${name}`, type, help, values);
}
