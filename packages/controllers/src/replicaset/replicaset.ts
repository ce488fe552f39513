import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { type Informer, keyOf, namespaceIndex } from '@cloudless/kube/informer/informer';
import { apps, core } from '@cloudless/kube/resources';
import { Selector, selectorFromObject } from '@cloudless/kube/selector/selector';
import { isNotFound } from '@cloudless/kube/status';
import type { ReplicaSet } from '@cloudless/kube/types/apps-v1';
import type { Pod } from '@cloudless/kube/types/core-v1';
import type { WorkQueue } from '@cloudless/kube/workqueue/workqueue';
import {
  claim,
  controllerOf,
  controllerReference,
  controllerUid,
  controllerUidIndex,
  orphansIn,
} from '../owner/controller-ref.ts';
import { Expectations } from '../owner/expectations.ts';
import { isPodActive, isPodReady } from '../pods/condition.ts';
import { deletionOrder } from '../pods/deletion-order.ts';
import { PodControl, isNamespaceTerminating, slowStart } from '../pods/pod-control.ts';
import { type Controller, type ControllerContext, recorderFor, startQueue } from '../runtime/context.ts';
import { type ReplicaFailure, replicaSetStatus, sameStatus } from './status.ts';

/** Pods made or removed in one go (upstream: BurstReplicas). */
const burstReplicas = 500;
const workers = 5;

/** Keeps as many pods as each ReplicaSet asks for (upstream: pkg/controller/replicaset). */
export function startReplicaSetController(context: ControllerContext): Controller {
  const client = context.clientFor('replicaset-controller');
  const events = recorderFor(context, 'replicaset-controller', client);
  const replicaSets = context.informers.of(apps.replicasets);
  const pods = context.informers.of(core.pods);
  pods.addIndex(controllerUidIndex, controllerUid);
  replicaSets.addIndex(controllerUidIndex, controllerUid);
  const controller = new ReplicaSetController(
    client,
    context.clock,
    new PodControl(client, events),
    replicaSets,
    pods,
  );
  return startQueue(
    context,
    {
      name: 'replicaset',
      workers,
      waitFor: [replicaSets, pods],
      sync: (key, signal) => controller.sync(key, signal),
      owns: [events],
    },
    (queue) => controller.wire(queue),
  );
}

class ReplicaSetController {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #podControl: PodControl;
  readonly #replicaSets: Informer<ReplicaSet>;
  readonly #pods: Informer<Pod>;
  readonly #expectations: Expectations;
  #queue: WorkQueue | undefined;

  constructor(
    client: KubeClient,
    clock: Clock,
    podControl: PodControl,
    replicaSets: Informer<ReplicaSet>,
    pods: Informer<Pod>,
  ) {
    this.#client = client;
    this.#clock = clock;
    this.#podControl = podControl;
    this.#replicaSets = replicaSets;
    this.#pods = pods;
    this.#expectations = new Expectations(clock);
  }

  wire(queue: WorkQueue): void {
    this.#queue = queue;
    this.#replicaSets.addHandler({
      add: (rs) => queue.add(keyOf(rs)),
      update: (rs, old) => {
        if (rs.metadata.uid !== old.metadata.uid) this.#expectations.forget(keyOf(old));
        queue.add(keyOf(rs));
      },
      delete: (rs) => {
        this.#expectations.forget(keyOf(rs));
        queue.add(keyOf(rs));
      },
    });
    this.#pods.addHandler({
      add: (pod) => this.#podAdded(pod),
      update: (pod, old) => this.#podUpdated(pod, old),
      delete: (pod) => this.#podDeleted(pod),
    });
  }

  /** The ReplicaSet that controls a pod. */
  #owner(object: Pod): ReplicaSet | undefined {
    const controller = controllerOf(object);
    if (controller?.kind !== apps.replicasets.kind) return undefined;
    const rs = this.#replicaSets.store.get(`${object.metadata.namespace ?? ''}/${controller.name}`);
    return rs?.metadata.uid === controller.uid ? rs : undefined;
  }

  #enqueueMatching(pod: Pod): void {
    for (const rs of this.#replicaSets.store.byIndex(namespaceIndex, pod.metadata.namespace ?? '')) {
      if (selectorOf(rs)?.matches(pod.metadata.labels)) this.#queue?.add(keyOf(rs));
    }
  }

  #podAdded(pod: Pod): void {
    // After a restart of this controller a pod may appear that is being deleted: no creation of ours.
    if (pod.metadata.deletionTimestamp !== undefined) {
      this.#podDeleted(pod);
      return;
    }
    if (!controllerOf(pod)) {
      this.#enqueueMatching(pod);
      return;
    }
    const rs = this.#owner(pod);
    if (!rs) return;
    this.#expectations.creationObserved(keyOf(rs));
    this.#queue?.add(keyOf(rs));
  }

  #podUpdated(pod: Pod, old: Pod): void {
    const labelsChanged = JSON.stringify(pod.metadata.labels) !== JSON.stringify(old.metadata.labels);
    if (pod.metadata.deletionTimestamp !== undefined) {
      // Deletion has begun: it counts as gone, so that its replacement need not wait for its grace.
      this.#podDeleted(pod);
      if (labelsChanged) this.#podDeleted(old);
      return;
    }
    const ownerChanged = controllerOf(pod)?.uid !== controllerOf(old)?.uid;
    if (ownerChanged) {
      const before = this.#owner(old);
      if (before) this.#queue?.add(keyOf(before));
    }
    if (!controllerOf(pod)) {
      if (labelsChanged || ownerChanged) this.#enqueueMatching(pod);
      return;
    }
    const rs = this.#owner(pod);
    if (!rs) return;
    this.#queue?.add(keyOf(rs));
    const minReadySeconds = rs.spec?.minReadySeconds ?? 0;
    // Looked at again when it becomes available; a second more, for clocks are whole seconds.
    if (!isPodReady(old) && isPodReady(pod) && minReadySeconds > 0) {
      this.#queue?.addAfter(keyOf(rs), (minReadySeconds + 1) * 1000);
    }
  }

  #podDeleted(pod: Pod): void {
    const rs = this.#owner(pod);
    if (!rs) return;
    this.#expectations.deletionObserved(keyOf(rs), pod.metadata.uid ?? '');
    this.#queue?.add(keyOf(rs));
  }

  async sync(key: string, signal: AbortSignal): Promise<void | { requeueAfterMs: number }> {
    const rs = this.#replicaSets.store.get(key);
    if (!rs) {
      this.#expectations.forget(key);
      return;
    }
    const caughtUp = this.#expectations.satisfied(key);
    const selector = selectorOf(rs);
    // An invalid selector will not mend by trying again.
    if (!selector) return;
    const candidates = [
      ...this.#pods.store.byIndex(controllerUidIndex, rs.metadata.uid ?? ''),
      ...this.#pods.store.byIndex(controllerUidIndex, orphansIn(rs.metadata.namespace)),
    ];
    const terminating = candidates.filter(
      (pod) => pod.metadata.deletionTimestamp !== undefined && controllerOf(pod)?.uid === rs.metadata.uid,
    );
    const active = await claim(
      {
        client: this.#client,
        ownerResource: apps.replicasets,
        owner: rs,
        selector,
        resource: core.pods,
        signal,
      },
      candidates.filter(isPodActive),
    );
    let outcome: { failure?: ReplicaFailure; error?: unknown } = {};
    if (caughtUp && rs.metadata.deletionTimestamp === undefined) {
      outcome = await this.#manageReplicas(key, rs, active, signal);
    }
    const updated = await this.#updateStatus(rs, active, terminating, outcome.failure, signal);
    if (outcome.error) throw outcome.error;
    const minReadySeconds = updated.spec?.minReadySeconds ?? 0;
    const status = updated.status;
    // Clock skew between nodes may have moved the moment of availability: look once more.
    if (
      minReadySeconds > 0 &&
      status?.readyReplicas === (rs.spec?.replicas ?? 1) &&
      status.availableReplicas !== status.readyReplicas
    ) {
      return { requeueAfterMs: minReadySeconds * 1000 };
    }
  }

  async #manageReplicas(
    key: string,
    rs: ReplicaSet,
    active: readonly Pod[],
    signal: AbortSignal,
  ): Promise<{ failure?: ReplicaFailure; error?: unknown }> {
    const missing = (rs.spec?.replicas ?? 1) - active.length;
    if (missing > 0) return this.#create(key, rs, Math.min(missing, burstReplicas), signal);
    if (missing < 0) return this.#delete(key, rs, active, Math.min(-missing, burstReplicas), signal);
    return {};
  }

  async #create(
    key: string,
    rs: ReplicaSet,
    count: number,
    signal: AbortSignal,
  ): Promise<{ failure?: ReplicaFailure; error?: unknown }> {
    this.#expectations.expectCreations(key, count);
    const reference = controllerReference(apps.replicasets, rs);
    const template = rs.spec?.template ?? {};
    const { succeeded, error } = await slowStart(count, async () => {
      try {
        await this.#podControl.create(template, rs, reference, { signal });
      } catch (failure) {
        if (!isNamespaceTerminating(failure)) throw failure;
        this.#expectations.creationObserved(key);
      }
    });
    // What was not created will not be seen.
    for (let i = succeeded; i < count; i++) this.#expectations.creationObserved(key);
    return error ? { error, failure: { reason: 'FailedCreate', message: (error as Error).message } } : {};
  }

  async #delete(
    key: string,
    rs: ReplicaSet,
    active: readonly Pod[],
    count: number,
    signal: AbortSignal,
  ): Promise<{ failure?: ReplicaFailure; error?: unknown }> {
    const victims =
      count < active.length
        ? deletionOrder(active, this.#crowds(rs), this.#clock.nowMs()).slice(0, count)
        : active;
    this.#expectations.expectDeletions(
      key,
      victims.map((pod) => pod.metadata.uid ?? ''),
    );
    const results = await Promise.allSettled(
      victims.map(async (pod) => {
        try {
          await this.#podControl.delete(pod, rs, signal);
        } catch (error) {
          this.#expectations.deletionObserved(key, pod.metadata.uid ?? '');
          if (!isNotFound(error)) throw error;
        }
      }),
    );
    const failed = results.find((result) => result.status === 'rejected');
    if (!failed) return {};
    const message = (failed.reason as Error).message;
    return { error: failed.reason, failure: { reason: 'FailedDelete', message } };
  }

  /** How many pods of this ReplicaSet and its siblings (of one Deployment) each node holds. */
  #crowds(rs: ReplicaSet): Map<string, number> {
    const owner = controllerOf(rs);
    const related = owner ? this.#replicaSets.store.byIndex(controllerUidIndex, owner.uid) : [rs];
    const crowds = new Map<string, number>();
    for (const sibling of related) {
      for (const pod of this.#pods.store.byIndex(controllerUidIndex, sibling.metadata.uid ?? '')) {
        if (!isPodActive(pod)) continue;
        const node = pod.spec?.nodeName ?? '';
        crowds.set(node, (crowds.get(node) ?? 0) + 1);
      }
    }
    return crowds;
  }

  async #updateStatus(
    rs: ReplicaSet,
    active: readonly Pod[],
    terminating: readonly Pod[],
    failure: ReplicaFailure | undefined,
    signal: AbortSignal,
  ): Promise<ReplicaSet> {
    const status = replicaSetStatus(rs, active, terminating, failure, this.#clock.nowMs());
    if (sameStatus(rs.status, status)) return rs;
    try {
      return await this.#client.update(
        apps.replicasets,
        { ...rs, status },
        { subresource: 'status', signal },
      );
    } catch (error) {
      if (isNotFound(error)) return rs;
      throw error;
    }
  }
}

/** Undefined for a selector that is invalid or selects everything, as such a set must not take pods. */
function selectorOf(rs: ReplicaSet): Selector | undefined {
  try {
    const selector = selectorFromObject(rs.spec?.selector);
    return selector.isEmpty ? undefined : selector;
  } catch {
    return undefined;
  }
}
