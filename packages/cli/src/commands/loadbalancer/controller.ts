import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { systemClock } from '@cloudless/kube/clock';
import { serveHealth } from '@cloudless/kube/health';
import { logger } from '@cloudless/kube/logger';
import { startController } from '@cloudless/loadbalancer/controller/controller';
import { ensureMemberlistSecret } from '@cloudless/loadbalancer/gossip/secret';
import { UsageError } from '../../options.ts';
import { interrupted, namedCluster, portOf } from '../named-cluster.ts';
import { namespaceOf, userAgent } from './namespace.ts';

export interface ControllerFlags {
  kubeconfig?: string;
  namespace?: string;
  lbClass?: string;
  port: string;
  host: string;
}

/** `cloudless loadbalancer controller`: MetalLB's controller for any cluster. */
export async function controller(flags: ControllerFlags): Promise<void> {
  const log = logger('loadbalancer');
  const client = namedCluster(flags.kubeconfig, userAgent);
  if (!client) throw new UsageError('which cluster? Name one with --kubeconfig or KUBECONFIG');
  const namespace = namespaceOf(flags.namespace);
  const stop = interrupted();
  const parts = [];
  try {
    await ensureMemberlistSecret({ client, namespace });
    const started = await startController({
      client,
      namespace,
      loadBalancerClass: flags.lbClass,
      // Two that worked at a time, as while one replaces the other, would give one address twice.
      leaderElection: { namespace, identity: `${hostname()}_${randomUUID()}` },
      clock: systemClock,
      log,
    });
    parts.push(started);
    parts.push(
      await serveHealth({
        port: portOf('--port', flags.port),
        host: flags.host,
        isReady: () => started.isWorking || started.isStandby,
        notReady: 'Services and pools are not known yet',
        metrics: [() => started.metrics()],
      }),
    );
    await stop;
  } finally {
    for (const part of parts.reverse()) await part.stop();
  }
}
