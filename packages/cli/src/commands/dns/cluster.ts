import { startClusterDns } from '@cloudless/dns';
import { logger } from '@cloudless/kube/logger';
import { UsageError } from '../../options.ts';
import { interrupted, namedCluster, portOf } from '../named-cluster.ts';
import { listenOf, userAgent } from './listen.ts';

export interface ClusterFlags {
  kubeconfig?: string;
  listen?: string[];
  clusterDomain: string;
  clusterIp: string;
  allowFrom?: string[];
  clusterNetworks?: string[];
  resolvConf: string;
  port: string;
  host: string;
}

/** `cloudless dns cluster`: the names of any cluster, from outside of it or in a pod. */
export async function cluster(flags: ClusterFlags): Promise<void> {
  const log = logger('dns');
  const client = namedCluster(flags.kubeconfig, userAgent);
  if (!client) throw new UsageError('which cluster? Name one with --kubeconfig or KUBECONFIG');
  const { addresses, port } = listenOf(flags.listen ?? ['127.0.0.1:10053']);
  const stop = interrupted();
  await using dns = await startClusterDns({
    client,
    addresses,
    port,
    healthPort: portOf('--port', flags.port),
    healthAddress: flags.host,
    clusterDomain: flags.clusterDomain,
    resolvConf: flags.resolvConf,
    clusterIp: flags.clusterIp,
    allowFrom: flags.allowFrom,
    clusterNetworks: flags.clusterNetworks,
    log,
  });
  dns.ready.then(
    () => log.info({ addresses, port }, "the cluster's names are served"),
    () => undefined,
  );
  await stop;
}
