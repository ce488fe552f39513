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
  const all = [...sessions];
  if (all.length === 0) return '';
  const lines: string[] = [];
  const metric = (name: string, type: string, help: string, value: (session: BgpSession) => number): void => {
    lines.push(`# HELP metallb_bgp_${name} ${help}`, `# TYPE metallb_bgp_${name} ${type}`);
    for (const session of all)
      lines.push(
        `metallb_bgp_${name}{peer="${session.peer.peerAddress}:${session.peer.peerPort}"} ${value(session)}`,
      );
  };
  metric('session_up', 'gauge', '1 while the BGP session is established', (one) =>
    one.status().state === 'Established' ? 1 : 0,
  );
  metric(
    'announced_prefixes_total',
    'gauge',
    'Prefixes that the peer has been told',
    (one) => one.status().advertisedRoutes,
  );
  metric(
    'pending_prefixes_total',
    'gauge',
    'Prefixes that the peer is to be told',
    (one) => one.status().wantedRoutes ?? 0,
  );
  for (const [name, help, counter] of counters)
    metric(name, 'counter', help, (session) => session.counters()[counter]);
  return `${lines.join('\n')}\n`;
}
