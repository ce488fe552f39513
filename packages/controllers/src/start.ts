import type { KubeClient } from '@cloudless/kube/client/client';
import { type Clock, systemClock } from '@cloudless/kube/clock';
import { InformerSet } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import { type Logger, logger } from '@cloudless/kube/logger';
import type { WorkQueueMetrics } from '@cloudless/kube/workqueue/workqueue';
import { startCertificateApprover } from './certificates/approver.ts';
import { startCertificateCleaner } from './certificates/cleaner.ts';
import { startCertificateSigner } from './certificates/signer.ts';
import { startClusterRoleAggregation } from './cluster-role-aggregation/cluster-role-aggregation.ts';
import { startDaemonSetController } from './daemonset/daemonset.ts';
import { startDeploymentController } from './deployment/deployment.ts';
import { startDisruptionController } from './disruption/disruption.ts';
import { startEndpointsController } from './endpoints/endpoints.ts';
import { startEndpointSliceController } from './endpointslice/endpointslice.ts';
import { startGarbageCollector } from './garbage-collector/garbage-collector.ts';
import { startJobController } from './job/job.ts';
import { startTtlAfterFinished } from './job/ttl-after-finished.ts';
import { startNamespaceController } from './namespace/namespace.ts';
import { type NodeIpamOptions, startNodeIpamController } from './node-ipam/node-ipam.ts';
import { type NodeLifecycleOptions, startNodeLifecycleController } from './node-lifecycle/node-lifecycle.ts';
import { startNodeTtlController } from './node-ttl/node-ttl.ts';
import { startPodGcController } from './pod-gc/pod-gc.ts';
import { startReplicaSetController } from './replicaset/replicaset.ts';
import { startResourceQuotaController } from './resourcequota/resourcequota.ts';
import type { StartController } from './runtime/context.ts';
import { startRootCaPublisher } from './serviceaccount/root-ca.ts';
import { startServiceAccountController } from './serviceaccount/serviceaccount.ts';
import { startTaintEvictionController } from './taint-eviction/taint-eviction.ts';

export interface ControllersOptions extends Partial<NodeIpamOptions>, NodeLifecycleOptions {
  /** The API as a service account of kube-system, such as `deployment-controller`. */
  clientFor(serviceAccountName: string): KubeClient;
  /**
   * Identity under which all resources are watched, once for all controllers. Default: that of
   * `generic-garbage-collector`, whose role may read everything.
   */
  informerClient?: KubeClient;
  /** PEM of the cluster's CA; published in every namespace. */
  caCertificate: string;
  /** PEM of its key: given, approved certificate requests are signed. */
  caKey?: string;
  clock?: Clock;
  signal?: AbortSignal;
  log?: Logger;
  /** From `workQueueMetrics(registry)`. */
  metrics?: WorkQueueMetrics;
  /** 0 ≤ x < 1, for jitter. */
  random?: () => number;
}

export interface Controllers extends Running {
  /** Resolves when every controller works; rejects when stopped before. */
  readonly ready: Promise<void>;
}

/** Starts all controllers. They try for ever; what they cannot do is in their log and in events. */
export function startControllers(options: ControllersOptions): Controllers {
  const stopping = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stopping.signal]) : stopping.signal;
  const clock = options.clock ?? systemClock;
  const log = options.log ?? logger('controllers');
  const informers = new InformerSet({
    client: options.informerClient ?? options.clientFor('generic-garbage-collector'),
    clock,
    log,
    signal,
  });
  const context = {
    informers,
    clientFor: (name: string) => options.clientFor(name),
    clock,
    log,
    signal,
    metrics: options.metrics,
    random: options.random ?? Math.random,
  };
  const starters: StartController[] = [
    startDeploymentController,
    startReplicaSetController,
    startDaemonSetController,
    startJobController,
    startTtlAfterFinished,
    startEndpointSliceController,
    startEndpointsController,
    startNamespaceController,
    startGarbageCollector,
    startServiceAccountController,
    (given) => startRootCaPublisher(given, options.caCertificate),
    startPodGcController,
    (given) => startNodeLifecycleController(given, options),
    startTaintEvictionController,
    startNodeTtlController,
    startCertificateApprover,
    startCertificateCleaner,
    startClusterRoleAggregation,
    startDisruptionController,
    startResourceQuotaController,
  ];
  const clusterCidrs = options.clusterCidrs ?? [];
  if (clusterCidrs.length > 0) {
    starters.push((given) => startNodeIpamController(given, { ...options, clusterCidrs }));
  }
  const { caCertificate: certificate, caKey: key } = options;
  if (key !== undefined) starters.push((given) => startCertificateSigner(given, { certificate, key }));
  const controllers = starters.map((start) => start(context));
  const ready = Promise.all(controllers.map((controller) => controller.ready)).then(() => undefined);
  ready.catch(() => undefined);
  const handle = running(async () => {
    stopping.abort(new Error('the controllers are stopped'));
    await Promise.all(controllers.map((controller) => controller.stop()));
    await informers.stop();
  });
  return { ...handle, ready };
}
