import { bootstrapControlPlane } from '@cloudless/bootstrap';
import { logger } from '@cloudless/kube/logger';
import { type ClusterConfig, contextOf } from '../cluster-config.ts';
import { addressIn } from '../options.ts';

const log = logger('certificates');

/** Checks the certificates now and daily; what nears its end is issued anew. */
export async function keepCertificates(config: ClusterConfig): Promise<void> {
  const done = await bootstrapControlPlane({
    context: contextOf(config),
    nodeIps: [config.nodeIp],
    serviceIps: [addressIn(config.serviceCidr, 1)],
    dnsDomain: config.clusterDomain,
    clusterName: 'kubernetes',
  });
  for (const warning of done.warnings) log.warn(warning);
  for (const path of done.renewed) log.info({ path }, 'issued anew');
}
