import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import type { EventRecorder } from '@cloudless/kube/events/recorder';
import { type Informer, keyOf } from '@cloudless/kube/informer/informer';
import { coordination, core } from '@cloudless/kube/resources';
import { isConflict, isNotFound } from '@cloudless/kube/status';
import { formatTime, parseTime } from '@cloudless/kube/time';
import type { Lease } from '@cloudless/kube/types/coordination-v1';
import type { Node, NodeCondition, Pod } from '@cloudless/kube/types/core-v1';
import type { WorkQueue } from '@cloudless/kube/workqueue/workqueue';
import { nodeName, nodeNameIndex } from '../endpointslice/watch-services.ts';
import { isPodReady, isPodTerminal } from '../pods/condition.ts';
import { type Controller, type ControllerContext, recorderFor, startQueue } from '../runtime/context.ts';
import { nextTaints, notReadyTaint, readyCondition, unreachableTaint, wantedNoExecute } from './taints.ts';
import { EvictionPace, type PaceChange } from './zones.ts';

const workers = 8;
const leaseNamespace = 'kube-node-lease';
/** A node that has never told its state gets this long (upstream: --node-startup-grace-period). */
const startupGraceMs = 60_000;
/**
 * Before pods are driven off a node, the others are given this long to fail too: when all do, it is the network or
 * this process, and nobody is driven off (upstream looks once in --node-monitor-period, and acts on the look before).
 */
const settleMs = 5_000;
/** Conditions that the kubelet alone knows; NetworkUnavailable is the network's. */
const kubeletConditions = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'];

export interface NodeLifecycleOptions {
  /** Without a heartbeat for this long a node's state is unknown. Default 50 s (--node-monitor-grace-period). */
  nodeMonitorGraceMs?: number | undefined;
}

/** Tells which nodes are alive, and taints those that are not (upstream: pkg/controller/nodelifecycle). */
export function startNodeLifecycleController(
  context: ControllerContext,
  options: NodeLifecycleOptions = {},
): Controller {
  const client = context.clientFor('node-controller');
  const events = recorderFor(context, 'node-controller', client);
  const nodes = context.informers.of(core.nodes);
  const pods = context.informers.of(core.pods);
  const leases = context.informers.of(coordination.leases);
  pods.addIndex(nodeNameIndex, nodeName);
  const controller = new NodeLifecycle({
    client,
    events,
    clock: context.clock,
    nodes,
    pods,
    leases,
    graceMs: options.nodeMonitorGraceMs ?? 50_000,
  });
  return startQueue(
    context,
    {
      name: 'node_lifecycle_controller',
      workers,
      waitFor: [nodes, pods, leases],
      sync: (name, signal) => controller.sync(name, signal),
      owns: [events],
    },
    (queue) => controller.wire(queue),
  );
}

/** When a node last gave a sign of life, on the monotonic clock, and what that sign was. */
interface Health {
  probedAtMs: number;
  heartbeat: string | undefined;
  renewal: string | undefined;
}

interface Parts {
  client: KubeClient;
  events: EventRecorder;
  clock: Clock;
  nodes: Informer<Node>;
  pods: Informer<Pod>;
  leases: Informer<Lease>;
  graceMs: number;
}

class NodeLifecycle {
  readonly #p: Parts;
  readonly #pace: EvictionPace;
  readonly #health = new Map<string, Health>();
  /** Readiness at the last pass: what changes since is told. */
  readonly #ready = new Map<string, string>();
  /** Since when a node is seen not ready, on the monotonic clock. */
  readonly #unreadySince = new Map<string, number>();
  #queue: WorkQueue | undefined;

  constructor(parts: Parts) {
    this.#p = parts;
    this.#pace = new EvictionPace(parts.clock);
  }

  wire(queue: WorkQueue): void {
    this.#queue = queue;
    const { nodes, leases, pods } = this.#p;
    nodes.addHandler({
      add: (node) => {
        this.#nodeEvent(node, 'RegisteredNode', `Registered Node ${keyOf(node)} in Controller`);
        // A controller that has just started knows nothing of the time before: each node has its full grace.
        this.#probe(keyOf(node));
        this.#seen(node);
      },
      update: (node, old) => {
        const beat = readyCondition(node)?.lastHeartbeatTime;
        if (beat !== readyCondition(old)?.lastHeartbeatTime) this.#probe(keyOf(node));
        this.#seen(node);
      },
      delete: (node) => {
        this.#nodeEvent(node, 'RemovingNode', `Removing Node ${keyOf(node)} from Controller`);
        this.#health.delete(keyOf(node));
        this.#ready.delete(keyOf(node));
        this.#unreadySince.delete(keyOf(node));
        this.#paceChanged(this.#pace.forget(keyOf(node)));
      },
    });
    const renewed = (lease: Lease): void => {
      const { namespace, name = '' } = lease.metadata;
      if (namespace !== leaseNamespace) return;
      const health = this.#health.get(name);
      const renewal = lease.spec?.renewTime;
      if (!health || renewal === undefined || renewal === health.renewal) return;
      this.#health.set(name, { ...health, renewal, probedAtMs: this.#p.clock.monotonicMs() });
    };
    leases.addHandler({ add: renewed, update: renewed });
    // A pod that is bound to a node already known to be down must not stay Ready.
    pods.addHandler({
      update: (pod, old) => {
        if (pod.spec?.nodeName && pod.spec.nodeName !== old.spec?.nodeName) queue.add(pod.spec.nodeName);
      },
    });
  }

  #probe(name: string): void {
    const renewal = this.#health.get(name)?.renewal;
    this.#health.set(name, { probedAtMs: this.#p.clock.monotonicMs(), heartbeat: undefined, renewal });
  }

  #seen(node: Node): void {
    this.#queue?.add(keyOf(node));
    this.#paceChanged(this.#pace.seen(node));
  }

  /** Zones are judged by all nodes: when that changes, all are looked at again. */
  #paceChanged(change: PaceChange): void {
    if (change === 'same') return;
    const nodes = this.#p.nodes.store.list();
    // When some are back it was perhaps us who were cut off: all get time to show themselves.
    if (change === 'recovered') for (const node of nodes) this.#probe(keyOf(node));
    for (const node of nodes) this.#queue?.add(keyOf(node));
  }

  #nodeEvent(node: Node, reason: string, text: string): void {
    const { name = '', uid = '' } = node.metadata;
    const subject = { kind: 'Node', apiVersion: 'v1', name, uid };
    this.#p.events.event(subject, 'Normal', reason, `Node ${name} event: ${text}`);
  }

  async sync(name: string, signal: AbortSignal): Promise<void | { requeueAfterMs: number }> {
    const cached = this.#p.nodes.store.get(name);
    const health = this.#health.get(name);
    if (!cached || !health) return;
    const graceMs = readyCondition(cached) ? this.#p.graceMs : startupGraceMs;
    const leftMs = health.probedAtMs + graceMs - this.#p.clock.monotonicMs();
    const node = leftMs < 0 ? await this.#markUnknown(cached, signal) : cached;
    const status = readyCondition(node)?.status ?? '';
    const before = this.#ready.get(name);
    const waitMs = await this.#taint(node, signal);
    if (status !== 'True' && status !== '') {
      if (before === 'True') this.#tellNotReady(node);
      await this.#markPodsNotReady(name, signal);
    }
    // Only now: what failed on the way is done again.
    this.#ready.set(name, status);
    // A second more than the grace: the renewal that keeps it alive may be on its way.
    const checkMs = leftMs < 0 ? graceMs : leftMs + 1;
    return { requeueAfterMs: waitMs === undefined ? checkMs : Math.min(waitMs, checkMs) };
  }

  #tellNotReady(node: Node): void {
    const { name = '', uid = '' } = node.metadata;
    const subject = { kind: 'Node', apiVersion: 'v1', name, uid };
    this.#p.events.event(subject, 'Normal', 'NodeNotReady', `Node ${name} status is now: NodeNotReady`);
  }

  /** No sign of life for the time of grace: what the kubelet said last is no longer known to be true. */
  async #markUnknown(node: Node, signal: AbortSignal): Promise<Node> {
    const now = formatTime(this.#p.clock.nowMs());
    const conditions = [...(node.status?.conditions ?? [])];
    let changed = false;
    for (const type of kubeletConditions) {
      const at = conditions.findIndex((condition) => condition.type === type);
      const current = conditions[at];
      if (current?.status === 'Unknown') continue;
      changed = true;
      if (current) conditions[at] = { ...current, ...stopped, lastTransitionTime: now };
      else conditions.push(never(type, node.metadata.creationTimestamp, now));
    }
    if (!changed) return node;
    const status = { ...node.status, conditions };
    return this.#p.client.update(core.nodes, { ...node, status }, { subresource: 'status', signal });
  }

  /** Brings the taints in line; answers when to try again if the zone may not lose this node yet. */
  async #taint(node: Node, signal: AbortSignal): Promise<number | undefined> {
    const wanted = wantedNoExecute(node);
    if (wanted === undefined) this.#unreadySince.delete(keyOf(node));
    const current = (node.spec?.taints ?? []).find(
      (taint) =>
        taint.effect === 'NoExecute' && (taint.key === notReadyTaint || taint.key === unreachableTaint),
    )?.key;
    let noExecute = wanted;
    let waitMs: number | undefined;
    if (wanted !== undefined && this.#pace.allDown) noExecute = undefined;
    else if (wanted !== undefined && current === undefined) {
      // One kind is swapped for the other at once; a new one waits for its turn.
      waitMs = this.#settling(keyOf(node)) || this.#pace.waitMs(node);
      if (waitMs !== 0) noExecute = undefined;
      if (waitMs === 0) waitMs = undefined;
    }
    const taints = nextTaints(node, noExecute, this.#p.clock.nowMs());
    if (!taints) return waitMs;
    const { name = '', resourceVersion } = node.metadata;
    const patch = { metadata: { resourceVersion }, spec: { taints: taints.length === 0 ? null : taints } };
    try {
      await this.#p.client.patch(core.nodes, name, 'merge', patch, { signal });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
    return waitMs;
  }

  /** Milliseconds for which a node that has just failed is not acted on yet. */
  #settling(name: string): number {
    const nowMs = this.#p.clock.monotonicMs();
    const sinceMs = this.#unreadySince.get(name) ?? nowMs;
    this.#unreadySince.set(name, sinceMs);
    return Math.max(0, sinceMs + settleMs - nowMs);
  }

  /** Services must not send anything to pods of a node that is not ready. */
  async #markPodsNotReady(name: string, signal: AbortSignal): Promise<void> {
    const pods = this.#p.pods.store
      .byIndex(nodeNameIndex, name)
      .filter((pod) => isPodReady(pod) && !isPodTerminal(pod));
    const results = await Promise.allSettled(pods.map((pod) => this.#markPodNotReady(pod, signal)));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  }

  async #markPodNotReady(pod: Pod, signal: AbortSignal): Promise<void> {
    const now = formatTime(this.#p.clock.nowMs());
    const conditions = (pod.status?.conditions ?? []).map((condition) =>
      condition.type === 'Ready' ? { ...condition, status: 'False', lastTransitionTime: now } : condition,
    );
    try {
      await this.#p.client.update(
        core.pods,
        { ...pod, status: { ...pod.status, conditions } },
        { subresource: 'status', signal },
      );
      this.#p.events.event(pod, 'Warning', 'NodeNotReady', 'Node is not ready');
    } catch (error) {
      // Gone, or changed: then its own event brings us back, or the retry of this node.
      if (isNotFound(error)) return;
      if (isConflict(error) && !this.#p.pods.store.get(keyOf(pod))) return;
      throw error;
    }
  }
}

const stopped = {
  status: 'Unknown',
  reason: 'NodeStatusUnknown',
  message: 'Kubelet stopped posting node status.',
};

function never(type: string, created: string | undefined, now: string): NodeCondition {
  return {
    type,
    status: 'Unknown',
    reason: 'NodeStatusNeverUpdated',
    message: 'Kubelet never posted node status.',
    ...(created === undefined || Number.isNaN(parseTime(created)) ? {} : { lastHeartbeatTime: created }),
    lastTransitionTime: now,
  };
}
