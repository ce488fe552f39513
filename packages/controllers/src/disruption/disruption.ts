import type { KubeClient } from '@cloudless/kube/client/client';
import { patchPodStatus } from '@cloudless/kube/client/pod-status';
import type { Clock } from '@cloudless/kube/clock';
import type { EventRecorder } from '@cloudless/kube/events/recorder';
import { type Informer, keyOf, namespaceIndex } from '@cloudless/kube/informer/informer';
import { apps, core, policy } from '@cloudless/kube/resources';
import { selectorFromObject } from '@cloudless/kube/selector/selector';
import { isConflict, isNotFound } from '@cloudless/kube/status';
import type { Pod } from '@cloudless/kube/types/core-v1';
import type { LabelSelector } from '@cloudless/kube/types/meta-v1';
import type { PodDisruptionBudget, PodDisruptionBudgetStatus } from '@cloudless/kube/types/policy-v1';
import type { WorkQueue } from '@cloudless/kube/workqueue/workqueue';
import { scaledValue } from '../deployment/replica-sets.ts';
import {
  type Controller,
  type ControllerContext,
  recorderFor,
  startQueue,
  together,
} from '../runtime/context.ts';
import {
  countHealthy,
  disruptedPods,
  type Expectation,
  failedStatus,
  nextStatus,
  notDisrupted,
  staleAtMs,
} from './budget-status.ts';
import { ExpectedScale } from './expected-scale.ts';

/** Upstream runs one: what is granted at once is decided by the eviction subresource. */
const workers = 1;

/** Keeps the status of PodDisruptionBudgets, by which evictions are granted (upstream: pkg/controller/disruption). */
export function startDisruptionController(context: ControllerContext): Controller {
  const client = context.clientFor('disruption-controller');
  const events = recorderFor(context, 'controllermanager', client);
  const pods = context.informers.of(core.pods);
  const budgets = context.informers.of(policy.poddisruptionbudgets);
  const workloads = {
    replicaSets: context.informers.of(apps.replicasets),
    deployments: context.informers.of(apps.deployments),
    statefulSets: context.informers.of(apps.statefulsets),
    replicationControllers: context.informers.of(core.replicationcontrollers),
  };
  const { clock } = context;
  const scale = new ExpectedScale(client, workloads);
  const controller = new DisruptionController({ client, clock, events, pods, budgets, scale });
  const stale = new StaleDisruptions(client, clock, pods);
  return together(
    startQueue(
      context,
      {
        name: 'disruption',
        workers,
        waitFor: [pods, budgets, ...Object.values(workloads)],
        sync: (key, signal) => controller.sync(key, signal),
        owns: [events],
      },
      (queue) => controller.wire(queue),
    ),
    startQueue(
      context,
      {
        name: 'stale_pod_disruption',
        workers,
        waitFor: [pods],
        sync: (key, signal) => stale.sync(key, signal),
      },
      (queue) => stale.wire(queue),
    ),
  );
}

/** Undefined for a selector that is invalid, which selects nothing. */
function matches(budget: PodDisruptionBudget, pod: Pod): boolean {
  try {
    return selectorFromObject(budget.spec?.selector).matches(pod.metadata.labels);
  } catch {
    return false;
  }
}

/** A selector as upstream prints it into its events. */
function selectorText({ matchLabels = {}, matchExpressions = [] }: LabelSelector = {}): string {
  const labels = Object.entries(matchLabels).sort(([a], [b]) => (a < b ? -1 : 1));
  const texts = labels.map(([name, value]) => `${name}: ${value},`);
  const requirements = matchExpressions.map(
    ({ key, operator, values = [] }) =>
      `LabelSelectorRequirement{Key:${key},Operator:${operator},Values:[${values.join(' ')}],},`,
  );
  return `&LabelSelector{MatchLabels:map[string]string{${texts.join('')}},MatchExpressions:[]LabelSelectorRequirement{${requirements.join('')}},}`;
}

class DisruptionController {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #events: EventRecorder;
  readonly #pods: Informer<Pod>;
  readonly #budgets: Informer<PodDisruptionBudget>;
  readonly #scale: ExpectedScale;
  #queue: WorkQueue | undefined;

  constructor(parts: {
    client: KubeClient;
    clock: Clock;
    events: EventRecorder;
    pods: Informer<Pod>;
    budgets: Informer<PodDisruptionBudget>;
    scale: ExpectedScale;
  }) {
    this.#client = parts.client;
    this.#clock = parts.clock;
    this.#events = parts.events;
    this.#pods = parts.pods;
    this.#budgets = parts.budgets;
    this.#scale = parts.scale;
  }

  wire(queue: WorkQueue): void {
    this.#queue = queue;
    const budget = (object: PodDisruptionBudget): void => queue.add(keyOf(object));
    this.#budgets.addHandler({ add: budget, update: budget });
    const pod = (object: Pod): void => this.#enqueueFor(object);
    this.#pods.addHandler({
      add: pod,
      update: (object, old) => {
        pod(object);
        // Upstream leaves a budget that a pod has left as it was until its next change.
        if (object.metadata.labels !== old.metadata.labels) pod(old);
      },
      delete: pod,
    });
  }

  #enqueueFor(pod: Pod): void {
    const inNamespace = this.#budgets.store.byIndex(namespaceIndex, pod.metadata.namespace ?? '');
    const found = inNamespace.filter((budget) => matches(budget, pod));
    if (found.length > 1) {
      const { namespace, name } = pod.metadata;
      this.#events.event(
        pod,
        'Warning',
        'MultiplePodDisruptionBudgets',
        `Pod ${JSON.stringify(namespace)}/${JSON.stringify(name)} matches multiple PodDisruptionBudgets.  Chose ${JSON.stringify(found[0]?.metadata.name)} arbitrarily.`,
      );
    }
    for (const budget of found) this.#queue?.add(keyOf(budget));
  }

  async sync(key: string, signal: AbortSignal): Promise<void | { requeueAfterMs: number }> {
    const budget = this.#budgets.store.get(key);
    if (!budget) return;
    try {
      return await this.#count(budget, signal);
    } catch (error) {
      if (isConflict(error) || signal.aborted) throw error;
      if (isNotFound(error) && !this.#budgets.store.get(key)) return;
      // Whatever is wrong, no eviction may be granted on what was known before.
      const why = error instanceof Error ? error.message : String(error);
      await this.#write(budget, failedStatus(budget, why, this.#clock.nowMs()), signal);
    }
  }

  async #count(budget: PodDisruptionBudget, signal: AbortSignal): Promise<void | { requeueAfterMs: number }> {
    const pods = this.#podsOf(budget);
    if (pods.length === 0) this.#events.event(budget, 'Normal', 'NoPods', 'No matching pods found');
    const expectation = await this.#expectation(budget, pods, signal);
    const nowMs = this.#clock.nowMs();
    const disrupted = disruptedPods(budget, pods, nowMs);
    const { namespace = '' } = budget.metadata;
    for (const pod of disrupted.overdue) {
      const text = `Pod was expected by PDB ${namespace}/${budget.metadata.name} to be deleted but it wasn't`;
      this.#events.event(pod, 'Warning', 'NotDeleted', text);
    }
    const status = nextStatus(budget, expectation, countHealthy(pods, disrupted), disrupted.pods, nowMs);
    if (status) await this.#write(budget, status, signal);
    if (disrupted.recheckAtMs !== undefined)
      return { requeueAfterMs: Math.max(1, disrupted.recheckAtMs - nowMs + 1) };
  }

  #podsOf(budget: PodDisruptionBudget): Pod[] {
    try {
      const selector = selectorFromObject(budget.spec?.selector);
      return this.#pods.store
        .byIndex(namespaceIndex, budget.metadata.namespace ?? '')
        .filter((pod) => selector.matches(pod.metadata.labels));
    } catch (error) {
      this.#events.event(budget, 'Warning', 'NoPods', `Failed to get pods: ${(error as Error).message}`);
      throw error;
    }
  }

  async #expectation(budget: PodDisruptionBudget, pods: Pod[], signal: AbortSignal): Promise<Expectation> {
    const { minAvailable, maxUnavailable } = budget.spec ?? {};
    if (maxUnavailable == null && minAvailable == null) return { expectedPods: 0, desiredHealthy: 0 };
    if (maxUnavailable == null && typeof minAvailable === 'number')
      return { expectedPods: pods.length, desiredHealthy: minAvailable };
    try {
      const { expected, unmanaged } = await this.#scale.of(pods, signal);
      if (unmanaged.length > 0) this.#tellOfUnmanaged(budget);
      const desiredHealthy =
        maxUnavailable == null
          ? scaledValue(minAvailable, expected, true)
          : Math.max(0, expected - scaledValue(maxUnavailable, expected, true));
      return { expectedPods: expected, desiredHealthy };
    } catch (error) {
      const why = `Failed to calculate the number of expected pods: ${(error as Error).message}`;
      if (!signal.aborted) this.#events.event(budget, 'Warning', 'CalculateExpectedPodCountFailed', why);
      throw error;
    }
  }

  #tellOfUnmanaged(budget: PodDisruptionBudget): void {
    this.#events.event(
      budget,
      'Warning',
      'UnmanagedPods',
      `Pods selected by this PodDisruptionBudget (selector: ${selectorText(budget.spec?.selector)}) were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.`,
    );
  }

  async #write(
    budget: PodDisruptionBudget,
    status: PodDisruptionBudgetStatus,
    signal: AbortSignal,
  ): Promise<void> {
    const options = { subresource: 'status', signal };
    await this.#client.update(policy.poddisruptionbudgets, { ...budget, status }, options);
  }
}

/** Takes back what pods say of a disruption that did not come (upstream: syncStalePodDisruption). */
class StaleDisruptions {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #pods: Informer<Pod>;

  constructor(client: KubeClient, clock: Clock, pods: Informer<Pod>) {
    this.#client = client;
    this.#clock = clock;
    this.#pods = pods;
  }

  wire(queue: WorkQueue): void {
    const look = (pod: Pod): void => {
      const atMs = staleAtMs(pod);
      if (atMs !== undefined) queue.addAfter(keyOf(pod), Math.max(0, atMs - this.#clock.nowMs()));
    };
    this.#pods.addHandler({ add: look, update: look });
  }

  async sync(key: string, signal: AbortSignal): Promise<void | { requeueAfterMs: number }> {
    const pod = this.#pods.store.get(key);
    const atMs = pod && staleAtMs(pod);
    if (!pod || atMs === undefined) return;
    const nowMs = this.#clock.nowMs();
    if (atMs > nowMs) return { requeueAfterMs: atMs - nowMs };
    await patchPodStatus(this.#client, pod, { conditions: [notDisrupted(nowMs)] }, signal);
  }
}
