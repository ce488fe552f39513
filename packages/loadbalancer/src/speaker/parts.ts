import type { Clock } from '@cloudless/kube/clock';
import { running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { BfdFactory } from '../bfd/bfd.ts';
import { reportConfigurationState } from '../config/configuration-state.ts';
import { watchConfiguration } from '../config/watch.ts';
import type { SpeakerParts } from './start.ts';

export interface SpeakerPartsOptions {
  clock: Clock;
  log: Logger;
  /** Where the objects of `metallb.io` are; undefined: in all namespaces. */
  configurationNamespace?: string | undefined;
  /** Of the ConfigurationState `speaker-NODE`, and the node's name. */
  state: { namespace: string; nodeName: string };
  /** Interfaces that are never answered on (upstream: ConfigMap metallb-excludel2). */
  excludeInterfaces?: RegExp | undefined;
}

/** The parts of a real speaker; layer 2, gossip and BGP are loaded when they have something to do. */
export function speakerParts(options: SpeakerPartsOptions): SpeakerParts {
  const { clock, log, configurationNamespace: namespace, excludeInterfaces } = options;
  return {
    layer2: async ({ nodeName, nodeAddress, key, sticky }) => {
      const { startLayer2 } = await import('../layer2/start.ts');
      const exclude = excludeInterfaces === undefined ? {} : { excludeInterfaces };
      const heartbeat = { address: nodeAddress, sticky, gossipKey: key };
      return startLayer2({ nodeName, clock, log, heartbeat, ...exclude });
    },
    gossip: async (gossip) => (await import('../gossip/start.ts')).startGossip(gossip),
    bgp: async ({ nodeName }) => {
      const [{ startBgpSession }, { routesForPeers }, { bgpMetrics }, { startBfdSession }] =
        await Promise.all([
          import('../bgp/session.ts'),
          import('../bgp/routes.ts'),
          import('../bgp/metrics.ts'),
          import('../bfd/session.ts'),
        ]);
      return {
        routes: routesForPeers,
        metrics: bgpMetrics,
        session: (peer, profile) => {
          const bfd: BfdFactory | undefined =
            profile && ((ends) => startBfdSession({ ...ends, profile, clock, log }));
          return startBgpSession({ peer, nodeName, bfd, clock, log });
        },
      };
    },
    configuration: (client, { nodeName, namespace: stateNamespace }) => {
      const watch = watchConfiguration({ client, namespace, clock, log });
      const part = { speakerOf: nodeName };
      const state = reportConfigurationState({ client, watch, namespace: stateNamespace, part, clock, log });
      return {
        get config() {
          return watch.config;
        },
        get problems() {
          return watch.problems;
        },
        subscribe: (listener) => watch.subscribe(listener),
        ...running(async () => {
          await state.stop();
          await watch.stop();
        }),
      };
    },
  };
}
