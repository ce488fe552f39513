import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import type { EventRecorder } from '@cloudless/kube/events/recorder';
import { type Informer, keyOf, namespaceIndex } from '@cloudless/kube/informer/informer';
import { apps, core } from '@cloudless/kube/resources';
import { type Selector, selectorFromObject } from '@cloudless/kube/selector/selector';
import { isNotFound } from '@cloudless/kube/status';
import type { ControllerRevision, DaemonSet, DaemonSetStatus } from '@cloudless/kube/types/apps-v1';
import type { Node, Pod } from '@cloudless/kube/types/core-v1';
import { ExponentialBackoff, type WorkQueue } from '@cloudless/kube/workqueue/workqueue';
import {
  claim,
  controllerOf,
  controllerReference,
  controllerUid,
  controllerUidIndex,
  orphansIn,
} from '../owner/controller-ref.ts';
import { Expectations } from '../owner/expectations.ts';
import { isPodAvailable, isPodReady } from '../pods/condition.ts';
import { PodControl, isNamespaceTerminating, slowStart } from '../pods/pod-control.ts';
import { semanticEqual } from '../runtime/compare.ts';
import { type Controller, type ControllerContext, recorderFor, startQueue } from '../runtime/context.ts';
import { currentRevision, forgetRevisions, isNameTaken } from './history.ts';
import { isUpdated, placement, podTemplateFor, revisionHashLabel, targetNode } from './placement.ts';
import { limits, updateStep } from './rolling.ts';

const workers = 2;
/** Upstream: BurstReplicas of the daemon set controller. */
const burstReplicas = 250;
/** A pod that fails is replaced after 1 s, doubling to 15 min, for each node. */
const failedBackoff = { baseMs: 1_000, maxMs: 15 * 60_000 };

/** Keeps one pod of each DaemonSet on each node it wants (upstream: pkg/controller/daemon). */
export function startDaemonSetController(context: ControllerContext): Controller {
  const client = context.clientFor('daemon-set-controller');
  const events = recorderFor(context, 'daemonset-controller', client);
  const informers = {
    sets: context.informers.of(apps.daemonsets),
    pods: context.informers.of(core.pods),
    nodes: context.informers.of(core.nodes),
    revisions: context.informers.of(apps.controllerrevisions),
  };
  informers.pods.addIndex(controllerUidIndex, controllerUid);
  informers.revisions.addIndex(controllerUidIndex, controllerUid);
  const controller = new DaemonSetController({ client, events, clock: context.clock, ...informers });
  return startQueue(
    context,
    {
      name: 'daemonset',
      workers,
      waitFor: Object.values(informers),
      sync: (key, signal) => controller.sync(key, signal),
      owns: [events],
    },
    (queue) => controller.wire(queue),
  );
}

interface Parts {
  client: KubeClient;
  events: EventRecorder;
  clock: Clock;
  sets: Informer<DaemonSet>;
  pods: Informer<Pod>;
  nodes: Informer<Node>;
  revisions: Informer<ControllerRevision>;
}

/** What one pass decides. */
interface Work {
  create: string[];
  remove: Pod[];
}

class DaemonSetController {
  readonly #p: Parts;
  readonly #podControl: PodControl;
  readonly #expectations: Expectations;
  readonly #failed = new ExponentialBackoff<string>(failedBackoff.baseMs, failedBackoff.maxMs);
  /** Until when a failed pod's replacement waits, by DaemonSet and node. */
  readonly #failedUntilMs = new Map<string, number>();

  constructor(parts: Parts) {
    this.#p = parts;
    this.#podControl = new PodControl(parts.client, parts.events);
    this.#expectations = new Expectations(parts.clock);
  }

  wire(queue: WorkQueue): void {
    const { sets, pods, nodes, revisions } = this.#p;
    sets.addHandler({
      add: (ds) => queue.add(keyOf(ds)),
      update: (ds) => queue.add(keyOf(ds)),
      delete: (ds) => {
        this.#expectations.forget(keyOf(ds));
        queue.add(keyOf(ds));
      },
    });
    const gone = (pod: Pod): void => {
      const ds = this.#owner(pod);
      if (!ds) return;
      this.#expectations.deletionObserved(keyOf(ds), pod.metadata.uid ?? '');
      queue.add(keyOf(ds));
    };
    const orphan = (pod: Pod): void => {
      for (const ds of sets.store.byIndex(namespaceIndex, pod.metadata.namespace ?? '')) {
        if (selectorOf(ds)?.matches(pod.metadata.labels)) queue.add(keyOf(ds));
      }
    };
    pods.addHandler({
      add: (pod) => {
        if (pod.metadata.deletionTimestamp !== undefined) return gone(pod);
        if (!controllerOf(pod)) return orphan(pod);
        const ds = this.#owner(pod);
        if (!ds) return undefined;
        this.#expectations.creationObserved(keyOf(ds));
        queue.add(keyOf(ds));
      },
      update: (pod, old) => {
        if (pod.metadata.deletionTimestamp !== undefined) return gone(pod);
        const before = this.#owner(old);
        if (before && controllerOf(pod)?.uid !== controllerOf(old)?.uid) queue.add(keyOf(before));
        if (!controllerOf(pod)) return orphan(pod);
        const ds = this.#owner(pod);
        if (ds) queue.add(keyOf(ds));
      },
      delete: gone,
    });
    nodes.addHandler({
      add: (node) => {
        for (const ds of sets.store.list()) if (placement(ds, node).run) queue.add(keyOf(ds));
      },
      update: (node, old) => {
        if (semanticEqual(node.metadata.labels, old.metadata.labels) && semanticEqual(node.spec, old.spec))
          return;
        for (const ds of sets.store.list()) {
          if (!semanticEqual(placement(ds, node), placement(ds, old))) queue.add(keyOf(ds));
        }
      },
      delete: (node) => {
        for (const ds of sets.store.list()) if (placement(ds, node).stay) queue.add(keyOf(ds));
      },
    });
    revisions.addHandler({
      delete: (revision) => {
        const ds = this.#ownerNamed(revision);
        if (ds) queue.add(keyOf(ds));
      },
    });
  }

  #owner(pod: Pod): DaemonSet | undefined {
    return this.#ownerNamed(pod);
  }

  #ownerNamed(object: Pod | ControllerRevision): DaemonSet | undefined {
    const controller = controllerOf(object);
    if (controller?.kind !== apps.daemonsets.kind) return undefined;
    const ds = this.#p.sets.store.get(`${object.metadata.namespace ?? ''}/${controller.name}`);
    return ds?.metadata.uid === controller.uid ? ds : undefined;
  }

  async sync(key: string, signal: AbortSignal): Promise<void | { requeueAfterMs: number }> {
    const ds = this.#p.sets.store.get(key);
    if (!ds) {
      this.#expectations.forget(key);
      return undefined;
    }
    const selector = selectorOf(ds);
    if (!selector) return undefined;
    if (selector.isEmpty) {
      const message = 'This daemon set is selecting all pods. A non-empty selector is required.';
      this.#p.events.event(ds, 'Warning', 'SelectingAll', message);
      return undefined;
    }
    if (ds.metadata.deletionTimestamp !== undefined) return undefined;
    const { uid = '', namespace } = ds.metadata;
    const owned = { client: this.#p.client, ownerResource: apps.daemonsets, owner: ds, selector, signal };
    const revisions = await claim({ ...owned, resource: apps.controllerrevisions }, [
      ...this.#p.revisions.store.byIndex(controllerUidIndex, uid),
      ...this.#p.revisions.store.byIndex(controllerUidIndex, orphansIn(namespace)),
    ]);
    let current: ControllerRevision;
    try {
      current = await currentRevision(this.#p.client, ds, revisions, signal);
    } catch (error) {
      if (isNamespaceTerminating(error)) return undefined;
      if (isNameTaken(error)) await this.#countCollision(ds, signal);
      throw error;
    }
    const hash = current.metadata.labels?.[revisionHashLabel] ?? '';
    const pods = await claim({ ...owned, resource: core.pods }, [
      ...this.#p.pods.store.byIndex(controllerUidIndex, uid),
      ...this.#p.pods.store.byIndex(controllerUidIndex, orphansIn(namespace)),
    ]);
    const byNode = this.#byNode(pods);
    if (!this.#expectations.satisfied(key)) return this.#writeStatus(ds, byNode, hash, signal);
    const waitMs = await this.#manage(key, ds, byNode, pods, hash, signal);
    if (this.#expectations.satisfied(key)) {
      const { type = 'RollingUpdate' } = ds.spec?.updateStrategy ?? {};
      if (type === 'RollingUpdate') await this.#update(key, ds, byNode, hash, signal);
    }
    const inUse = new Set(pods.map((pod) => pod.metadata.labels?.[revisionHashLabel] ?? ''));
    await forgetRevisions(this.#p.client, ds, revisions, current, inUse, signal);
    const again = await this.#writeStatus(ds, byNode, hash, signal);
    const waits = [waitMs, again?.requeueAfterMs].filter((ms) => ms !== undefined);
    return waits.length > 0 ? { requeueAfterMs: Math.min(...waits) } : undefined;
  }

  #byNode(pods: readonly Pod[]): Map<string, Pod[]> {
    const byNode = new Map<string, Pod[]>(
      this.#p.nodes.store.list().map((node) => [node.metadata.name ?? '', []]),
    );
    for (const pod of pods) {
      const node = targetNode(pod);
      if (node === undefined) continue;
      const there = byNode.get(node);
      if (there) there.push(pod);
      else byNode.set(node, [pod]);
    }
    return byNode;
  }

  /** Makes what is missing and removes what is too much; answers when a failed pod may be replaced. */
  async #manage(
    key: string,
    ds: DaemonSet,
    byNode: ReadonlyMap<string, readonly Pod[]>,
    pods: readonly Pod[],
    hash: string,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const work: Work = { create: [], remove: [] };
    let waitMs: number | undefined;
    for (const [name, there] of byNode) {
      const node = this.#p.nodes.store.get(name);
      if (!node) continue;
      const { run, stay } = placement(ds, node);
      if (!stay) work.remove.push(...there.filter((pod) => pod.metadata.deletionTimestamp === undefined));
      else if (there.length === 0) {
        if (run) work.create.push(name);
      } else waitMs = least(waitMs, this.#tidy(ds, name, there, hash, work));
    }
    // Bound for a node that is gone before they got there: no kubelet will end them.
    for (const pod of pods) {
      const node = targetNode(pod);
      if (pod.spec?.nodeName || node === undefined || this.#p.nodes.store.get(node)) continue;
      if (pod.metadata.deletionTimestamp === undefined) work.remove.push(pod);
    }
    await this.#apply(key, ds, work, hash, signal);
    return waitMs;
  }

  /** On a node where pods may be: ended ones go, and of several living ones all but the oldest of each revision. */
  #tidy(ds: DaemonSet, node: string, there: readonly Pod[], hash: string, work: Work): number | undefined {
    let waitMs: number | undefined;
    const living: Pod[] = [];
    for (const pod of there) {
      if (pod.metadata.deletionTimestamp !== undefined) continue;
      const phase = pod.status?.phase;
      const what = `daemon pod ${keyOf(pod)} on node ${node}`;
      if (phase === 'Succeeded') {
        this.#p.events.event(
          ds,
          'Normal',
          'SucceededDaemonPod',
          `Found succeeded ${what}, will try to delete it`,
        );
        work.remove.push(pod);
      } else if (phase === 'Failed') {
        const left = this.#failedWaitMs(ds, node);
        waitMs = least(waitMs, left);
        if (left !== undefined) continue;
        this.#p.events.event(ds, 'Warning', 'FailedDaemonPod', `Found failed ${what}, will try to kill it`);
        work.remove.push(pod);
      } else living.push(pod);
    }
    const surges = limits(ds, 1).surge > 0;
    const kinds = surges
      ? [living.filter((pod) => isUpdated(ds, pod, hash)), living.filter((pod) => !isUpdated(ds, pod, hash))]
      : [living];
    for (const kind of kinds) work.remove.push(...kind.sort(oldestFirst).slice(1));
    return waitMs;
  }

  /** Milliseconds for which this node's failed pod stays; undefined when it may go now. */
  #failedWaitMs(ds: DaemonSet, node: string): number | undefined {
    const nowMs = this.#p.clock.monotonicMs();
    const key = `${ds.metadata.uid}/${node}`;
    const untilMs = this.#failedUntilMs.get(key);
    if (untilMs !== undefined && nowMs < untilMs) return untilMs - nowMs;
    this.#failedUntilMs.set(key, nowMs + this.#failed.whenMs(key));
    return undefined;
  }

  async #update(
    key: string,
    ds: DaemonSet,
    byNode: ReadonlyMap<string, readonly Pod[]>,
    hash: string,
    signal: AbortSignal,
  ): Promise<void> {
    const wanted = new Map([...byNode].filter(([name]) => this.#wants(ds, name)));
    const { remove, surge } = updateStep(ds, wanted, wanted.size, hash, this.#p.clock.nowMs());
    await this.#apply(key, ds, { create: surge, remove }, hash, signal);
  }

  #wants(ds: DaemonSet, nodeName: string): boolean {
    const node = this.#p.nodes.store.get(nodeName);
    return node !== undefined && placement(ds, node).run;
  }

  async #apply(key: string, ds: DaemonSet, work: Work, hash: string, signal: AbortSignal): Promise<void> {
    const create = work.create.slice(0, burstReplicas);
    const remove = work.remove.slice(0, burstReplicas);
    if (create.length + remove.length === 0) return;
    this.#expectations.raise(
      key,
      create.length,
      remove.map((pod) => pod.metadata.uid ?? ''),
    );
    const reference = controllerReference(apps.daemonsets, ds);
    const nodes = [...create];
    const { succeeded, error } = await slowStart(create.length, async () => {
      const node = nodes.shift() ?? '';
      try {
        await this.#podControl.create(podTemplateFor(ds, node, hash), ds, reference, { signal });
      } catch (failure) {
        if (!isNamespaceTerminating(failure)) throw failure;
        this.#expectations.creationObserved(key);
      }
    });
    for (let i = succeeded; i < create.length; i++) this.#expectations.creationObserved(key);
    const results = await Promise.allSettled(remove.map((pod) => this.#remove(key, ds, pod, signal)));
    const failed = results.find((result) => result.status === 'rejected');
    if (error) throw error;
    if (failed) throw failed.reason;
  }

  async #remove(key: string, ds: DaemonSet, pod: Pod, signal: AbortSignal): Promise<void> {
    try {
      await this.#podControl.delete(pod, ds, signal);
    } catch (error) {
      this.#expectations.deletionObserved(key, pod.metadata.uid ?? '');
      if (!isNotFound(error)) throw error;
    }
  }

  async #countCollision(ds: DaemonSet, signal: AbortSignal): Promise<void> {
    const status = { ...emptyStatus, ...ds.status, collisionCount: (ds.status?.collisionCount ?? 0) + 1 };
    await this.#p.client.update(apps.daemonsets, { ...ds, status }, { subresource: 'status', signal });
  }

  async #writeStatus(
    ds: DaemonSet,
    byNode: ReadonlyMap<string, readonly Pod[]>,
    hash: string,
    signal: AbortSignal,
  ): Promise<{ requeueAfterMs: number } | undefined> {
    const status = this.#status(ds, byNode, hash);
    if (!semanticEqual(ds.status, status)) {
      try {
        await this.#p.client.update(apps.daemonsets, { ...ds, status }, { subresource: 'status', signal });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
    const minReadySeconds = ds.spec?.minReadySeconds ?? 0;
    const waits = minReadySeconds > 0 && status.numberReady !== (status.numberAvailable ?? 0);
    return waits ? { requeueAfterMs: minReadySeconds * 1000 } : undefined;
  }

  #status(ds: DaemonSet, byNode: ReadonlyMap<string, readonly Pod[]>, hash: string): DaemonSetStatus {
    const count = { desired: 0, current: 0, missed: 0, ready: 0, available: 0, updated: 0 };
    const nowMs = this.#p.clock.nowMs();
    for (const [name, pods] of byNode) {
      if (!this.#p.nodes.store.get(name)) continue;
      const wanted = this.#wants(ds, name);
      if (!wanted) {
        if (pods.length > 0) count.missed++;
        continue;
      }
      count.desired++;
      const pod = [...pods].sort(
        (a, b) => Number(isPodReady(b)) - Number(isPodReady(a)) || oldestFirst(a, b),
      )[0];
      if (!pod) continue;
      count.current++;
      if (isPodReady(pod)) count.ready++;
      if (isPodAvailable(pod, ds.spec?.minReadySeconds ?? 0, nowMs)) count.available++;
      if (pods.some((one) => isUpdated(ds, one, hash))) count.updated++;
    }
    return {
      ...(ds.status?.collisionCount === undefined ? {} : { collisionCount: ds.status.collisionCount }),
      ...(ds.status?.conditions ? { conditions: ds.status.conditions } : {}),
      ...(ds.metadata.generation === undefined ? {} : { observedGeneration: ds.metadata.generation }),
      desiredNumberScheduled: count.desired,
      currentNumberScheduled: count.current,
      numberMisscheduled: count.missed,
      numberReady: count.ready,
      ...(count.updated > 0 ? { updatedNumberScheduled: count.updated } : {}),
      ...(count.available > 0 ? { numberAvailable: count.available } : {}),
      ...(count.desired > count.available ? { numberUnavailable: count.desired - count.available } : {}),
    };
  }
}

const emptyStatus: DaemonSetStatus = {
  currentNumberScheduled: 0,
  desiredNumberScheduled: 0,
  numberMisscheduled: 0,
  numberReady: 0,
};

function least(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}

function oldestFirst(a: Pod, b: Pod): number {
  const at = (pod: Pod): string => `${pod.metadata.creationTimestamp ?? ''} ${pod.metadata.name ?? ''}`;
  return at(a) < at(b) ? -1 : 1;
}

function selectorOf(ds: DaemonSet): Selector | undefined {
  try {
    return selectorFromObject(ds.spec?.selector);
  } catch {
    return undefined;
  }
}
