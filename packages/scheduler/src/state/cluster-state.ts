import type { Node, Pod } from '@cloudless/kube/types/core-v1';
import type { NamespaceLabels } from '../core/affinity-term.ts';
import type { Snapshot } from '../core/snapshot.ts';
import { NodeState } from './node-state.ts';
import { type PodInfo, podInfo } from './pod-info.ts';

/**
 * Nodes and the pods on them, as informers tell, plus **assumed** pods: those a node has been chosen for while
 * the API has yet to say so. Decisions never wait for bindings.
 */
export class ClusterState {
  readonly #nodes = new Map<string, NodeState>();
  /** Node of each pod that has one, by the pod's uid. */
  readonly #placed = new Map<string, { node: string; assumed: boolean }>();
  readonly #namespaceLabels: NamespaceLabels;
  /** Nodes being cleared by preemption for pods that still wait, by the pod's uid. */
  readonly #nominated = new Map<string, { node: string; pod: PodInfo }>();
  #antiAffine = 0;
  #snapshot: Snapshot | undefined;
  /** Nodes in the order of a snapshot, until one comes, goes or changes its zone. */
  #order: readonly NodeState[] | undefined;

  constructor(namespaceLabels: NamespaceLabels) {
    this.#namespaceLabels = namespaceLabels;
  }

  setNode(node: Node): void {
    const state = this.#node(node.metadata.name ?? '');
    const before = state.node && zoneOf(state);
    state.node = node;
    if (before !== zoneOf(state)) this.#order = undefined;
    this.#snapshot = undefined;
  }

  removeNode(name: string): void {
    const state = this.#nodes.get(name);
    if (state === undefined) return;
    state.node = undefined;
    this.#order = undefined;
    this.#dropIfEmpty(state);
    this.#snapshot = undefined;
  }

  /** A pod that the API says is on a node. */
  setPod(pod: Pod): void {
    this.#place(podInfo(pod), pod.spec?.nodeName ?? '', false);
  }

  /** Returns whether the pod was on a node. */
  removePod(uid: string): boolean {
    if (this.#nominated.delete(uid)) this.#snapshot = undefined;
    const placed = this.#placed.get(uid);
    if (placed === undefined) return false;
    this.#placed.delete(uid);
    const state = this.#nodes.get(placed.node);
    if (state === undefined) return false;
    if ((state.pods.get(uid)?.requiredAntiAffinity.length ?? 0) > 0) this.#antiAffine--;
    state.remove(uid);
    this.#dropIfEmpty(state);
    this.#snapshot = undefined;
    return true;
  }

  /** Keeps room on `node` for a waiting pod from pods of lower priority; undefined: no more. */
  nominate(pod: PodInfo, node: string | undefined): void {
    if (node) this.#nominated.set(pod.uid, { node, pod });
    else if (!this.#nominated.delete(pod.uid)) return;
    this.#snapshot = undefined;
  }

  /** Counts the pod on the node from now on. */
  assume(pod: PodInfo, node: string): void {
    this.#place(pod, node, true);
  }

  /** Takes an assumption back, unless the API confirmed it meanwhile. */
  forget(uid: string): void {
    if (this.#placed.get(uid)?.assumed) this.removePod(uid);
  }

  isAssumed(uid: string): boolean {
    return this.#placed.get(uid)?.assumed ?? false;
  }

  #place(pod: PodInfo, node: string, assumed: boolean): void {
    this.removePod(pod.uid);
    this.#placed.set(pod.uid, { node, assumed });
    this.#node(node).add(pod);
    if (pod.requiredAntiAffinity.length > 0) this.#antiAffine++;
    this.#snapshot = undefined;
  }

  #node(name: string): NodeState {
    let state = this.#nodes.get(name);
    if (state === undefined) this.#nodes.set(name, (state = new NodeState(name)));
    return state;
  }

  #dropIfEmpty(state: NodeState): void {
    if (state.node === undefined && state.pods.size === 0) this.#nodes.delete(state.name);
  }

  /** The state as the next decision sees it. Node states are live: decide before the next change. */
  snapshot(): Snapshot {
    this.#order ??= inZoneOrder([...this.#nodes.values()].filter(({ node }) => node !== undefined));
    this.#snapshot ??= {
      nodes: this.#order,
      namespaceLabels: this.#namespaceLabels,
      hasAntiAffinity: this.#antiAffine > 0,
      nominated: Map.groupBy(this.#nominated.values(), ({ node }) => node),
    };
    return this.#snapshot;
  }
}

/** Region and zone, as nodes are ordered by them (upstream: component-helpers/node/topology, GetZoneKey). */
const zoneOf = ({ labels }: NodeState): string => {
  const region =
    labels['topology.kubernetes.io/region'] ?? labels['failure-domain.beta.kubernetes.io/region'];
  const zone = labels['topology.kubernetes.io/zone'] ?? labels['failure-domain.beta.kubernetes.io/zone'];
  return `${region ?? ''}\0${zone ?? ''}`;
};

/** The first node of each zone, then the second of each, and so on (upstream: backend/cache/node_tree.go). */
function inZoneOrder(nodes: readonly NodeState[]): NodeState[] {
  const zones = [...Map.groupBy(nodes, zoneOf).values()];
  if (zones.length <= 1) return [...nodes];
  const ordered: NodeState[] = [];
  const longest = Math.max(...zones.map((zone) => zone.length));
  for (let i = 0; i < longest; i++) {
    for (const zone of zones) {
      const node = zone[i];
      if (node) ordered.push(node);
    }
  }
  return ordered;
}
