import { join } from 'node:path';
import { clientFromKubeconfig } from '@cloudless/kube/client/kubeconfig';
import { logger } from '@cloudless/kube/logger';
import { startClusterDnsThread } from '@cloudless/dns/cluster/thread';
import { type ClusterConfig, contextOf } from '../../cluster-config.ts';
import { appeared } from '../appeared.ts';
import { startExternalWhenAsked } from './external.ts';
import { dnsUid } from './user.ts';
import { report, stopRequested } from '../report.ts';

const log = logger('dns');

/**
 * The dns process. It gives root away before the first packet; its credentials are a token of its own service account,
 * written by the control plane and read again as it rotates. No key of the cluster is in its memory.
 */
export async function runDns(config: ClusterConfig): Promise<void> {
  const context = contextOf(config);
  const stop = stopRequested();
  const kubeconfig = join(context.paths.dns, 'kubeconfig');
  report({ type: 'progress', step: 'waiting for credentials' });
  const stopping = new AbortController();
  void stop.then(() => stopping.abort());
  if (!(await appeared(kubeconfig, stopping.signal))) return;
  // Relative paths from here on: the folders above may be closed to an unprivileged user.
  process.chdir(context.paths.dns);
  const client = clientFromKubeconfig('kubeconfig', { userAgent: 'cloudless-dns' });
  // In a thread of its own: large zones of the authoritative DNS must not hold up the cluster's names.
  const dns = await startClusterDnsThread({
    kubeconfig: 'kubeconfig',
    userAgent: 'cloudless-dns',
    onLoaded: dropPrivileges,
    addresses: ['127.0.0.1', config.nodeIp].filter((address, i, all) => all.indexOf(address) === i),
    port: context.ports.dns,
    healthPort: context.ports.dnsHealth,
    clusterDomain: config.clusterDomain,
    resolvConf: '/etc/resolv.conf',
    clusterIp: config.dnsIp,
    allowFrom: [config.podCidr, config.serviceCidr],
    clusterNetworks: [config.podCidr, config.serviceCidr],
    log,
  });
  try {
    report({ type: 'progress', step: 'reading the Services' });
    await using _external = startExternalWhenAsked({
      client,
      config,
      clock: context.clock,
      log,
      after: dns.ready,
    });
    await Promise.race([dns.ready.then(() => report({ type: 'ready' })), stop]);
    await stop;
  } finally {
    await dns.stop();
  }
}

function dropPrivileges(): void {
  if (process.getuid?.() !== 0) return;
  process.setgroups?.([]);
  process.setgid?.(dnsUid);
  process.setuid?.(dnsUid);
}
