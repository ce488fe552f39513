import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { type Informer, keyOf } from '@cloudless/kube/informer/informer';
import { core } from '@cloudless/kube/resources';
import { isConflict, isNotFound } from '@cloudless/kube/status';
import { parseTime } from '@cloudless/kube/time';
import type { Node, Pod } from '@cloudless/kube/types/core-v1';
import type { WorkQueue } from '@cloudless/kube/workqueue/workqueue';
import { nodeName, nodeNameIndex } from '../endpointslice/watch-services.ts';
import { isPodTerminal } from '../pods/condition.ts';
import { noteDisruption } from '../pods/disrupt.ts';
import { type Controller, type ControllerContext, startQueue } from '../runtime/context.ts';

const workers = 5;
/** Ended pods beyond this number go, the oldest first (upstream: --terminated-pod-gc-threshold). */
const terminatedThreshold = 12_500;
/** How often ended pods are counted, at most. */
const terminatedEveryMs = 20_000;
/** A node that is gone may come back (upstream: quarantineTime). */
const quarantineMs = 40_000;
const outOfServiceTaint = 'node.kubernetes.io/out-of-service';

const terminatedIndex = 'terminated';
const terminatedItem = 'terminated';

/** Removes pods that nobody else will (upstream: pkg/controller/podgc). */
export function startPodGcController(context: ControllerContext): Controller {
  const pods = context.informers.of(core.pods);
  const nodes = context.informers.of(core.nodes);
  pods.addIndex(nodeNameIndex, nodeName);
  pods.addIndex(terminatedIndex, (pod) => (isPodTerminal(pod) ? ['yes'] : []));
  const gc = new PodGc(context.clientFor('pod-garbage-collector'), context.clock, pods, nodes);
  return startQueue(
    context,
    { name: 'pod_gc', workers, waitFor: [pods, nodes], sync: (item, signal) => gc.sync(item, signal) },
    (queue) => gc.wire(queue),
  );
}

class PodGc {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #pods: Informer<Pod>;
  readonly #nodes: Informer<Node>;

  constructor(client: KubeClient, clock: Clock, pods: Informer<Pod>, nodes: Informer<Node>) {
    this.#client = client;
    this.#clock = clock;
    this.#pods = pods;
    this.#nodes = nodes;
  }

  /** Items of the queue: `pod/NAMESPACE/NAME`, `node/NAME`, or `terminated`. */
  wire(queue: WorkQueue): void {
    const look = (pod: Pod): void => {
      const node = pod.spec?.nodeName ?? '';
      if (pod.metadata.deletionTimestamp !== undefined && (node === '' || this.#isOutOfService(node))) {
        queue.add(`pod/${keyOf(pod)}`);
      }
      if (isPodTerminal(pod) && this.#terminated().length > terminatedThreshold) {
        queue.addAfter(terminatedItem, terminatedEveryMs);
      }
    };
    const quarantine = (name: string): void => queue.addAfter(`node/${name}`, quarantineMs);
    this.#pods.addHandler({
      add: (pod) => {
        look(pod);
        const node = pod.spec?.nodeName ?? '';
        if (node !== '' && !this.#nodes.store.get(node)) quarantine(node);
      },
      update: look,
    });
    this.#nodes.addHandler({
      delete: (node) => quarantine(node.metadata.name ?? ''),
      update: (node) => {
        const name = node.metadata.name ?? '';
        if (!this.#isOutOfService(name)) return;
        for (const pod of this.#pods.store.byIndex(nodeNameIndex, name)) look(pod);
      },
    });
  }

  #terminated(): Pod[] {
    return this.#pods.store.byIndex(terminatedIndex, 'yes');
  }

  /** An administrator says that the node is shut down for good, and it is not ready. */
  #isOutOfService(name: string): boolean {
    const node = this.#nodes.store.get(name);
    const ready = node?.status?.conditions?.find((condition) => condition.type === 'Ready');
    return (
      ready?.status !== 'True' && (node?.spec?.taints ?? []).some((taint) => taint.key === outOfServiceTaint)
    );
  }

  async sync(item: string, signal: AbortSignal): Promise<void> {
    if (item === terminatedItem) await this.#trim(signal);
    else if (item.startsWith('node/')) await this.#orphans(item.slice('node/'.length), signal);
    else await this.#one(item.slice('pod/'.length), signal);
  }

  async #one(key: string, signal: AbortSignal): Promise<void> {
    const pod = this.#pods.store.get(key);
    if (!pod || pod.metadata.deletionTimestamp === undefined) return;
    const node = pod.spec?.nodeName ?? '';
    if (node !== '' && !this.#isOutOfService(node)) return;
    await this.#end(pod, node === '' ? undefined : `PodGC: node didn't come back`, signal);
  }

  /** Pods of a node that has been gone for the time of quarantine, and is gone still. */
  async #orphans(name: string, signal: AbortSignal): Promise<void> {
    const orphans = this.#pods.store.byIndex(nodeNameIndex, name);
    if (orphans.length === 0 || this.#nodes.store.get(name)) return;
    try {
      await this.#client.get(core.nodes, name, { signal });
      return;
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    for (const pod of orphans) await this.#end(pod, 'PodGC: node no longer exists', signal);
  }

  async #trim(signal: AbortSignal): Promise<void> {
    const created = (pod: Pod): number => parseTime(pod.metadata.creationTimestamp) || 0;
    const terminated = this.#terminated().sort((a, b) => created(a) - created(b));
    for (const pod of terminated.slice(0, Math.max(0, terminated.length - terminatedThreshold))) {
      await this.#end(pod, undefined, signal);
    }
  }

  /** Deletes at once; with a reason, the pod says first why. */
  async #end(pod: Pod, message: string | undefined, signal: AbortSignal): Promise<void> {
    const { name = '', namespace, uid } = pod.metadata;
    if (message !== undefined) {
      const disruption = { reason: 'DeletionByPodGC', message, fails: true } as const;
      await noteDisruption(this.#client, this.#clock, pod, disruption, signal);
    }
    try {
      await this.#client.delete(core.pods, name, {
        namespace,
        gracePeriodSeconds: 0,
        ...(uid === undefined ? {} : { preconditions: { uid } }),
        signal,
      });
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }
}
