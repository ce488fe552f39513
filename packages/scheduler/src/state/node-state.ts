import type { Node } from '@cloudless/kube/types/core-v1';
import { type Amounts, amountsOf } from '../core/resources.ts';
import { type HostPort, type PodInfo, portsConflict } from './pod-info.ts';

/** A node and what runs or is about to run on it. */
export class NodeState {
  readonly name: string;
  #node: Node | undefined;
  #allocatable: Amounts = new Map();
  readonly #pods = new Map<string, PodInfo>();
  readonly #affine = new Map<string, PodInfo>();
  /** Pods of each controller that are not being deleted. */
  readonly #replicas = new Map<string, number>();
  readonly #requested = new Map<string, number>();
  #scoringMilliCpu = 0;
  #scoringMemoryBytes = 0;
  #hostPorts: HostPort[] = [];

  constructor(name: string) {
    this.name = name;
  }

  /** Undefined while only pods of it are known: nothing is scheduled there. */
  get node(): Node | undefined {
    return this.#node;
  }

  set node(node: Node | undefined) {
    this.#node = node;
    this.#allocatable = amountsOf(node?.status?.allocatable);
  }

  get labels(): Readonly<Record<string, string>> {
    return this.#node?.metadata.labels ?? {};
  }

  get allocatable(): Amounts {
    return this.#allocatable;
  }

  get pods(): ReadonlyMap<string, PodInfo> {
    return this.#pods;
  }

  /** Those of the pods that have terms about other pods. */
  get affinePods(): Iterable<PodInfo> {
    return this.#affine.values();
  }

  /** How many pods of a controller run here, those being deleted left out. */
  replicasOf(controller: string): number {
    return this.#replicas.get(controller) ?? 0;
  }

  /** Sum of the pods' requests. */
  get requested(): Amounts {
    return this.#requested;
  }

  get scoringRequested(): { milliCpu: number; memoryBytes: number } {
    return { milliCpu: this.#scoringMilliCpu, memoryBytes: this.#scoringMemoryBytes };
  }

  /** Whether one of these host ports is taken. */
  conflicts(ports: readonly HostPort[]): boolean {
    return ports.some((wanted) => this.#hostPorts.some((taken) => portsConflict(wanted, taken)));
  }

  add(pod: PodInfo): void {
    this.remove(pod.uid);
    this.#pods.set(pod.uid, pod);
    this.#account(pod, 1);
    if (pod.isAffine) this.#affine.set(pod.uid, pod);
    this.#hostPorts.push(...pod.hostPorts);
  }

  remove(uid: string): void {
    const pod = this.#pods.get(uid);
    if (pod === undefined) return;
    this.#pods.delete(uid);
    this.#affine.delete(uid);
    this.#account(pod, -1);
    if (pod.hostPorts.length > 0)
      this.#hostPorts = [...this.#pods.values()].flatMap(({ hostPorts }) => hostPorts);
  }

  #account({ requests, scoring, controller, pod }: PodInfo, sign: 1 | -1): void {
    if (controller !== undefined && pod.metadata.deletionTimestamp === undefined) {
      const count = (this.#replicas.get(controller) ?? 0) + sign;
      if (count === 0) this.#replicas.delete(controller);
      else this.#replicas.set(controller, count);
    }
    for (const [name, amount] of requests) {
      this.#requested.set(name, (this.#requested.get(name) ?? 0) + sign * amount);
    }
    this.#scoringMilliCpu += sign * scoring.milliCpu;
    this.#scoringMemoryBytes += sign * scoring.memoryBytes;
  }

  /** The same node with these pods too. */
  with(pods: Iterable<PodInfo>): NodeState {
    const copy = this.without(new Set());
    for (const pod of pods) copy.add(pod);
    return copy;
  }

  /** The same node without these pods, for trying what evicting them would give. */
  without(uids: ReadonlySet<string>): NodeState {
    const copy = new NodeState(this.name);
    copy.node = this.#node;
    for (const pod of this.#pods.values()) if (!uids.has(pod.uid)) copy.add(pod);
    return copy;
  }
}
