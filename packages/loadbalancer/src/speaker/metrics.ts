import type { BgpSession, BgpSessionStatus } from '../bgp/bgp.ts';

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
  const lines = [
    ...family(
      'metallb_speaker_announced',
      'gauge',
      'Services that this node announces, as decided; whether routers have heard is another matter.',
      figures.announced.map(({ service, protocol, ip }) => [{ service, protocol, node, ip }, 1]),
    ),
    ...family('metallb_k8s_client_updates_total', 'counter', 'Changes of Services taken over.', [
      [{}, figures.updates],
    ]),
    ...family('metallb_k8s_client_config_loaded_bool', 'gauge', '1: there was a good configuration.', [
      [{}, Number(figures.configLoaded)],
    ]),
    ...family(
      'metallb_k8s_client_config_stale_bool',
      'gauge',
      '1: the newest configuration is not in force.',
      [[{}, Number(figures.configStale)]],
    ),
  ];
  const bfd: Sample[] = sessions
    .filter(({ status }) => status.bfd !== undefined)
    .map(({ session, status }) => [{ peer: session.peer.peerAddress }, Number(status.bfd === 'Up')]);
  lines.push(...family('metallb_bfd_session_up', 'gauge', '1: the BFD session is up.', bfd));
  return lines.join('\n');
}

type Sample = [labels: Record<string, string>, value: number];

function family(name: string, type: 'gauge' | 'counter', help: string, samples: readonly Sample[]): string[] {
  if (samples.length === 0) return [];
  return [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${type}`,
    ...samples.map(([labels, value]) => {
      const text = Object.entries(labels)
        .map(
          ([key, label]) => `${key}="${label.replace(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`))}"`,
        )
        .join(',');
      return `${name}${text === '' ? '' : `{${text}}`} ${value}`;
    }),
  ];
}
