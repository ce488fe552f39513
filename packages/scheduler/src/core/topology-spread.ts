import { requirement, type Selector, selectorFromObject } from '@cloudless/kube/selector/selector';
import type { TopologySpreadConstraint } from '@cloudless/kube/types/core-v1';
import type { NodeState } from '../state/node-state.ts';
import type { PodInfo } from '../state/pod-info.ts';
import { safely } from './affinity-term.ts';
import { matchesRequired } from './node-affinity.ts';
import { untoleratedTaint } from './taints.ts';

/** A constraint, ready to match. */
export interface Spread {
  readonly topologyKey: string;
  readonly maxSkew: number;
  readonly minDomains: number;
  /** Undefined: the pods of the same controller. */
  readonly selector: Selector | undefined;
  readonly honorsAffinity: boolean;
  readonly honorsTaints: boolean;
}

export function spreadOf(constraint: TopologySpreadConstraint, pod: PodInfo): Spread {
  const more = (constraint.matchLabelKeys ?? []).flatMap((key) =>
    pod.labels[key] === undefined ? [] : [requirement(key, 'in', [pod.labels[key]])],
  );
  return {
    topologyKey: constraint.topologyKey,
    maxSkew: constraint.maxSkew,
    minDomains: constraint.minDomains ?? 1,
    selector: safely(() => selectorFromObject(constraint.labelSelector).and(...more)),
    honorsAffinity: constraint.nodeAffinityPolicy !== 'Ignore',
    honorsTaints: constraint.nodeTaintsPolicy === 'Honor',
  };
}

/** The pod's constraints of one kind. */
export function spreadsOf(pod: PodInfo, when: 'DoNotSchedule' | 'ScheduleAnyway'): Spread[] {
  return (pod.pod.spec?.topologySpreadConstraints ?? [])
    .filter(({ whenUnsatisfiable }) => whenUnsatisfiable === when)
    .map((constraint) => spreadOf(constraint, pod));
}

/** Whether the node's domain counts for the constraint at all. */
export function counts(spread: Spread, node: NodeState, pod: PodInfo): boolean {
  if (spread.honorsAffinity && !matchesRequired(pod.pod, node)) return false;
  if (!spread.honorsTaints) return true;
  return untoleratedTaint(node.node?.spec?.taints ?? [], pod.pod.spec?.tolerations ?? []) === undefined;
}

/** Pods on the node that the constraint spreads: of the same namespace, selected, not being deleted. */
export function spreadPodsOn(spread: Spread, node: NodeState, pod: PodInfo): number {
  if (spread.selector === undefined) return node.replicasOf(pod.controller ?? '');
  let count = 0;
  for (const other of node.pods.values()) {
    if (other.namespace !== pod.namespace || other.pod.metadata.deletionTimestamp !== undefined) continue;
    if (spread.selector.matches(other.labels)) count++;
  }
  return count;
}
