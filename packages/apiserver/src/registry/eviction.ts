import { allowedConditionOf, withAllowedCondition } from '@cloudless/kube/disruption-budget';
import { fieldErrors, FieldPath } from '@cloudless/kube/field';
import type { KubeObject } from '@cloudless/kube/object';
import { core, policy } from '@cloudless/kube/resources';
import { selectorFromObject } from '@cloudless/kube/selector/selector';
import { errors, isConflict, StatusError } from '@cloudless/kube/status';
import type { Pod } from '@cloudless/kube/types/core-v1';
import type { DeleteOptions, Status } from '@cloudless/kube/types/meta-v1';
import type { Eviction, PodDisruptionBudget } from '@cloudless/kube/types/policy-v1';
import { cloneJson } from '../storage/codec.ts';
import type { WriteContext } from './context.ts';
import { deleteObject } from './delete.ts';
import { getObject } from './get.ts';
import { timestamp } from './metadata.ts';
import type { Registry } from './registry.ts';
import { updateObject } from './update.ts';

const granted: Status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };

/** Evictions that a budget holds unconfirmed; more mean that its controller does not follow. */
const maxDisruptedPods = 2000;
/** Times that a pod which changes meanwhile is looked at again. */
const maxTries = 20;
const severalBudgets =
  'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.';
const violated = "Cannot evict pod as it would violate the pod's disruption budget.";

const hasEnded = ({ metadata, status }: Pod): boolean =>
  status?.phase === 'Succeeded' || status?.phase === 'Failed' || metadata.deletionTimestamp !== undefined;

/** Pods that are over or never began are evicted whatever a budget says. */
const isFree = (pod: Pod): boolean => hasEnded(pod) || pod.status?.phase === 'Pending';

const isReady = (pod: Pod): boolean =>
  pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;

/**
 * `pods/NAME/eviction`: deletes the pod if its PodDisruptionBudget allows one disruption more, which is counted in
 * the budget's status first (kubernetes/pkg/registry/core/pod/storage/eviction.go). Throws 429 when it does not, 500
 * when several budgets select the pod, 400 for a body of another name.
 */
export async function evictPod(
  registry: Registry,
  context: WriteContext,
  eviction: Eviction,
): Promise<Status> {
  if (context.name !== (eviction.metadata?.name ?? ''))
    throw errors.badRequest('name in URL does not match name in Eviction object');
  const given = eviction.deleteOptions ?? {};
  if (given.ignoreStoreReadErrorWithClusterBreakingPotential === true) {
    const path = FieldPath.of('deleteOptions', 'ignoreStoreReadErrorWithClusterBreakingPotential');
    const why = 'can not be set for pod eviction, try after removing the option';
    throw errors.invalid({ group: 'policy', kind: 'Eviction' }, context.name, [
      fieldErrors.invalid(path, true, why),
    ]);
  }
  const dryRun = context.dryRun || (given.dryRun?.length ?? 0) > 0;
  await new PodEviction(registry, { ...context, dryRun }, given).run();
  return granted;
}

class PodEviction {
  readonly #registry: Registry;
  readonly #context: WriteContext;
  /** As the client sent them. */
  readonly #options: DeleteOptions;

  constructor(registry: Registry, context: WriteContext, options: DeleteOptions) {
    this.#registry = registry;
    // Admission was asked about the eviction, and is not asked again for the pod's update and end.
    const served = registry.servedOf(core.pods);
    this.#context = { ...context, served, admitted: true };
    this.#options = options;
  }

  async run(): Promise<void> {
    for (let tries = 1; ; tries++) {
      const pod = await this.#read();
      if (!isFree(pod)) return this.#evictGuarded(pod);
      try {
        // A pod that has not begun may become ready, and guarded, at this moment.
        return await this.#end(hasEnded(pod) ? this.#options : this.#bound(pod));
      } catch (error) {
        if (!isConflict(error) || this.#isBoundByClient || tries >= maxTries) throw error;
      }
    }
  }

  async #read(): Promise<Pod> {
    const { namespace, name, served } = this.#context;
    return (await getObject(this.#registry, served, { namespace, name })).object;
  }

  get #isBoundByClient(): boolean {
    return this.#options.preconditions?.resourceVersion !== undefined;
  }

  /** The options with the pod's version as a precondition, unless the client named one. */
  #bound({ metadata }: Pod): DeleteOptions {
    if (this.#isBoundByClient) return this.#options;
    const { resourceVersion } = metadata;
    return { ...this.#options, preconditions: { ...this.#options.preconditions, resourceVersion } };
  }

  async #evictGuarded(pod: Pod): Promise<void> {
    const budget = await this.#budgetOf(pod);
    if (!budget) return this.#end(this.#options);
    if (!isReady(pod) && unhealthyMayGo(budget)) {
      try {
        return await this.#end(this.#bound(pod));
      } catch (error) {
        if (!isConflict(error) || this.#isBoundByClient) throw error;
        // It changed, perhaps to ready: the client shall ask again.
        throw stillProcessed(budget.metadata.name ?? '');
      }
    }
    await this.#takeDisruption(budget.metadata.name ?? '', pod);
    await this.#end(this.#options);
  }

  async #budgetOf(pod: Pod): Promise<PodDisruptionBudget | undefined> {
    const cache = this.#registry.caches.of(policy.poddisruptionbudgets);
    await cache.ready;
    const budgets = [...cache.list(this.#context.namespace)].filter((budget) => selects(budget, pod));
    // Upstream gives this Status without a reason.
    if (budgets.length > 1) throw new StatusError(500, '', severalBudgets);
    return budgets[0];
  }

  /** Counts the disruption in the budget's status; throws 429 when none is left. */
  async #takeDisruption(name: string, pod: Pod): Promise<void> {
    const { namespace, dryRun } = this.#context;
    const served = this.#registry.servedOf(policy.poddisruptionbudgets);
    const nowMs = this.#registry.parts.clock.nowMs();
    const context = {
      ...this.#context,
      served,
      subresource: 'status',
      name,
      namespace,
      dryRun,
      fieldManager: 'kube-apiserver',
    };
    const change = ({ object }: { object: object }): KubeObject => {
      const budget = cloneJson(object) as unknown as PodDisruptionBudget;
      const status = { ...budget.status };
      checkAllowed(budget);
      const disruptionsAllowed = (status.disruptionsAllowed ?? 0) - 1;
      const disruptedPods = { ...status.disruptedPods, [pod.metadata.name ?? '']: timestamp(nowMs) };
      const after = { ...status, disruptionsAllowed, disruptedPods };
      budget.status =
        disruptionsAllowed === 0 ? { ...after, conditions: withAllowedCondition(after, nowMs) } : after;
      return budget;
    };
    // Evictions come many at a time, and each changes the same status.
    for (let tries = 1; ; tries++) {
      try {
        await updateObject(this.#registry, context, change, { retryConflicts: true });
        return;
      } catch (error) {
        if (!isConflict(error)) throw error;
        if (tries >= maxTries)
          throw errors.timeout(
            `couldn't update PodDisruptionBudget ${JSON.stringify(name)} due to conflicts`,
            10,
          );
      }
    }
  }

  /** Writes into the pod why it ends, and deletes it. */
  async #end(options: DeleteOptions): Promise<void> {
    let { preconditions } = options;
    if (!this.#context.dryRun) {
      const { entry } = await updateObject(
        this.#registry,
        { ...this.#context, subresource: 'status', fieldManager: undefined },
        ({ object }) => withCondition(object, preconditions, this.#registry.parts.clock.nowMs()),
        { retryConflicts: true },
      );
      // The version that the client saw is now ours.
      if (preconditions?.resourceVersion !== undefined)
        preconditions = { ...preconditions, resourceVersion: entry.object.metadata.resourceVersion };
    }
    await deleteObject(
      this.#registry,
      { ...this.#context, subresource: '' },
      preconditions ? { ...options, preconditions } : options,
    );
  }
}

function selects(budget: PodDisruptionBudget, pod: Pod): boolean {
  try {
    return selectorFromObject(budget.spec?.selector).matches(pod.metadata.labels);
  } catch {
    // An invalid selector, from before it was validated, selects nothing.
    return false;
  }
}

/** A pod that is not ready is no disruption where the rest is well, or where the budget says so (KEP-3017). */
function unhealthyMayGo({ spec, status }: PodDisruptionBudget): boolean {
  const { currentHealthy = 0, desiredHealthy = 0 } = status ?? {};
  return (
    spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow' ||
    (currentHealthy >= desiredHealthy && desiredHealthy > 0)
  );
}

/** The pod with the condition that tells of its eviction; throws 409 when it is not the one that was meant. */
function withCondition(old: Pod, preconditions: DeleteOptions['preconditions'], nowMs: number): Pod {
  const pod = cloneJson(old);
  const { uid, resourceVersion, name = '' } = pod.metadata;
  if (preconditions?.uid !== undefined && preconditions.uid !== uid) {
    const why = `the UID in the precondition (${preconditions.uid}) does not match the UID in record (${uid}). The object might have been deleted and then recreated`;
    throw errors.conflict({ group: '', plural: 'Pod' }, name, why);
  }
  if (preconditions?.resourceVersion !== undefined && preconditions.resourceVersion !== resourceVersion) {
    const why = `the ResourceVersion in the precondition (${preconditions.resourceVersion}) does not match the ResourceVersion in record (${resourceVersion}). The object might have been modified`;
    throw errors.conflict({ group: '', plural: 'Pod' }, name, why);
  }
  const before = pod.status?.conditions ?? [];
  const noted = before.find(({ type }) => type === 'DisruptionTarget');
  const condition = {
    type: 'DisruptionTarget',
    status: 'True',
    reason: 'EvictionByEvictionAPI',
    message: 'Eviction API: evicting',
    lastTransitionTime:
      noted?.status === 'True' && noted.lastTransitionTime ? noted.lastTransitionTime : timestamp(nowMs),
  };
  const conditions = noted
    ? before.map((each) => (each === noted ? { ...each, ...condition } : each))
    : [...before, condition];
  pod.status = { ...pod.status, conditions };
  return pod;
}

/** Throws why a budget allows no disruption. */
function checkAllowed({ metadata, status }: PodDisruptionBudget): void {
  const { name = '' } = metadata;
  if ((status?.observedGeneration ?? 0) < (metadata.generation ?? 0)) throw stillProcessed(name);
  const allowed = status?.disruptionsAllowed ?? 0;
  const resource = { group: 'policy', plural: 'poddisruptionbudget' };
  if (allowed < 0) throw errors.forbidden(resource, name, 'pdb disruptions allowed is negative');
  if (Object.keys(status?.disruptedPods ?? {}).length > maxDisruptedPods) {
    const why = 'DisruptedPods map too big - too many evictions not confirmed by PDB controller';
    throw errors.forbidden(resource, name, why);
  }
  if (allowed === 0) throw tooMany(whyNone(name, status), 0);
}

function whyNone(name: string, status: PodDisruptionBudget['status']): string {
  const condition = allowedConditionOf(status);
  const said = condition?.status === 'False' && condition.message ? condition : undefined;
  if (said?.reason === 'SyncFailed')
    return `The disruption budget ${name} does not allow evicting pods currently because it failed sync: ${said.message}`;
  const { desiredHealthy = 0, currentHealthy = 0 } = status ?? {};
  if (currentHealthy <= desiredHealthy)
    return `The disruption budget ${name} needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`;
  const none = `The disruption budget ${name} does not allow evicting pods currently`;
  return said ? `${none} (${said.reason}): ${said.message}` : none;
}

const stillProcessed = (name: string): StatusError =>
  tooMany(`The disruption budget ${name} is still being processed by the server.`, 10);

const tooMany = (message: string, retryAfterSeconds: number): StatusError =>
  new StatusError(429, 'TooManyRequests', violated, {
    causes: [{ reason: 'DisruptionBudget', message }],
    ...(retryAfterSeconds > 0 ? { retryAfterSeconds } : {}),
  });
