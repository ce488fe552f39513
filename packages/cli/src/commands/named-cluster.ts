import { resolve } from 'node:path';
import type { KubeClient } from '@cloudless/kube/client/client';
import { inClusterClient, isInCluster } from '@cloudless/kube/client/in-cluster';
import { clientFromKubeconfig } from '@cloudless/kube/client/kubeconfig';
import { type ClusterConfig, contextOf, loadConfig } from '../cluster-config.ts';
import { UsageError } from '../options.ts';

/** The part that asks, as the API server's logs have it: `cloudless-loadbalancer`. */
type UserAgent = `cloudless-${string}`;

/** The cluster that `--kubeconfig`, the environment or, in a pod, its service account names; undefined: none of them. */
export function namedCluster(kubeconfig: string | undefined, userAgent: UserAgent): KubeClient | undefined {
  const named = kubeconfig ?? process.env['KUBECONFIG'];
  if (named !== undefined && named !== '') return clientFromKubeconfig(resolve(named), { userAgent });
  return isInCluster() ? inClusterClient(userAgent) : undefined;
}

/** As {@link namedCluster}, or the cluster below `root`. Throws {@link UsageError} where there is none. */
export function clusterOf(
  flags: { kubeconfig?: string; root: string },
  userAgent: UserAgent,
): {
  client: KubeClient;
  config: ClusterConfig | undefined;
} {
  const config = loadConfig(resolve(flags.root));
  const client = namedCluster(flags.kubeconfig, userAgent);
  if (client) return { client, config };
  if (config?.role !== 'up')
    throw new UsageError(
      `which cluster? Name one with --kubeconfig or KUBECONFIG, or run this where 'cloudless up' ran (--root)`,
    );
  return { client: clientFromKubeconfig(contextOf(config).paths.adminKubeconfig, { userAgent }), config };
}

/** A port number, 0 to 65535. Throws {@link UsageError}. */
export function portOf(flag: string, text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535 || text.trim() === '')
    throw new UsageError(`${flag} ${text}: expected a port, 0 to 65535`);
  return port;
}

/** Resolves when this process is asked to end. */
export function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}
