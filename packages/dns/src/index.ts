/**
 * Cluster DNS: answers for the cluster's Services, forwards the rest. Its state is derived from the API, so it needs no
 * disk; before the first full sync it denies no name, and with the API away it goes on from what it knows.
 *
 * ```ts
 * const dns = await startClusterDns({ client, addresses: ['192.0.2.10'], port: 10053, healthPort: 10054,
 *   clusterDomain: 'cluster.local', resolvConf: '/etc/resolv.conf', clusterIp: '10.96.0.10', log });
 * ```
 */
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { KubeClient } from '@cloudless/kube/client/client';
import { serveHealth } from '@cloudless/kube/health';
import type { Logger } from '@cloudless/kube/logger';
import { watchCorefile } from './cluster/corefile-watch.ts';
import { Networks, privateNetworks } from './cluster/networks.ts';
import { Responder } from './cluster/responder.ts';
import { ServerBlocks } from './cluster/server-blocks.ts';
import { watchCluster } from './cluster/watch.ts';
import type { CorefileConfig } from './corefile/config.ts';
import { defaultCorefile } from './corefile/default.ts';
import { LoopWatch } from './forward/loop.ts';
import { CacheCounts, cacheMetrics, forwardMetrics } from './forward/metrics.ts';
import { dnsMetrics } from './metrics.ts';
import { listen } from './server/listener.ts';

export interface ClusterDnsOptions {
  client: KubeClient;
  /** Addresses to answer on; each is bound by itself. */
  addresses: readonly string[];
  port: number;
  /** Port of health and metrics, on loopback. */
  healthPort: number;
  clusterDomain: string;
  /** Where the upstream servers are read from, unless a Corefile says otherwise. */
  resolvConf: string;
  /** ClusterIP of the kube-dns Service: never asked as an upstream. */
  clusterIp: string;
  /**
   * Networks and addresses that may ask: the ranges of pods and Services, the nodes' addresses. Loopback and `addresses`
   * always may. Everybody else is refused, for names of the cluster too. Default: every range that is private.
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

/** Starts cluster DNS. Rejects when an address or port cannot be bound, or a network of the options is none. */
export async function startClusterDns(options: ClusterDnsOptions): Promise<ClusterDns> {
  const { client, log } = options;
  const metrics = dnsMetrics();
  const counts = new CacheCounts();
  const loops = new LoopWatch();
  const access = new Networks([
    ...(options.allowFrom ?? privateNetworks),
    '127.0.0.0/8',
    '::1/128',
    ...options.addresses,
  ]);
  const responder = new Responder({ access, loops, metrics, log });
  const networks = new Networks(options.clusterNetworks ?? []);
  const watch = watchCluster({ client, log, networks, clusterIp: options.clusterIp });
  const parts: Array<{ stop(): Promise<void> }> = [watch];
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
    for (const address of options.addresses)
      parts.push(await listen(address, options.port, (message, peer) => responder.handle(message, peer)));
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
        isReady: () => watch.hasSynced,
        notReady: 'the first sync is not done',
        metrics: [() => metrics.registry.metrics()],
      }),
    );
    return { ready, ...running(stopAll) };
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
