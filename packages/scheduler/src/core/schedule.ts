import type { NodeState } from '../state/node-state.ts';
import type { PodInfo } from '../state/pod-info.ts';
import type { Filter, NodeFilter, Refusal } from './filter/filter.ts';
import { interPodAffinity } from './filter/inter-pod-affinity.ts';
import { nodeAffinity, nodeName, nodePorts, nodeUnschedulable, taintToleration } from './filter/node.ts';
import { nodeResourcesFit } from './filter/node-resources.ts';
import { podTopologySpread } from './filter/topology-spread.ts';
import { interPodAffinityScore, topologySpreadScore } from './score/neighbours.ts';
import { nodeAffinityScore, taintScore } from './score/preferences.ts';
import { balancedScore, leastAllocatedScore } from './score/resources.ts';
import type { Scorer } from './score/score.ts';
import type { Snapshot } from './snapshot.ts';

/** In upstream's order: the first that refuses a node gives the reason. */
export const filters: readonly Filter[] = [
  nodeUnschedulable,
  nodeName,
  taintToleration,
  nodeAffinity,
  nodePorts,
  nodeResourcesFit,
  podTopologySpread,
  interPodAffinity,
];

export const scorers: readonly Scorer[] = [
  taintScore,
  nodeAffinityScore,
  topologySpreadScore,
  interPodAffinityScore,
  leastAllocatedScore,
  balancedScore,
];

/** Why a pod fits nowhere: which filter refused each node. */
export interface Misfit {
  readonly refusals: ReadonlyMap<NodeState, Refusal>;
  /** Names of the filters that refused a node: only changes they look at can help. */
  readonly filters: ReadonlySet<string>;
}

export type Decision =
  | { readonly type: 'node'; readonly node: NodeState }
  | { readonly type: 'misfit'; readonly misfit: Misfit };

export interface PreparedFilter {
  readonly name: string;
  readonly test: NodeFilter;
}

/** The filters that have something to say about a pod. */
export function prepareFilters(pod: PodInfo, snapshot: Snapshot): PreparedFilter[] {
  return filters.flatMap((filter) => {
    const test = filter.prepare(pod, snapshot);
    return test === undefined ? [] : [{ name: filter.name, test }];
  });
}

/**
 * Chooses a node for a pod: every filter must let it pass, the highest weighted score wins, `random` breaks
 * ties. Pure.
 */
export function schedule(pod: PodInfo, snapshot: Snapshot, random: () => number): Decision {
  const prepared = prepareFilters(pod, snapshot);
  const refusals = new Map<NodeState, Refusal>();
  const refusing = new Set<string>();
  const feasible = snapshot.nodes.filter((node) => {
    const refused = firstRefusal(prepared, node) ?? refusalBesideNominated(pod, node, snapshot);
    if (refused === undefined) return true;
    refusals.set(node, refused.refusal);
    refusing.add(refused.name);
    return false;
  });
  if (feasible.length === 0) return { type: 'misfit', misfit: { refusals, filters: refusing } };
  const [only] = feasible;
  if (feasible.length === 1) return { type: 'node', node: only as NodeState };
  return { type: 'node', node: best(feasible, scoresOf(pod, feasible, snapshot), random) };
}

interface NamedRefusal {
  readonly name: string;
  readonly refusal: Refusal;
}

function firstRefusal(prepared: readonly PreparedFilter[], node: NodeState): NamedRefusal | undefined {
  for (const { name, test } of prepared) {
    const refusal = test(node);
    if (refusal !== undefined) return { name, refusal };
  }
  return undefined;
}

/** Room that is being made for a pod of at least this priority is not for others. */
function refusalBesideNominated(pod: PodInfo, node: NodeState, snapshot: Snapshot): NamedRefusal | undefined {
  const expected = (snapshot.nominated.get(node.name) ?? [])
    .map((nomination) => nomination.pod)
    .filter(({ uid, priority }) => uid !== pod.uid && priority >= pod.priority);
  if (expected.length === 0) return undefined;
  const filled = node.with(expected);
  const nodes = snapshot.nodes.map((other) => (other === node ? filled : other));
  return firstRefusal(prepareFilters(pod, { ...snapshot, nodes }), filled);
}

/** The weighted sum of all scores, for each node. */
export function scoresOf(pod: PodInfo, nodes: readonly NodeState[], snapshot: Snapshot): number[] {
  const sums = nodes.map(() => 0);
  for (const scorer of scorers) {
    const scores = scorer.score(pod, nodes, snapshot);
    scores?.forEach((one, i) => {
      sums[i] = (sums[i] as number) + scorer.weight * one;
    });
  }
  return sums;
}

function best(nodes: readonly NodeState[], scores: readonly number[], random: () => number): NodeState {
  const max = Math.max(...scores);
  const tied = nodes.filter((_, i) => scores[i] === max);
  return tied[Math.floor(random() * tied.length)] as NodeState;
}
