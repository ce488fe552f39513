import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import type { EventRecorder } from '@cloudless/kube/events/recorder';
import { type Informer, keyOf, namespaceIndex } from '@cloudless/kube/informer/informer';
import { apps, core } from '@cloudless/kube/resources';
import { Selector, selectorFromObject } from '@cloudless/kube/selector/selector';
import { isNotFound } from '@cloudless/kube/status';
import type { Deployment, ReplicaSet } from '@cloudless/kube/types/apps-v1';
import type { Pod } from '@cloudless/kube/types/core-v1';
import type { WorkQueue } from '@cloudless/kube/workqueue/workqueue';
import {
  claim,
  controllerOf,
  controllerUid,
  controllerUidIndex,
  orphansIn,
} from '../owner/controller-ref.ts';
import { isNamespaceTerminating } from '../pods/pod-control.ts';
import { semanticEqual } from '../runtime/compare.ts';
import { type Controller, type ControllerContext, recorderFor, startQueue } from '../runtime/context.ts';
import { condition, hasProgressDeadline, newCondition, reasons, withCondition } from './conditions.ts';
import { hashLabel, templateIdentity } from './hash.ts';
import {
  active,
  desired,
  desiredReplicasAnnotation,
  isRolling,
  revisionOf,
  rollbackAnnotation,
} from './replica-sets.ts';
import { Rollout } from './rollout.ts';

const workers = 5;

/** Rolls Deployments out through ReplicaSets (upstream: pkg/controller/deployment). */
export function startDeploymentController(context: ControllerContext): Controller {
  const client = context.clientFor('deployment-controller');
  const events = recorderFor(context, 'deployment-controller', client);
  const deployments = context.informers.of(apps.deployments);
  const replicaSets = context.informers.of(apps.replicasets);
  const pods = context.informers.of(core.pods);
  replicaSets.addIndex(controllerUidIndex, controllerUid);
  pods.addIndex(controllerUidIndex, controllerUid);
  const controller = new DeploymentController(client, context.clock, events, deployments, replicaSets, pods);
  return startQueue(
    context,
    {
      name: 'deployment',
      workers,
      waitFor: [deployments, replicaSets, pods],
      sync: (key, signal) => controller.sync(key, signal),
      owns: [events],
    },
    (queue) => controller.wire(queue),
  );
}

class DeploymentController {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #events: EventRecorder;
  readonly #deployments: Informer<Deployment>;
  readonly #replicaSets: Informer<ReplicaSet>;
  readonly #pods: Informer<Pod>;

  constructor(
    client: KubeClient,
    clock: Clock,
    events: EventRecorder,
    deployments: Informer<Deployment>,
    replicaSets: Informer<ReplicaSet>,
    pods: Informer<Pod>,
  ) {
    this.#client = client;
    this.#clock = clock;
    this.#events = events;
    this.#deployments = deployments;
    this.#replicaSets = replicaSets;
    this.#pods = pods;
  }

  wire(queue: WorkQueue): void {
    this.#deployments.addHandler({
      add: (d) => queue.add(keyOf(d)),
      update: (d) => queue.add(keyOf(d)),
      delete: (d) => queue.add(keyOf(d)),
    });
    const enqueueOwner = (rs: ReplicaSet): boolean => {
      const owner = this.#ownerOf(rs);
      if (owner) queue.add(keyOf(owner));
      return controllerOf(rs) !== undefined;
    };
    const enqueueMatching = (rs: ReplicaSet): void => {
      for (const d of this.#deployments.store.byIndex(namespaceIndex, rs.metadata.namespace ?? '')) {
        if (selectorOf(d)?.matches(rs.metadata.labels)) queue.add(keyOf(d));
      }
    };
    this.#replicaSets.addHandler({
      add: (rs) => {
        if (!enqueueOwner(rs)) enqueueMatching(rs);
      },
      update: (rs, old) => {
        const ownerChanged = controllerOf(rs)?.uid !== controllerOf(old)?.uid;
        if (ownerChanged) enqueueOwner(old);
        if (enqueueOwner(rs)) return;
        if (ownerChanged || !semanticEqual(rs.metadata.labels, old.metadata.labels)) enqueueMatching(rs);
      },
      delete: (rs) => enqueueOwner(rs),
    });
    this.#pods.addHandler({
      // Recreate waits for the last old pod to be gone; nothing else here looks at pods.
      delete: (pod) => {
        const owner = controllerOf(pod);
        const rs = owner && this.#replicaSets.store.get(`${pod.metadata.namespace ?? ''}/${owner.name}`);
        const d = rs && this.#ownerOf(rs);
        if (d && !isRolling(d)) queue.add(keyOf(d));
      },
      update: (pod, old) => {
        if (pod.status?.phase === old.status?.phase) return;
        const owner = controllerOf(pod);
        const rs = owner && this.#replicaSets.store.get(`${pod.metadata.namespace ?? ''}/${owner.name}`);
        const d = rs && this.#ownerOf(rs);
        if (d && !isRolling(d)) queue.add(keyOf(d));
      },
    });
  }

  #ownerOf(rs: ReplicaSet): Deployment | undefined {
    const controller = controllerOf(rs);
    if (controller?.kind !== apps.deployments.kind) return undefined;
    const d = this.#deployments.store.get(`${rs.metadata.namespace ?? ''}/${controller.name}`);
    return d?.metadata.uid === controller.uid ? d : undefined;
  }

  async sync(key: string, signal: AbortSignal): Promise<void | { requeueAfterMs: number }> {
    let d = this.#deployments.store.get(key);
    if (!d) return;
    const selector = selectorOf(d);
    if (!selector) return;
    if (selector.isEmpty) {
      await this.#selectsAll(d, signal);
      return;
    }
    const candidates = [
      ...this.#replicaSets.store.byIndex(controllerUidIndex, d.metadata.uid ?? ''),
      ...this.#replicaSets.store.byIndex(controllerUidIndex, orphansIn(d.metadata.namespace)),
    ];
    const replicaSets = await claim(
      {
        client: this.#client,
        ownerResource: apps.deployments,
        owner: d,
        selector,
        resource: apps.replicasets,
        signal,
      },
      candidates,
    );
    try {
      if (d.metadata.deletionTimestamp === undefined) {
        d = await this.#notePause(d, signal);
        const rolledBack = d.spec?.paused ? undefined : await this.#rollback(d, replicaSets, signal);
        if (rolledBack) return;
      }
      const waitMs = await this.#step(d, replicaSets, signal);
      if (waitMs !== undefined) return { requeueAfterMs: waitMs };
    } catch (error) {
      // Deleted meanwhile, or its namespace is: events of that will come.
      if (isNamespaceTerminating(error)) return;
      if (isNotFound(error) && this.#deployments.store.get(key)?.metadata.uid !== d.metadata.uid) return;
      throw error;
    }
  }

  async #step(
    d: Deployment,
    replicaSets: readonly ReplicaSet[],
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const rollout = new Rollout({
      client: this.#client,
      events: this.#events,
      clock: this.#clock,
      deployment: d,
      replicaSets,
      signal,
    });
    if (d.metadata.deletionTimestamp !== undefined) await rollout.statusOnly();
    else if (d.spec?.paused || isScaling(d, replicaSets)) await rollout.scale();
    else if (isRolling(d)) return rollout.rolling();
    else {
      const pods = replicaSets.flatMap((rs) =>
        this.#pods.store.byIndex(controllerUidIndex, rs.metadata.uid ?? ''),
      );
      return rollout.recreate(pods);
    }
    return undefined;
  }

  async #selectsAll(d: Deployment, signal: AbortSignal): Promise<void> {
    const message = 'This deployment is selecting all pods. A non-empty selector is required.';
    this.#events.event(d, 'Warning', 'SelectingAll', message);
    const { generation = 0 } = d.metadata;
    if ((d.status?.observedGeneration ?? 0) >= generation) return;
    const status = { ...d.status, observedGeneration: generation };
    await this.#client.update(apps.deployments, { ...d, status }, { subresource: 'status', signal });
  }

  /** A pause stops the deadline: the condition says so, and starts it anew when it is over. */
  async #notePause(d: Deployment, signal: AbortSignal): Promise<Deployment> {
    const current = condition(d.status, 'Progressing');
    if (!hasProgressDeadline(d) || current?.reason === reasons.timedOut) return d;
    const paused = d.spec?.paused === true;
    if (paused === (current?.reason === reasons.paused)) return d;
    const nowMs = this.#clock.nowMs();
    const next = paused
      ? newCondition('Progressing', 'Unknown', reasons.paused, 'Deployment is paused', nowMs)
      : newCondition('Progressing', 'Unknown', reasons.resumed, 'Deployment is resumed', nowMs);
    const status = { ...d.status, conditions: withCondition(d.status?.conditions, next) };
    return this.#client.update(apps.deployments, { ...d, status }, { subresource: 'status', signal });
  }

  /** Goes back to the revision an annotation asks for (what `extensions/v1beta1` called rollbackTo). */
  async #rollback(
    d: Deployment,
    replicaSets: readonly ReplicaSet[],
    signal: AbortSignal,
  ): Promise<Deployment | undefined> {
    const asked = d.metadata.annotations?.[rollbackAnnotation];
    if (asked === undefined) return undefined;
    const { [rollbackAnnotation]: _, ...annotations } = d.metadata.annotations ?? {};
    const cleared: Deployment = { ...d, metadata: { ...d.metadata, annotations } };
    const sorted = replicaSets
      .filter((rs) => revisionOf(rs) > 0)
      .sort((a, b) => revisionOf(b) - revisionOf(a));
    // Revision 0 is the one before the current.
    const target = asked === '0' ? sorted[1] : sorted.find((rs) => String(revisionOf(rs)) === asked);
    if (!target?.spec?.template || !d.spec) {
      this.#events.event(d, 'Warning', 'DeploymentRollbackRevisionNotFound', 'Unable to find last revision.');
      return this.#client.update(apps.deployments, cleared, { signal });
    }
    if (templateIdentity(target.spec.template) === templateIdentity(d.spec.template)) {
      const message = `The rollback revision contains the same template as current deployment ${JSON.stringify(d.metadata.name)}`;
      this.#events.event(d, 'Warning', 'DeploymentRollbackTemplateUnchanged', message);
      return this.#client.update(apps.deployments, cleared, { signal });
    }
    const { [hashLabel]: __, ...labels } = target.spec.template.metadata?.labels ?? {};
    const template = { ...target.spec.template, metadata: { ...target.spec.template.metadata, labels } };
    const message = `Rolled back deployment ${JSON.stringify(d.metadata.name)} to revision ${revisionOf(target)}`;
    const updated = await this.#client.update(
      apps.deployments,
      { ...cleared, spec: { ...d.spec, template } },
      { signal },
    );
    this.#events.event(d, 'Normal', 'DeploymentRollback', message);
    return updated;
  }
}

/** Some active ReplicaSet was sized for another number of replicas. */
function isScaling(d: Deployment, replicaSets: readonly ReplicaSet[]): boolean {
  return active(replicaSets).some((rs) => {
    const text = rs.metadata.annotations?.[desiredReplicasAnnotation];
    return text !== undefined && Number(text) !== desired(d);
  });
}

function selectorOf(d: Deployment): Selector | undefined {
  try {
    return selectorFromObject(d.spec?.selector);
  } catch {
    return undefined;
  }
}
