import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import type { EventRecorder } from '@cloudless/kube/events/recorder';
import { type Informer, keyOf } from '@cloudless/kube/informer/informer';
import { core } from '@cloudless/kube/resources';
import { isConflict, isNotFound } from '@cloudless/kube/status';
import type { Node, Pod, Taint } from '@cloudless/kube/types/core-v1';
import type { WorkQueue } from '@cloudless/kube/workqueue/workqueue';
import { nodeName, nodeNameIndex } from '../endpointslice/watch-services.ts';
import { noteDisruption } from '../pods/disrupt.ts';
import { semanticEqual } from '../runtime/compare.ts';
import { type Controller, type ControllerContext, recorderFor, startQueue } from '../runtime/context.ts';
import { stayableSeconds } from './tolerations.ts';

const workers = 8;

/** Deletes pods that do not tolerate their node's NoExecute taints (upstream: pkg/controller/tainteviction). */
export function startTaintEvictionController(context: ControllerContext): Controller {
  const client = context.clientFor('node-controller');
  const events = recorderFor(context, 'taint-eviction-controller', client);
  const pods = context.informers.of(core.pods);
  const nodes = context.informers.of(core.nodes);
  pods.addIndex(nodeNameIndex, nodeName);
  const controller = new TaintEviction(client, events, context.clock, pods, nodes);
  return startQueue(
    context,
    {
      name: 'noexec_taint_pod',
      workers,
      waitFor: [pods, nodes],
      sync: (key, signal) => controller.sync(key, signal),
      owns: [events],
    },
    (queue) => controller.wire(queue),
  );
}

const noExecute = (node: Node | undefined): Taint[] =>
  (node?.spec?.taints ?? []).filter((taint) => taint.effect === 'NoExecute');

class TaintEviction {
  readonly #client: KubeClient;
  readonly #events: EventRecorder;
  readonly #clock: Clock;
  readonly #pods: Informer<Pod>;
  readonly #nodes: Informer<Node>;
  /** Pods whose time runs, by UID: since when, on the monotonic clock. */
  readonly #since = new Map<string, number>();

  constructor(
    client: KubeClient,
    events: EventRecorder,
    clock: Clock,
    pods: Informer<Pod>,
    nodes: Informer<Node>,
  ) {
    this.#client = client;
    this.#events = events;
    this.#clock = clock;
    this.#pods = pods;
    this.#nodes = nodes;
  }

  wire(queue: WorkQueue): void {
    this.#pods.addHandler({
      add: (pod) => {
        if (noExecute(this.#nodes.store.get(pod.spec?.nodeName ?? '')).length > 0) queue.add(keyOf(pod));
      },
      update: (pod, old) => {
        if (
          pod.spec?.nodeName !== old.spec?.nodeName ||
          !semanticEqual(pod.spec?.tolerations, old.spec?.tolerations)
        ) {
          queue.add(keyOf(pod));
        }
      },
      delete: (pod) => this.#since.delete(pod.metadata.uid ?? ''),
    });
    const look = (node: Node): void => {
      for (const pod of this.#pods.store.byIndex(nodeNameIndex, node.metadata.name ?? ''))
        queue.add(keyOf(pod));
    };
    this.#nodes.addHandler({
      add: (node) => {
        if (noExecute(node).length > 0) look(node);
      },
      update: (node, old) => {
        if (!semanticEqual(noExecute(node), noExecute(old))) look(node);
      },
      delete: look,
    });
  }

  async sync(key: string, signal: AbortSignal): Promise<void | { requeueAfterMs: number }> {
    const pod = this.#pods.store.get(key);
    if (!pod || pod.metadata.deletionTimestamp !== undefined) return;
    const uid = pod.metadata.uid ?? '';
    const taints = noExecute(this.#nodes.store.get(pod.spec?.nodeName ?? ''));
    const seconds = stayableSeconds(taints, pod.spec?.tolerations ?? []);
    if (seconds === Number.POSITIVE_INFINITY) {
      if (this.#since.delete(uid)) {
        this.#events.event(pod, 'Normal', 'TaintManagerEviction', `Cancelling deletion of Pod ${key}`);
      }
      return;
    }
    const nowMs = this.#clock.monotonicMs();
    const sinceMs = this.#since.get(uid) ?? nowMs;
    this.#since.set(uid, sinceMs);
    const leftMs = sinceMs + seconds * 1000 - nowMs;
    if (leftMs > 0) return { requeueAfterMs: leftMs };
    await this.#evict(pod, signal);
    this.#since.delete(uid);
  }

  async #evict(pod: Pod, signal: AbortSignal): Promise<void> {
    const { name = '', namespace, uid } = pod.metadata;
    this.#events.event(pod, 'Normal', 'TaintManagerEviction', `Marking for deletion Pod ${keyOf(pod)}`);
    await noteDisruption(
      this.#client,
      this.#clock,
      pod,
      {
        reason: 'DeletionByTaintManager',
        message: 'Taint manager: deleting due to NoExecute taint',
        fails: false,
      },
      signal,
    );
    try {
      await this.#client.delete(core.pods, name, {
        namespace,
        ...(uid === undefined ? {} : { preconditions: { uid } }),
        signal,
      });
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }
}
