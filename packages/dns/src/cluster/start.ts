import { type Running, running } from '@cloudless/kube/lifecycle';
import type { KubeClient } from '@cloudless/kube/client/client';
import { serveHealth } from '@cloudless/kube/health';
import type { Logger } from '@cloudless/kube/logger';
import { watchAccess } from './access.ts';
import { watchCorefile } from './corefile-watch.ts';
import { Networks, privateNetworks } from './networks.ts';
import { Responder } from './responder.ts';
import { ServerBlocks } from './server-blocks.ts';
import { watchCluster } from './watch.ts';
import type { CorefileConfig } from '../corefile/config.ts';
import { defaultCorefile } from '../corefile/default.ts';
import { LoopWatch } from '../forward/loop.ts';
import { CacheCounts, cacheMetrics, forwardMetrics } from '../forward/metrics.ts';
import { dnsMetrics } from '../metrics.ts';
import type { Handler } from '../server/listener.ts';

export interface ClusterDnsOptions {
  client: KubeClient;
  /** Addresses to answer on; each is bound by itself. */
  addresses: readonly string[];
  port: number;
  /** Port of health and metrics, on loopback. */
  healthPort: number;
  /** Where that is, instead of loopback: probes of a pod come from its node. */
  healthAddress?: string | undefined;
  clusterDomain: string;
  /** Where the upstream servers are read from, unless a Corefile says otherwise. */
  resolvConf: string;
  /** ClusterIP of the kube-dns Service: never asked as an upstream. */
  clusterIp: string;
  /**
   * Networks that may ask besides loopback, `addresses`, the nodes and the ranges of their pods. Everybody else is
   * refused, for names of the cluster too. Default: every range that is private.
   */
  allowFrom?: readonly string[] | undefined;
  /** Ranges of Services and pods: reverse names of addresses in them are denied here and never asked for elsewhere. */
  clusterNetworks?: readonly string[] | undefined;
  /** What `{$NAME}` in a Corefile may refer to. Default: nothing. */
  environment?: Readonly<Record<string, string | undefined>> | undefined;
  log: Logger;
}

export interface ClusterDns extends Running {
  /** Resolves after the first full sync. */
  readonly ready: Promise<void>;
}

/** Cluster DNS without its sockets. */
export interface ClusterAnswers extends ClusterDns {
  readonly handle: Handler;
}

/** Starts all of cluster DNS but its sockets. Rejects when the health port cannot be bound. */
export async function startAnswers(options: ClusterDnsOptions): Promise<ClusterAnswers> {
  const { client, log } = options;
  const metrics = dnsMetrics();
  const counts = new CacheCounts();
  const loops = new LoopWatch();
  const allow = [...(options.allowFrom ?? privateNetworks), '127.0.0.0/8', '::1/128', ...options.addresses];
  const access = watchAccess({ client, allow, log });
  const responder = new Responder({ access, loops, metrics, log });
  const networks = new Networks(options.clusterNetworks ?? []);
  const watch = watchCluster({ client, log, networks, clusterIp: options.clusterIp });
  const parts: Array<{ stop(): Promise<void> }> = [access, watch];
  const stopAll = async (): Promise<void> => {
    for (const part of parts.reverse()) await part.stop();
  };
  try {
    const blocks = new ServerBlocks(
      {
        state: watch.state,
        isSynced: () => watch.hasSynced,
        own: new Set([options.clusterIp, ...(options.port === 53 ? options.addresses : [])]),
        loops,
        metrics: forwardMetrics(metrics.registry),
        counts,
        log,
        nowMs: () => performance.now(),
      },
      responder,
    );
    parts.push(blocks);
    cacheMetrics(metrics.registry, counts, () => sizesOf(blocks));
    const corefile = watchCorefile({
      client,
      log,
      defaultText: defaultCorefile(options.clusterDomain, options.resolvConf),
      environment: options.environment ?? {},
      onConfig(config) {
        blocks.use(config);
        if (wantsPods(config)) void watch.watchPods().catch(() => {});
      },
    });
    parts.push(corefile);
    const ready = Promise.all([watch.synced, corefile.configured]).then(() => undefined);
    ready.catch(() => {});
    parts.push(
      await serveHealth({
        port: options.healthPort,
        host: options.healthAddress,
        isReady: () => watch.hasSynced,
        notReady: 'the first sync is not done',
        metrics: [() => metrics.registry.metrics()],
      }),
    );
    return { ready, handle: (message, peer) => responder.handle(message, peer), ...running(stopAll) };
  } catch (error) {
    await stopAll();
    throw error;
  }
}

const wantsPods = (config: CorefileConfig): boolean =>
  config.servers.some((server) => server.kubernetes?.pods === 'verified');

function sizesOf(blocks: ServerBlocks): { success: number; denial: number } {
  const sizes = { success: 0, denial: 0 };
  for (const { cache } of blocks.all) {
    sizes.success += cache.sizes.success;
    sizes.denial += cache.sizes.denial;
  }
  return sizes;
}
