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
import { ClusterRecords } from './cluster/records.ts';
import { answerQuery } from './cluster/resolver.ts';
import { watchRecords } from './cluster/watch.ts';
import { startForwarder } from './forward/forwarder.ts';
import { readUpstreams, type Upstream } from './forward/upstreams.ts';
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
  /** Where the upstream servers are read from. */
  resolvConf: string;
  /** ClusterIP of the kube-dns Service: never asked as an upstream. */
  clusterIp: string;
  log: Logger;
}

export interface ClusterDns extends Running {
  /** Resolves after the first full sync. */
  readonly ready: Promise<void>;
}

/** How long an upstream list is believed before resolv.conf is read again. */
const upstreamsMs = 5000;

/** Starts cluster DNS. Rejects when an address or port cannot be bound. */
export async function startClusterDns(options: ClusterDnsOptions): Promise<ClusterDns> {
  const records = new ClusterRecords(options.clusterDomain);
  const metrics = dnsMetrics();
  const own = new Set([options.clusterIp, ...(options.port === 53 ? options.addresses : [])]);
  let upstreams: { list: Upstream[]; readMs: number } | undefined;
  const currentUpstreams = (): Upstream[] => {
    const nowMs = performance.now();
    if (!upstreams || nowMs - upstreams.readMs > upstreamsMs)
      upstreams = { list: readUpstreams(options.resolvConf, own), readMs: nowMs };
    return upstreams.list;
  };
  const forwarder = startForwarder();
  const parts: Running[] = [forwarder];
  const stopAll = async (): Promise<void> => {
    for (const part of parts.reverse()) await part.stop();
  };
  const watch = watchRecords(options.client, records, options.log);
  parts.push(watch);
  try {
    for (const address of options.addresses)
      parts.push(
        await listen(address, options.port, (message, { transport }) =>
          answerQuery(message, transport === 'udp' ? 'udp' : 'tcp', {
            records,
            forwarder,
            upstreams: currentUpstreams,
            isSynced: () => watch.hasSynced,
            onAnswer: (code, source, tookMs) => metrics.answered(code, source, tookMs),
            onError: (error) => options.log.error({ err: String(error) }, 'could not answer a query'),
          }),
        ),
      );
    parts.push(
      await serveHealth({
        port: options.healthPort,
        isReady: () => watch.hasSynced,
        notReady: 'the first sync is not done',
        metrics: [() => metrics.registry.metrics()],
      }),
    );
  } catch (error) {
    await stopAll();
    throw error;
  }
  return { ready: watch.synced, ...running(stopAll) };
}
