import { core, policy } from '@cloudless/kube/resources';
import { selectorFromObject } from '@cloudless/kube/selector/selector';
import { errors, StatusError } from '@cloudless/kube/status';
import type { Pod } from '@cloudless/kube/types/core-v1';
import type { Status } from '@cloudless/kube/types/meta-v1';
import type { Eviction } from '@cloudless/kube/types/policy-v1';
import { cloneJson } from '../storage/codec.ts';
import type { WriteContext } from './context.ts';
import { deleteObject } from './delete.ts';
import { getObject } from './get.ts';
import type { Registry } from './registry.ts';
import { updateObject } from './update.ts';
import { timestamp } from './metadata.ts';

const granted: Status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };

/** Pods that are over or never began are evicted whatever a budget says. */
const isFree = (pod: Pod): boolean =>
  ['Succeeded', 'Failed', 'Pending'].includes(pod.status?.phase ?? '') ||
  pod.metadata?.deletionTimestamp !== undefined;

const isReady = (pod: Pod): boolean =>
  pod.status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ??
  false;

/**
 * `pods/NAME/eviction`: deletes the pod if its PodDisruptionBudget allows one disruption more, which is counted in
 * the budget's status first (kubernetes/pkg/registry/core/pod/storage/eviction.go). Throws 429 when it does not.
 */
export async function evictPod(
  registry: Registry,
  context: WriteContext,
  eviction: Eviction,
): Promise<Status> {
  const served = registry.servedOf(core.pods);
  const at = { namespace: context.namespace, name: context.name };
  const pod = (await getObject(registry, served, at)).object as unknown as Pod;
  if (!isFree(pod)) await takeDisruption(registry, context, pod);
  const options = eviction.deleteOptions ?? {};
  await deleteObject(registry, { ...context, served, subresource: '' }, options);
  return granted;
}

async function takeDisruption(registry: Registry, context: WriteContext, pod: Pod): Promise<void> {
  const cache = registry.caches.of(policy.poddisruptionbudgets);
  await cache.ready;
  const budgets = [...cache.list(context.namespace)].filter((budget) =>
    selectorFromObject(budget.spec?.selector).matches(pod.metadata?.labels),
  );
  if (budgets.length === 0) return;
  if (budgets.length > 1) {
    throw errors.internal(
      'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
    );
  }
  const name = budgets[0]?.metadata?.name as string;
  const served = registry.servedOf(policy.poddisruptionbudgets);
  const nowMs = registry.parts.clock.nowMs();
  await updateObject(registry, { ...context, served, subresource: 'status', name }, ({ object }) => {
    const budget = cloneJson(object) as unknown as (typeof budgets)[number];
    const status = budget.status;
    if (
      !status ||
      status.observedGeneration === undefined ||
      status.observedGeneration < (budget.metadata?.generation ?? 0)
    ) {
      throw tooMany(name, `The disruption budget ${name} is still being processed by the server.`);
    }
    const unhealthyMayGo = budget.spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow' && !isReady(pod);
    if (unhealthyMayGo) return cloneJson(object);
    if ((status.disruptionsAllowed ?? 0) <= 0) {
      const healthy = `The disruption budget ${name} needs ${status.desiredHealthy ?? 0} healthy pods and has ${status.currentHealthy ?? 0} currently`;
      throw tooMany(name, healthy);
    }
    status.disruptionsAllowed = (status.disruptionsAllowed ?? 0) - 1;
    status.disruptedPods = { ...status.disruptedPods, [pod.metadata?.name as string]: timestamp(nowMs) };
    return budget;
  });
}

const tooMany = (_budget: string, why: string): StatusError =>
  new StatusError(
    429,
    'TooManyRequests',
    "Cannot evict pod as it would violate the pod's disruption budget.",
    {
      causes: [{ reason: 'DisruptionBudget', message: why }],
      retryAfterSeconds: 10,
    },
  );
