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

/** `examined`: how many nodes, counted from where the search began, were looked at. */
export type Decision =
  | { readonly type: 'node'; readonly node: NodeState; readonly examined: number }
  | { readonly type: 'misfit'; readonly misfit: Misfit; readonly examined: number };

/** Up to so many nodes, all that will do are compared (upstream: minFeasibleNodesToFind). */
const minFeasibleNodes = 100;
/** Never fewer percent than this (upstream: minFeasibleNodesPercentageToFind). */
const minFeasiblePercent = 5;

/**
 * How many nodes that will do are enough: all of a small cluster, fewer percent the larger it is (upstream:
 * numFeasibleNodesToFind with its default percentageOfNodesToScore).
 */
export function enoughNodes(nodeCount: number): number {
  if (nodeCount < minFeasibleNodes) return nodeCount;
  const percent = Math.max(50 - Math.trunc(nodeCount / 125), minFeasiblePercent);
  return Math.max(Math.trunc((nodeCount * percent) / 100), minFeasibleNodes);
}

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
 * Chooses a node for a pod: every filter must let it pass, the highest weighted score wins, `random` breaks ties. Nodes
 * are looked at from the one at `from` on, round and round, until {@link enoughNodes} will do: whoever goes on where the
 * last search ended gives all of them the same chance. A node that was cleared for the pod comes first. Pure.
 */
export function schedule(pod: PodInfo, snapshot: Snapshot, random: () => number, from = 0): Decision {
  const prepared = prepareFilters(pod, snapshot);
  const refusalOf = (node: NodeState): NamedRefusal | undefined =>
    firstRefusal(prepared, node) ?? refusalBesideNominated(pod, node, snapshot);
  const { nodes } = snapshot;
  const cleared = nominatedNode(pod, nodes);
  if (cleared && !refusalOf(cleared)) return { type: 'node', node: cleared, examined: 0 };
  const refusals = new Map<NodeState, Refusal>();
  const refusing = new Set<string>();
  const feasible: NodeState[] = [];
  const enough = enoughNodes(nodes.length);
  let examined = 0;
  while (examined < nodes.length && feasible.length < enough) {
    const node = nodes[(from + examined++) % nodes.length] as NodeState;
    const refused = refusalOf(node);
    if (refused === undefined) {
      feasible.push(node);
      continue;
    }
    refusals.set(node, refused.refusal);
    refusing.add(refused.name);
  }
  if (feasible.length === 0) return { type: 'misfit', misfit: { refusals, filters: refusing }, examined };
  const [only] = feasible;
  if (feasible.length === 1) return { type: 'node', node: only as NodeState, examined };
  return { type: 'node', node: best(feasible, scoresOf(pod, feasible, snapshot), random), examined };
}

function nominatedNode({ pod }: PodInfo, nodes: readonly NodeState[]): NodeState | undefined {
  const name = pod.status?.nominatedNodeName;
  return name ? nodes.find((node) => node.name === name) : undefined;
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
