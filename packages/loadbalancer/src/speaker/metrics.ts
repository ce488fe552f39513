import type { BgpSession, BgpSessionStatus } from '../bgp/bgp.ts';
import { metricFamily, type MetricSample } from '../prometheus.ts';

/** One Service's address that this node announces. */
export interface Announced {
  /** `namespace/name`. */
  service: string;
  protocol: 'layer2' | 'bgp';
  ip: string;
}

export interface SpeakerFigures {
  node: string;
  announced: readonly Announced[];
  sessions: ReadonlyArray<{ session: BgpSession; status: BgpSessionStatus }>;
  /** There was a good configuration. */
  configLoaded: boolean;
  /** The newest is not in force. */
  configStale: boolean;
  /** Changes of Services that were taken over. */
  updates: number;
}

/** Prometheus text by MetalLB's names (upstream: speaker/main.go, internal/k8s/controllers/stats.go). */
export function metricsText(figures: SpeakerFigures): string {
  const { node, sessions } = figures;
  const families = [
    metricFamily(
      'metallb_speaker_announced',
      'gauge',
      'Services that this node announces, as decided; whether routers have heard is another matter.',
      figures.announced.map(({ service, protocol, ip }) => [{ service, protocol, node, ip }, 1]),
    ),
    metricFamily('metallb_k8s_client_updates_total', 'counter', 'Changes of Services taken over.', [
      [{}, figures.updates],
    ]),
    metricFamily('metallb_k8s_client_config_loaded_bool', 'gauge', '1: there was a good configuration.', [
      [{}, Number(figures.configLoaded)],
    ]),
    metricFamily(
      'metallb_k8s_client_config_stale_bool',
      'gauge',
      '1: the newest configuration is not in force.',
      [[{}, Number(figures.configStale)]],
    ),
  ];
  return [...families, ...bfdFamilies(sessions)].join('');
}

/** MetalLB's counters of BFD (upstream: frr-tools/metrics/collector/bfd.go). */
const bfdCounters = [
  ['control_packet_input', 'BFD control packets received.', 'packetsReceived'],
  ['control_packet_output', 'BFD control packets sent.', 'packetsSent'],
  ['session_up_events', 'How often the BFD session came up.', 'ups'],
  ['session_down_events', 'How often the BFD session went down.', 'downs'],
] as const;

function bfdFamilies(sessions: SpeakerFigures['sessions']): string[] {
  const watched = sessions.flatMap(({ session, status }) => {
    const counters = session.bfdCounters();
    return counters
      ? [{ labels: { peer: session.peer.peerAddress }, isUp: status.bfd === 'Up', counters }]
      : [];
  });
  const up = watched.map(({ labels, isUp }): MetricSample => [labels, Number(isUp)]);
  return [
    metricFamily('metallb_bfd_session_up', 'gauge', '1: the BFD session is up.', up),
    ...bfdCounters.map(([name, help, counter]) =>
      metricFamily(
        `metallb_bfd_${name}`,
        'counter',
        help,
        watched.map(({ labels, counters }): MetricSample => [labels, counters[counter]]),
      ),
    ),
  ];
}
