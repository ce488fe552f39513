import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ApiServer } from '@cloudless/apiserver/server/options';
import { startControllers } from '@cloudless/controllers';
import { type Running, running } from '@cloudless/kube/lifecycle';
import { logger } from '@cloudless/kube/logger';
import type { NodeContext } from '@cloudless/kube/node/context';
import { startScheduler } from '@cloudless/scheduler';
import { serviceAccountUser } from '@cloudless/kube/user';
import { workQueueMetrics } from '@cloudless/kube/workqueue/workqueue';
import { Registry } from 'prom-client';
import type { ClusterConfig } from '../cluster-config.ts';

export interface ControlPlaneClients {
  parts: Running[];
  /** Prometheus text of each. */
  metrics: ReadonlyArray<() => string | Promise<string>>;
}

/** Starts those parts that are clients of the API and not left out, each under an identity of its own; they retry until it serves them. */
export function startControlPlaneClients(
  config: ClusterConfig,
  context: NodeContext,
  api: ApiServer,
): ControlPlaneClients {
  const registry = new Registry();
  const parts: Running[] = [];
  const metrics: Array<() => string | Promise<string>> = [() => registry.metrics()];
  if (!config.disable.includes('scheduler')) {
    const scheduler = startScheduler({
      client: api.clientFor({ name: 'system:kube-scheduler', groups: ['system:authenticated'] }),
      clock: context.clock,
      log: logger('scheduler'),
    });
    parts.push(scheduler);
    metrics.push(() => scheduler.metrics.text());
  }
  if (!config.disable.includes('controllers')) {
    const controllers = startControllers({
      clientFor: (account) => api.clientFor(serviceAccountUser('kube-system', account)),
      caCertificate: readFileSync(join(context.paths.pki, 'ca.crt'), 'utf8'),
      caKey: readFileSync(join(context.paths.pki, 'ca.key'), 'utf8'),
      clusterCidrs: [config.podCidr],
      serviceCidrs: [config.serviceCidr],
      metrics: workQueueMetrics(registry),
      clock: context.clock,
      log: logger('controllers'),
    });
    parts.push(controllers);
  }
  if (!config.disable.includes('loadbalancer')) {
    const balancing = startLoadBalancing(context, api);
    parts.push(balancing);
    metrics.push(() => balancing.metrics());
  }
  return { parts, metrics };
}

/** Allocates the addresses of Services and gives speakers their certificates; loaded beside the start, not in it. */
function startLoadBalancing(context: NodeContext, api: ApiServer): Running & { metrics(): Promise<string> } {
  const started = import('./load-balancer/control-plane.ts').then(({ startLoadBalancer }) =>
    startLoadBalancer(context, api),
  );
  return {
    ...running(async () => (await started).stop()),
    metrics: async () => (await started).metrics(),
  };
}
