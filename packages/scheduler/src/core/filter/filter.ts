import type { NodeState } from '../../state/node-state.ts';
import type { PodInfo } from '../../state/pod-info.ts';
import type { Snapshot } from '../snapshot.ts';

/** Why a pod cannot run on a node, in upstream's words. */
export interface Refusal {
  readonly reasons: readonly string[];
  /** False: no eviction of pods from the node would help. */
  readonly resolvable: boolean;
}

/** Undefined: the node will do. */
export type NodeFilter = (node: NodeState) => Refusal | undefined;

/** What one filter needs to know once per pod, and then its verdict per node. */
export interface Filter {
  /** Upstream's plugin name. */
  readonly name: string;
  /** Undefined: this filter has nothing to say about the pod. */
  prepare(pod: PodInfo, snapshot: Snapshot): NodeFilter | undefined;
}

export const resolvable = (...reasons: string[]): Refusal => ({ reasons, resolvable: true });
export const final = (...reasons: string[]): Refusal => ({ reasons, resolvable: false });
