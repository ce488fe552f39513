/**
 * Cluster DNS: answers for the cluster's Services, forwards the rest. Its state is derived from the API, so it needs no
 * disk; before the first full sync it denies no name, and with the API away it goes on from what it knows.
 *
 * ```ts
 * const dns = await startClusterDns({ client, addresses: ['192.0.2.10'], port: 10053, healthPort: 10054,
 *   clusterDomain: 'cluster.local', resolvConf: '/etc/resolv.conf', clusterIp: '10.96.0.10', log });
 * ```
 */
import { running } from '@cloudless/kube/lifecycle';
import { type ClusterDns, type ClusterDnsOptions, startAnswers } from './cluster/start.ts';
import { listen } from './server/listener.ts';

export type { ClusterDns, ClusterDnsOptions } from './cluster/start.ts';

/**
 * Starts cluster DNS in this thread ({@link startClusterDnsThread} of `cluster/thread.ts`: in one of its own). Rejects when an
 * address or port cannot be bound, or a network of the options is none.
 */
export async function startClusterDns(options: ClusterDnsOptions): Promise<ClusterDns> {
  const answers = await startAnswers(options);
  const listeners: Array<{ stop(): Promise<void> }> = [];
  const stop = async (): Promise<void> => {
    for (const part of [...listeners, answers]) await part.stop();
  };
  try {
    for (const address of options.addresses)
      listeners.push(await listen(address, options.port, answers.handle));
  } catch (error) {
    await stop();
    throw error;
  }
  return { ready: answers.ready, ...running(stop) };
}
