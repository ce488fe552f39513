import type { KubeClient } from '@cloudless/kube/client/client';
import { type Informer, InformerSet, keyOf } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import { logger } from '@cloudless/kube/logger';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { apps, core } from '@cloudless/kube/resources';
import type { Deployment } from '@cloudless/kube/types/apps-v1';
import { runWorkers, WorkQueue } from '@cloudless/kube/workqueue/workqueue';
import { configMapFor, deploymentFor, serviceFor } from './children.ts';
import { type Condition, type Website, websites } from './website.ts';

const log = logger('website-operator');
const fieldManager = 'website-operator';
const workers = 2;

export interface Operator extends Running {
  /** Resolves when everything there is has been seen. */
  readonly synced: Promise<void>;
}

/**
 * Keeps a ConfigMap, a Deployment and a Service for each Website, and says in its status how they are. Driven by
 * watches: of the Websites, and of what they own, so that what others change or delete is put right.
 */
export function startOperator(options: { client: KubeClient; signal?: AbortSignal }): Operator {
  const { client, signal } = options;
  const informers = new InformerSet({ client, signal, log });
  const queue = new WorkQueue({ name: 'website' });
  const sites = informers.of(websites);
  const deployments = informers.of(apps.deployments);
  enqueue(sites, (site) => queue.add(keyOf(site)));
  for (const owned of [deployments, informers.of(core.services), informers.of(core.configmaps)]) {
    enqueue(owned as Informer<KubeObject>, (object) => {
      const owner = object.metadata.ownerReferences?.find(
        ({ kind, controller }) => controller && kind === 'Website',
      );
      if (owner) queue.add(`${object.metadata.namespace}/${owner.name}`);
    });
  }
  const synced = informers.synced();
  const working = synced.then(() =>
    runWorkers(
      queue,
      workers,
      async (key) => {
        const site = sites.store.get(key);
        // What it owned goes by its owner references.
        if (!site || site.metadata.deletionTimestamp) return;
        await reconcile(client, site, deployments.store.get(key));
      },
      { signal, log },
    ),
  );
  working.catch(() => undefined);
  const handle = running(async () => {
    queue.shutDown();
    await informers.stop();
    await working.then(
      (running) => running.stop(),
      () => undefined,
    );
  });
  return { ...handle, synced };
}

function enqueue<T extends KubeObject>(informer: Informer<T>, add: (object: T) => void): void {
  informer.addHandler({ add, update: add, delete: add });
}

/** One pass: states what shall be by server-side apply, then tells in the status what is. */
async function reconcile(
  client: KubeClient,
  site: Website,
  deployment: Deployment | undefined,
): Promise<void> {
  await apply(client, core.configmaps, configMapFor(site));
  await apply(client, apps.deployments, deploymentFor(site));
  await apply(client, core.services, serviceFor(site));
  const status = statusOf(site, deployment, new Date());
  if (JSON.stringify(status) === JSON.stringify(site.status)) return;
  const { name = '', namespace } = site.metadata;
  const wanted = {
    apiVersion: 'example.cloudless.dev/v1',
    kind: 'Website',
    metadata: { name, namespace },
    status,
  };
  const options = { namespace, subresource: 'status', fieldManager, force: true };
  await client.patch(websites, name, 'apply', wanted, options);
}

async function apply<T extends KubeObject>(
  client: KubeClient,
  resource: Resource<T>,
  object: T,
): Promise<void> {
  const { name = '', namespace } = object.metadata;
  await client.patch(resource, name, 'apply', object, { namespace, fieldManager, force: true });
}

/** The status of a site whose Deployment is as given; the time of a condition changes only with the condition. */
export function statusOf(
  site: Website,
  deployment: Deployment | undefined,
  now: Date,
): NonNullable<Website['status']> {
  const { replicas } = site.spec;
  const { generation } = site.metadata;
  const current = deployment?.status;
  const isCurrent =
    deployment !== undefined && current?.observedGeneration === deployment.metadata.generation;
  const ready = (isCurrent && Math.min(current?.updatedReplicas ?? 0, current?.readyReplicas ?? 0)) || 0;
  const isReady = isCurrent && ready >= replicas;
  const condition: Condition = {
    type: 'Ready',
    status: isReady ? 'True' : 'False',
    reason: isReady ? 'Serving' : 'RollingOut',
    message: `${ready} of ${replicas} replicas serve the current pages`,
    lastTransitionTime: `${now.toISOString().slice(0, 19)}Z`,
    observedGeneration: generation,
  };
  const before = site.status?.conditions?.find(({ type }) => type === 'Ready');
  if (before?.status === condition.status) condition.lastTransitionTime = before.lastTransitionTime;
  return { observedGeneration: generation, readyReplicas: ready, conditions: [condition] };
}
