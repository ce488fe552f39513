import type { KubeClient } from '@cloudless/kube/client/client';
import { type Clock, systemClock } from '@cloudless/kube/clock';
import { type EventRecorder, eventRecorder } from '@cloudless/kube/events/recorder';
import { type Informer, startInformer } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { isConflict, isNotFound } from '@cloudless/kube/status';
import type { Binding, Namespace, Node, Pod } from '@cloudless/kube/types/core-v1';
import { fitErrorMessage, noNodesMessage } from './core/fit-error.ts';
import { type Eviction, preempt } from './core/preempt.ts';
import { type Misfit, schedule } from './core/schedule.ts';
import { newMetrics, type SchedulerMetrics } from './metrics.ts';
import { nodeChangeHint, placedPodHint } from './queue/hints.ts';
import { type QueuedPod, SchedulingQueue } from './queue/queue.ts';
import { ClusterState } from './state/cluster-state.ts';
import { podInfo } from './state/pod-info.ts';
import { patchStatus, type StatusChange } from './status.ts';

/** Decisions are made for so long before the event loop turns. */
const sliceMs = 5;

export interface SchedulerOptions {
  client: KubeClient;
  clock?: Clock | undefined;
  /** Stops it when it aborts. */
  signal?: AbortSignal | undefined;
  log: Logger;
  /** Pods that name another scheduler are left alone. */
  schedulerName?: string | undefined;
  /** 0 ≤ x < 1, breaks ties between equal nodes. */
  random?: (() => number) | undefined;
}

export interface Scheduler extends Running {
  /** Resolves when nodes and pods are known and scheduling has begun. */
  readonly synced: Promise<void>;
  readonly metrics: SchedulerMetrics;
}

/** Starts scheduling: gives every pod without a node one, as kube-scheduler would. */
export function startScheduler(options: SchedulerOptions): Scheduler {
  return new PodScheduler(options);
}

const isTerminal = (pod: Pod): boolean => pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';

class PodScheduler implements Scheduler {
  readonly synced: Promise<void>;
  readonly metrics = newMetrics();
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #name: string;
  readonly #random: () => number;
  readonly #stopping = new AbortController();
  readonly #recorder: EventRecorder;
  readonly #state: ClusterState;
  readonly #queue: SchedulingQueue;
  readonly #nodes: Informer<Node>;
  readonly #pods: Informer<Pod>;
  readonly #namespaces: Informer<Namespace>;
  readonly #running: Running;
  /** Calls under way: bindings, evictions, status. */
  readonly #calls = new Set<Promise<void>>();
  /** Where the next search begins among the nodes (upstream: nextStartNodeIndex). */
  #nextNode = 0;
  #turnDue = false;
  #isSynced = false;

  constructor(options: SchedulerOptions) {
    const { client, log, signal } = options;
    this.#client = client;
    this.#log = log;
    this.#clock = options.clock ?? systemClock;
    this.#name = options.schedulerName ?? 'default-scheduler';
    this.#random = options.random ?? Math.random;
    this.#recorder = eventRecorder({ client, component: this.#name, clock: this.#clock, log });
    this.#queue = new SchedulingQueue(this.#clock, () => this.#scheduleSoon());
    const common = { client, clock: this.#clock, log, signal: this.#stopping.signal };
    this.#nodes = startInformer({ ...common, resource: core.nodes });
    this.#namespaces = startInformer({ ...common, resource: core.namespaces });
    this.#pods = startInformer({
      ...common,
      resource: core.pods,
      fieldSelector: 'status.phase!=Succeeded,status.phase!=Failed',
    });
    this.#state = new ClusterState((name) => this.#namespaces.store.get(name)?.metadata.labels);
    this.#follow();
    this.synced = this.#begin();
    this.synced.catch(() => undefined);
    this.#running = running(() => this.#stop());
    signal?.addEventListener('abort', () => void this.stop(), { once: true });
  }

  stop(): Promise<void> {
    return this.#running.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#running.stop();
  }

  async #begin(): Promise<void> {
    await Promise.all([this.#nodes.synced, this.#namespaces.synced, this.#pods.synced]);
    this.#isSynced = true;
    this.#scheduleSoon();
  }

  async #stop(): Promise<void> {
    this.#stopping.abort();
    this.#queue.stop();
    await Promise.all([this.#nodes.stop(), this.#pods.stop(), this.#namespaces.stop()]);
    await Promise.all(this.#calls);
    await this.#recorder.stop();
  }

  #follow(): void {
    this.#nodes.addHandler({
      add: (node) => this.#nodeChanged(node, undefined),
      update: (node, old) => this.#nodeChanged(node, old),
      delete: (node) => this.#state.removeNode(node.metadata.name ?? ''),
    });
    this.#pods.addHandler({
      add: (pod) => this.#podChanged(pod, undefined),
      update: (pod, old) => this.#podChanged(pod, old),
      delete: (pod) => this.#podGone(pod),
    });
    this.#namespaces.addHandler({
      update: () => this.#queue.revive(({ refusedBy }) => refusedBy.has('InterPodAffinity')),
    });
  }

  #nodeChanged(node: Node, old: Node | undefined): void {
    this.#state.setNode(node);
    const hint = nodeChangeHint(node, old);
    if (hint !== undefined) this.#queue.revive(hint);
  }

  #podChanged(pod: Pod, old: Pod | undefined): void {
    if (isTerminal(pod)) return this.#podGone(pod);
    const uid = pod.metadata.uid ?? '';
    if (pod.spec?.nodeName) {
      this.#queue.delete(uid);
      this.#state.setPod(pod);
      const hint = placedPodHint(pod, old);
      if (hint !== undefined) this.#queue.revive(hint);
    } else if (this.#isMine(pod) && !this.#state.isAssumed(uid)) {
      const info = podInfo(pod);
      this.#state.nominate(info, pod.status?.nominatedNodeName);
      this.#queue.set(info);
    }
  }

  /** Pods that are being deleted get no node any more. */
  #isMine(pod: Pod): boolean {
    if ((pod.spec?.schedulerName || 'default-scheduler') !== this.#name) return false;
    if (pod.metadata.deletionTimestamp === undefined) return true;
    this.#queue.delete(pod.metadata.uid ?? '');
    return false;
  }

  #podGone(pod: Pod): void {
    const uid = pod.metadata.uid ?? '';
    this.#queue.delete(uid);
    if (this.#state.removePod(uid)) this.#queue.revive(() => true);
  }

  #scheduleSoon(): void {
    if (this.#turnDue || !this.#isSynced || this.#stopping.signal.aborted) return;
    this.#turnDue = true;
    setImmediate(() => {
      this.#turnDue = false;
      this.#turn();
    });
  }

  /** Decides for pods in their order until none is left or the time is up. */
  #turn(): void {
    const until = performance.now() + sliceMs;
    while (!this.#stopping.signal.aborted) {
      if (performance.now() > until) return this.#scheduleSoon();
      const next = this.#queue.pop();
      if (next === undefined) return;
      try {
        this.#decide(next);
      } catch (error) {
        this.#log.error({ err: error, pod: next.info.key }, 'scheduling failed');
        this.metrics.count('error');
        this.#queue.failed(next);
      }
    }
  }

  #decide(next: QueuedPod): void {
    const { info } = next;
    const snapshot = this.#state.snapshot();
    if (snapshot.nodes.length === 0) {
      this.#report(next, noNodesMessage, new Set(), { nominatedNodeName: '' });
      return;
    }
    const decision = schedule(info, snapshot, this.#random, this.#nextNode);
    this.#nextNode = (this.#nextNode + decision.examined) % snapshot.nodes.length;
    if (decision.type === 'node') {
      // Counted at once: the next decision sees the room as taken while the binding is under way.
      this.#state.assume(info, decision.node.name);
      this.#call(() => this.#bind(next, decision.node.name));
    } else {
      this.#preemptOrWait(next, decision.misfit);
    }
  }

  #preemptOrWait(next: QueuedPod, misfit: Misfit): void {
    const snapshot = this.#state.snapshot();
    const preemption = preempt(next.info, snapshot, misfit);
    const afterwards = preemption.type === 'evict' ? '' : preemption.message;
    const message = fitErrorMessage(snapshot.nodes.length, misfit.refusals.values(), afterwards);
    if (preemption.type === 'no-help') {
      const change = preemption.keepsNomination ? {} : { nominatedNodeName: '' };
      if (!preemption.keepsNomination) this.#state.nominate(next.info, undefined);
      this.#report(next, message, misfit.filters, change);
    } else {
      this.#state.nominate(next.info, preemption.eviction.node.name);
      this.#report(next, message, misfit.filters, { nominatedNodeName: preemption.eviction.node.name });
      this.#call(() => this.#evict(next, preemption.eviction));
    }
  }

  /** Tells the user why, and lets the pod wait for a change. */
  #report(next: QueuedPod, message: string, refusedBy: ReadonlySet<string>, change: StatusChange): void {
    const { pod } = next.info;
    this.metrics.count('unschedulable');
    this.#queue.unschedulable(next, refusedBy);
    this.#recorder.event(withKind(pod), 'Warning', 'FailedScheduling', message);
    const condition = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message };
    this.#call(() => this.#patch(pod, { ...change, condition }));
  }

  async #bind(next: QueuedPod, node: string): Promise<void> {
    const { pod, uid, key } = next.info;
    const { name = '', namespace } = pod.metadata;
    const binding: Binding = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name, namespace: namespace ?? '', uid },
      target: { kind: 'Node', name: node },
    };
    try {
      await this.#client.createSubresource(core.pods, name, 'binding', binding, {
        namespace,
        signal: this.#stopping.signal,
      });
      this.metrics.scheduled((this.#clock.monotonicMs() - next.sinceMs) / 1000);
      this.#recorder.event(withKind(pod), 'Normal', 'Scheduled', `Successfully assigned ${key} to ${node}`);
    } catch (error) {
      this.#bindingFailed(next, node, error);
    }
  }

  #bindingFailed(next: QueuedPod, node: string, error: unknown): void {
    const { pod, uid, key } = next.info;
    if (this.#stopping.signal.aborted) return;
    this.#state.forget(uid);
    this.#queue.revive(() => true);
    const current = this.#pods.store.get(key);
    // Deleted, or bound by somebody else (a lost answer of our own included): nothing is left to do.
    if (isNotFound(error) || current?.metadata.uid !== uid || current.spec?.nodeName) return;
    this.metrics.count('error');
    const why = error instanceof Error ? error.message : String(error);
    this.#log.warn({ err: error, pod: key, node }, 'binding failed');
    if (!isConflict(error)) {
      this.#recorder.event(withKind(pod), 'Warning', 'FailedScheduling', `binding rejected: ${why}`);
      const condition = { type: 'PodScheduled', status: 'False', reason: 'SchedulerError', message: why };
      this.#call(() => this.#patch(pod, { condition }));
    }
    this.#queue.failed({ ...next, info: podInfo(current) });
  }

  async #evict(next: QueuedPod, { node, victims }: Eviction): Promise<void> {
    const { signal } = this.#stopping;
    const message = `${this.#name}: preempting to accommodate a higher priority pod`;
    for (const { pod, uid } of victims) {
      if (pod.metadata.deletionTimestamp !== undefined) continue;
      const condition = {
        type: 'DisruptionTarget',
        status: 'True',
        reason: 'PreemptionByScheduler',
        message,
      };
      await this.#patch(pod, { condition });
      try {
        const { name = '', namespace } = pod.metadata;
        await this.#client.delete(core.pods, name, { namespace, preconditions: { uid }, signal });
        const text = `Preempted by pod ${next.info.uid} on node ${node.name}`;
        this.#recorder.event(withKind(pod), 'Normal', 'Preempted', text);
      } catch (error) {
        if (isNotFound(error) || isConflict(error) || signal.aborted) continue;
        this.#log.warn({ err: error, pod: pod.metadata.name }, 'a pod could not be preempted');
      }
    }
  }

  async #patch(pod: Pod, change: StatusChange): Promise<void> {
    try {
      await patchStatus(this.#client, pod, change, this.#clock.nowMs(), this.#stopping.signal);
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      this.#log.warn({ err: error, pod: pod.metadata.name }, "a pod's status could not be written");
    }
  }

  /** Runs a call beside the decisions; stopping waits for it. */
  #call(work: () => Promise<void>): void {
    const call = work().catch((error: unknown) => this.#log.error({ err: error }, 'a call failed'));
    this.#calls.add(call);
    void call.finally(() => this.#calls.delete(call));
  }
}

/** Objects from lists carry no kind; events need one. */
const withKind = (pod: Pod): Pod =>
  pod.kind === undefined ? { ...pod, apiVersion: 'v1', kind: 'Pod' } : pod;
