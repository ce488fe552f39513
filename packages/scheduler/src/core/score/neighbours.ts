import type { NodeState } from '../../state/node-state.ts';
import type { PodInfo } from '../../state/pod-info.ts';
import { type AffinityTerm, type NamespaceLabels, termMatches } from '../affinity-term.ts';
import { counts, type Spread, spreadPodsOn, spreadsOf } from '../topology-spread.ts';
import { maxScore, type Scorer } from './score.ts';

/** How much a running pod's required affinity to the incoming one weighs (upstream: hardPodAffinityWeight). */
const requiredAffinityWeight = 1;

/** Sum of weights by topology key and value. */
class TopologyScores {
  readonly #scores = new Map<string, Map<string, number>>();

  add(term: AffinityTerm, node: NodeState, weight: number): void {
    const value = node.labels[term.topologyKey];
    if (value === undefined) return;
    let values = this.#scores.get(term.topologyKey);
    if (values === undefined) this.#scores.set(term.topologyKey, (values = new Map()));
    values.set(value, (values.get(value) ?? 0) + weight);
  }

  get isEmpty(): boolean {
    return this.#scores.size === 0;
  }

  of(node: NodeState): number {
    let sum = 0;
    for (const [key, values] of this.#scores) sum += values.get(node.labels[key] ?? '') ?? 0;
    return sum;
  }
}

/** Prefers to be near, or away from, other pods; and respects what running pods prefer (upstream: interpodaffinity/scoring.go). */
export const interPodAffinityScore: Scorer = {
  name: 'InterPodAffinity',
  weight: 2,
  score: (pod, nodes, snapshot) => {
    const scores = new TopologyScores();
    // Without preferences of its own, only pods that have some matter.
    const prefers = pod.preferredAffinity.length > 0 || pod.preferredAntiAffinity.length > 0;
    for (const node of snapshot.nodes) {
      for (const running of prefers ? node.pods.values() : node.affinePods)
        addPair(scores, pod, running, node, snapshot.namespaceLabels);
    }
    if (scores.isEmpty) return undefined;
    const raw = nodes.map((node) => scores.of(node));
    const [min, max] = [Math.min(...raw), Math.max(...raw)];
    if (min === max) return undefined;
    return raw.map((score) => Math.trunc((maxScore * (score - min)) / (max - min)));
  },
};

function addPair(
  scores: TopologyScores,
  pod: PodInfo,
  running: PodInfo,
  node: NodeState,
  labelsOf: NamespaceLabels,
): void {
  for (const { weight, term } of pod.preferredAffinity) {
    if (termMatches(term, running, labelsOf)) scores.add(term, node, weight);
  }
  for (const { weight, term } of pod.preferredAntiAffinity) {
    if (termMatches(term, running, labelsOf)) scores.add(term, node, -weight);
  }
  for (const { weight, term } of running.preferredAffinity) {
    if (termMatches(term, pod, labelsOf)) scores.add(term, node, weight);
  }
  for (const { weight, term } of running.preferredAntiAffinity) {
    if (termMatches(term, pod, labelsOf)) scores.add(term, node, -weight);
  }
  for (const term of running.requiredAffinity) {
    if (termMatches(term, pod, labelsOf)) scores.add(term, node, requiredAffinityWeight);
  }
}

/**
 * Prefers even spreading: the pod's own soft constraints, or upstream's default ones (by host and zone) for
 * pods of one controller (upstream: podtopologyspread/scoring.go).
 */
export const topologySpreadScore: Scorer = {
  name: 'PodTopologySpread',
  weight: 2,
  score: (pod, nodes, snapshot) => {
    const own = pod.pod.spec?.topologySpreadConstraints ?? [];
    const isDefault = own.length === 0;
    const spreads = isDefault ? defaultSpreads(pod) : spreadsOf(pod, 'ScheduleAnyway');
    if (spreads.length === 0) return undefined;
    // Own constraints skip nodes without the labels; the defaults count what there is.
    const takesPart = (node: NodeState): boolean =>
      isDefault || spreads.every(({ topologyKey }) => topologyKey in node.labels);
    const raw = nodes.map((node) => (takesPart(node) ? 0 : undefined));
    for (const spread of spreads) addSpread(raw, spread, pod, nodes, snapshot.nodes.filter(takesPart));
    return turnedAround(raw);
  },
};

function addSpread(
  raw: Array<number | undefined>,
  spread: Spread,
  pod: PodInfo,
  nodes: readonly NodeState[],
  all: readonly NodeState[],
): void {
  const domains = new Map<string, number>();
  for (const node of all) {
    const value = node.labels[spread.topologyKey];
    if (value === undefined || !counts(spread, node, pod)) continue;
    domains.set(value, (domains.get(value) ?? 0) + spreadPodsOn(spread, node, pod));
  }
  // More domains, more weight: otherwise many hosts would drown few zones.
  const weight = Math.log(domains.size + 2);
  nodes.forEach((node, i) => {
    const value = node.labels[spread.topologyKey];
    if (raw[i] === undefined || value === undefined) return;
    raw[i] += (domains.get(value) ?? 0) * weight + (spread.maxSkew - 1);
  });
}

/** Fewer is better; nodes that take no part get nothing. */
function turnedAround(raw: ReadonlyArray<number | undefined>): number[] {
  const present = raw.filter((score) => score !== undefined).map(Math.round);
  const [min, max] = [Math.min(...present), Math.max(0, ...present)];
  return raw.map((score) => {
    if (score === undefined) return 0;
    return max === 0 ? maxScore : Math.trunc((maxScore * (max + min - Math.round(score))) / max);
  });
}

/** Upstream's `System` defaults, for pods of a controller. */
function defaultSpreads(pod: PodInfo): Spread[] {
  if (pod.controller === undefined) return [];
  const base = { selector: undefined, minDomains: 1, honorsAffinity: true, honorsTaints: false };
  return [
    { ...base, topologyKey: 'kubernetes.io/hostname', maxSkew: 3 },
    { ...base, topologyKey: 'topology.kubernetes.io/zone', maxSkew: 5 },
  ];
}
