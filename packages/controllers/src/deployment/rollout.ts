import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import type { EventRecorder } from '@cloudless/kube/events/recorder';
import { apps } from '@cloudless/kube/resources';
import { isAlreadyExists } from '@cloudless/kube/status';
import type { Deployment, ReplicaSet } from '@cloudless/kube/types/apps-v1';
import type { Pod } from '@cloudless/kube/types/core-v1';
import { controllerOf, controllerReference } from '../owner/controller-ref.ts';
import { isPodTerminal } from '../pods/condition.ts';
import { isNamespaceTerminating } from '../pods/pod-control.ts';
import { semanticEqual } from '../runtime/compare.ts';
import { inheritedAnnotations, newSetAnnotations, sizeAnnotations } from './annotations.ts';
import {
  checkAgainMs,
  condition,
  countedStatus,
  hasProgressDeadline,
  isComplete,
  newCondition,
  reasons,
  rolloutStatus,
  withCondition,
} from './conditions.ts';
import { hashLabel, podTemplateHash, templateIdentity } from './hash.ts';
import {
  active,
  activeOrLatest,
  actualReplicas,
  availableReplicas,
  byCreation,
  desired,
  findNew,
  findOld,
  isRolling,
  isSaturated,
  maxRevision,
  maxUnavailable,
  newReplicas,
  proportionalSizes,
  replicasOf,
  revisionAnnotation,
  revisionOf,
  totalReplicas,
} from './replica-sets.ts';

/** A limit of this many old ReplicaSets means none (upstream: math.MaxInt32). */
const noHistoryLimit = 2 ** 31 - 1;

/** What one pass over a Deployment works with. */
export interface RolloutOptions {
  client: KubeClient;
  events: EventRecorder;
  clock: Clock;
  deployment: Deployment;
  /** All that it controls. */
  replicaSets: readonly ReplicaSet[];
  signal: AbortSignal;
}

/**
 * One pass over a Deployment (upstream: pkg/controller/deployment, sync.go, rolling.go, recreate.go). Each pass
 * takes one step and writes the status; what it changed comes back as events and begins the next.
 */
export class Rollout {
  readonly #o: RolloutOptions;
  #d: Deployment;
  #newSet: ReplicaSet | undefined;
  #old: ReplicaSet[];

  constructor(options: RolloutOptions) {
    this.#o = options;
    this.#d = options.deployment;
    this.#newSet = findNew(this.#d, options.replicaSets);
    this.#old = findOld(this.#newSet, options.replicaSets);
  }

  get #all(): ReplicaSet[] {
    return this.#newSet ? [...this.#old, this.#newSet] : this.#old;
  }

  /** Brings only the status up to date: of a Deployment that is being deleted. */
  async statusOnly(): Promise<void> {
    await this.#syncRevision(false);
    await this.#writeStatus(countedStatus(this.#d, this.#all, this.#newSet, this.#now()));
  }

  /** Scales without rolling out: on a change of replicas, and while paused. */
  async scale(): Promise<void> {
    await this.#syncRevision(false);
    const one = activeOrLatest(this.#newSet, this.#old);
    if (one) {
      if (replicasOf(one) !== desired(this.#d)) await this.#resize(one, desired(this.#d));
      else await this.#resizeAnnotations(one);
    } else if (isSaturated(this.#d, this.#newSet)) {
      for (const rs of active(this.#old)) await this.#resize(rs, 0);
    } else if (isRolling(this.#d)) {
      for (const [rs, size] of proportionalSizes(this.#d, this.#all)) await this.#resize(rs, size);
    }
    if (this.#d.spec?.paused) await this.#forgetHistory();
    await this.#writeStatus(countedStatus(this.#d, this.#all, this.#newSet, this.#now()));
  }

  /** Replaces pods a few at a time. Answers when to look again, if nothing else happens. */
  async rolling(): Promise<number | undefined> {
    await this.#syncRevision(true);
    if (await this.#growNew()) return this.#writeProgress();
    if (await this.#shrinkOld()) return this.#writeProgress();
    if (isComplete(this.#d, this.#d.status)) await this.#forgetHistory();
    return this.#writeProgress();
  }

  /** Ends all old pods before it makes new ones. `pods` are those of all its ReplicaSets. */
  async recreate(pods: readonly Pod[]): Promise<number | undefined> {
    await this.#syncRevision(false);
    const running = active(this.#old);
    for (const rs of running) await this.#resize(rs, 0);
    if (running.length > 0 || this.#oldPodsRun(pods)) return this.#writeProgress();
    if (!this.#newSet) await this.#syncRevision(true);
    if (this.#newSet && replicasOf(this.#newSet) !== desired(this.#d)) {
      await this.#resize(this.#newSet, desired(this.#d));
    }
    if (isComplete(this.#d, this.#d.status)) await this.#forgetHistory();
    return this.#writeProgress();
  }

  #oldPodsRun(pods: readonly Pod[]): boolean {
    if (actualReplicas(this.#old) > 0) return true;
    return pods.some((pod) => controllerOf(pod)?.uid !== this.#newSet?.metadata.uid && !isPodTerminal(pod));
  }

  #now(): number {
    return this.#o.clock.nowMs();
  }

  /** Finds the newest ReplicaSet, gives it its revision, and makes it if wanted. */
  async #syncRevision(create: boolean): Promise<void> {
    const revision = maxRevision(this.#old) + 1;
    if (this.#newSet) {
      const annotations = newSetAnnotations(this.#d, this.#newSet, revision);
      const minReadySeconds = this.#d.spec?.minReadySeconds ?? 0;
      const spec = this.#newSet.spec;
      if (
        !semanticEqual(annotations, this.#newSet.metadata.annotations) ||
        (spec?.minReadySeconds ?? 0) !== minReadySeconds
      ) {
        await this.#updateSet({
          ...this.#newSet,
          metadata: { ...this.#newSet.metadata, annotations },
          ...(spec ? { spec: { ...spec, minReadySeconds } } : {}),
        });
      }
      await this.#noteRevision(revisionOf(this.#newSet), reasons.found, 'Found new replica set');
    } else if (create) {
      await this.#create(revision);
    }
  }

  /** The Deployment carries the newest revision, and a Progressing condition from the first moment on. */
  async #noteRevision(revision: number, reason: string, what: string): Promise<void> {
    const d = this.#d;
    let status = d.status ?? {};
    const note = hasProgressDeadline(d) && (reason === reasons.created || !condition(status, 'Progressing'));
    if (note) {
      const message = `${what} ${JSON.stringify(this.#newSet?.metadata.name)}`;
      const next = newCondition('Progressing', 'True', reason, message, this.#now());
      status = { ...status, conditions: withCondition(status.conditions, next) };
    }
    const annotations = { ...d.metadata.annotations, [revisionAnnotation]: String(revision) };
    if (!note && d.metadata.annotations?.[revisionAnnotation] === String(revision)) return;
    await this.#updateDeployment({ ...d, metadata: { ...d.metadata, annotations }, status });
  }

  async #create(revision: number): Promise<void> {
    const d = this.#d;
    const hash = podTemplateHash(d.spec?.template, d.status?.collisionCount);
    const template = d.spec?.template;
    const rs: ReplicaSet = {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: {
        name: `${d.metadata.name}-${hash}`,
        namespace: d.metadata.namespace ?? '',
        labels: { ...template?.metadata?.labels, [hashLabel]: hash },
        annotations: {
          ...inheritedAnnotations(d),
          [revisionAnnotation]: String(revision),
          ...sizeAnnotations(d),
        },
        ownerReferences: [controllerReference(apps.deployments, d)],
      },
      spec: {
        replicas: newReplicas(d, this.#old, 0),
        ...(d.spec?.minReadySeconds ? { minReadySeconds: d.spec.minReadySeconds } : {}),
        selector: {
          ...d.spec?.selector,
          matchLabels: { ...d.spec?.selector.matchLabels, [hashLabel]: hash },
        },
        template: {
          ...template,
          metadata: { ...template?.metadata, labels: { ...template?.metadata?.labels, [hashLabel]: hash } },
        },
      },
    };
    try {
      this.#newSet = await this.#o.client.create(apps.replicasets, rs, { signal: this.#o.signal });
      const size = replicasOf(this.#newSet);
      if (size > 0) {
        const message = `Scaled up replica set ${rs.metadata.name} from 0 to ${size}`;
        this.#o.events.event(d, 'Normal', 'ScalingReplicaSet', message);
      }
    } catch (error) {
      await this.#createFailed(rs, error);
    }
    await this.#noteRevision(revision, reasons.created, 'Created new replica set');
  }

  async #createFailed(rs: ReplicaSet, error: unknown): Promise<void> {
    const d = this.#d;
    if (isAlreadyExists(error)) {
      const { name = '', namespace } = rs.metadata;
      const found = await this.#o.client.get(apps.replicasets, name, { namespace, signal: this.#o.signal });
      const mine = controllerOf(found)?.uid === d.metadata.uid;
      if (mine && templateIdentity(found.spec?.template) === templateIdentity(d.spec?.template)) {
        // Made by an earlier pass that our copy does not show yet.
        this.#newSet = found;
        return;
      }
      // Another template has this hash: the next pass tries another name.
      const status = { ...d.status, collisionCount: (d.status?.collisionCount ?? 0) + 1 };
      await this.#updateDeployment({ ...d, status });
      throw error;
    }
    if (isNamespaceTerminating(error)) throw error;
    const message = `Failed to create new replica set ${JSON.stringify(rs.metadata.name)}: ${(error as Error).message}`;
    if (hasProgressDeadline(d)) {
      const next = newCondition('Progressing', 'False', reasons.failedCreate, message, this.#now());
      const conditions = withCondition(d.status?.conditions, next);
      await this.#writeStatus({ ...d.status, conditions });
    }
    this.#o.events.event(d, 'Warning', reasons.failedCreate, message);
    throw error;
  }

  /** True when it changed the new ReplicaSet's size. */
  async #growNew(): Promise<boolean> {
    const rs = this.#newSet;
    if (!rs || replicasOf(rs) === desired(this.#d)) return false;
    const size =
      replicasOf(rs) > desired(this.#d) ? desired(this.#d) : newReplicas(this.#d, this.#all, replicasOf(rs));
    if (size === replicasOf(rs)) return false;
    await this.#resize(rs, size);
    return true;
  }

  /** Takes away old pods that are not available first, then as many as availability allows. */
  async #shrinkOld(): Promise<boolean> {
    const old = active(this.#old).sort(byCreation);
    if (totalReplicas(old) === 0) return false;
    const minAvailable = desired(this.#d) - maxUnavailable(this.#d);
    const rs = this.#newSet;
    const newUnavailable = rs ? replicasOf(rs) - (rs.status?.availableReplicas ?? 0) : 0;
    const mayGo = totalReplicas(this.#all) - minAvailable - newUnavailable;
    if (mayGo <= 0) return false;
    const cleaned = await this.#dropUnhealthy(old, mayGo);
    const scaled = await this.#dropHealthy(active(this.#old).sort(byCreation), minAvailable);
    return cleaned + scaled > 0;
  }

  async #dropUnhealthy(old: readonly ReplicaSet[], most: number): Promise<number> {
    let dropped = 0;
    for (const rs of old) {
      if (dropped >= most) break;
      const unhealthy = replicasOf(rs) - (rs.status?.availableReplicas ?? 0);
      if (unhealthy <= 0) continue;
      const count = Math.min(most - dropped, unhealthy);
      await this.#resize(rs, replicasOf(rs) - count);
      dropped += count;
    }
    return dropped;
  }

  async #dropHealthy(old: readonly ReplicaSet[], minAvailable: number): Promise<number> {
    const most = availableReplicas(this.#all) - minAvailable;
    let dropped = 0;
    for (const rs of old) {
      if (dropped >= most) break;
      const count = Math.min(replicasOf(rs), most - dropped);
      await this.#resize(rs, replicasOf(rs) - count);
      dropped += count;
    }
    return dropped;
  }

  /** Sets a ReplicaSet's size and the annotations that go with it, and tells of a change of size. */
  async #resize(rs: ReplicaSet, size: number): Promise<void> {
    const from = replicasOf(rs);
    const annotations = { ...rs.metadata.annotations, ...sizeAnnotations(this.#d) };
    if (from === size && semanticEqual(annotations, rs.metadata.annotations)) return;
    const { spec } = rs;
    await this.#updateSet({
      ...rs,
      metadata: { ...rs.metadata, annotations },
      ...(spec ? { spec: { ...spec, replicas: size } } : {}),
    });
    if (from === size) return;
    const direction = from < size ? 'up' : 'down';
    const message = `Scaled ${direction} replica set ${rs.metadata.name} from ${from} to ${size}`;
    this.#o.events.event(this.#d, 'Normal', 'ScalingReplicaSet', message);
  }

  #resizeAnnotations(rs: ReplicaSet): Promise<void> {
    return this.#resize(rs, replicasOf(rs));
  }

  async #updateSet(next: ReplicaSet): Promise<void> {
    const updated = await this.#o.client.update(apps.replicasets, next, { signal: this.#o.signal });
    if (updated.metadata.uid === this.#newSet?.metadata.uid) this.#newSet = updated;
    this.#old = this.#old.map((rs) => (rs.metadata.uid === updated.metadata.uid ? updated : rs));
  }

  async #updateDeployment(next: Deployment): Promise<void> {
    this.#d = await this.#o.client.update(apps.deployments, next, {
      subresource: 'status',
      signal: this.#o.signal,
    });
  }

  /** Deletes the oldest ReplicaSets that run nothing, beyond those kept for going back. */
  async #forgetHistory(): Promise<void> {
    const limit = this.#d.spec?.revisionHistoryLimit;
    if (limit === undefined || limit === noHistoryLimit) return;
    const idle = this.#old.filter((rs) => rs.metadata.deletionTimestamp === undefined);
    idle.sort((a, b) => revisionOf(a) - revisionOf(b) || byCreation(a, b));
    for (const rs of idle.slice(0, Math.max(0, idle.length - limit))) {
      const { name = '', namespace, uid, generation = 0 } = rs.metadata;
      const busy = (rs.status?.replicas ?? 0) !== 0 || replicasOf(rs) !== 0;
      if (busy || generation > (rs.status?.observedGeneration ?? 0)) continue;
      await this.#o.client.delete(apps.replicasets, name, {
        namespace,
        signal: this.#o.signal,
        propagationPolicy: 'Background',
        ...(uid === undefined ? {} : { preconditions: { uid } }),
      });
    }
  }

  async #writeProgress(): Promise<number | undefined> {
    const status = rolloutStatus(this.#d, this.#all, this.#newSet, this.#now());
    await this.#writeStatus(status);
    return checkAgainMs(this.#d, status, this.#now());
  }

  async #writeStatus(status: Deployment['status']): Promise<void> {
    if (semanticEqual(this.#d.status, status)) return;
    await this.#updateDeployment({ ...this.#d, ...(status ? { status } : {}) });
  }
}
