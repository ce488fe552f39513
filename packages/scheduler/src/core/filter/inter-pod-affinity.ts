import type { NodeState } from '../../state/node-state.ts';
import type { PodInfo } from '../../state/pod-info.ts';
import { type AffinityTerm, termMatches } from '../affinity-term.ts';
import type { Snapshot } from '../snapshot.ts';
import { type Filter, final, resolvable } from './filter.ts';

/** How many pods count for each value of a topology label. */
type Domains = Map<string, number>;

function count(domains: Domains, node: NodeState, topologyKey: string): void {
  const value = node.labels[topologyKey];
  if (value !== undefined) domains.set(value, (domains.get(value) ?? 0) + 1);
}

/** Pods that match the term, by the term's topology. */
function matching(term: AffinityTerm, { nodes, namespaceLabels }: Snapshot): Domains {
  const domains: Domains = new Map();
  for (const node of nodes) {
    for (const pod of node.pods.values()) {
      if (termMatches(term, pod, namespaceLabels)) count(domains, node, term.topologyKey);
    }
  }
  return domains;
}

/** Topology key and value of every place where a running pod refuses `pod`. */
function refusedBy(
  pod: PodInfo,
  { nodes, namespaceLabels, hasAntiAffinity }: Snapshot,
): Map<string, Domains> {
  const refused = new Map<string, Domains>();
  if (!hasAntiAffinity) return refused;
  for (const node of nodes) {
    for (const running of node.affinePods) {
      for (const term of running.requiredAntiAffinity) {
        if (!termMatches(term, pod, namespaceLabels)) continue;
        let domains = refused.get(term.topologyKey);
        if (domains === undefined) refused.set(term.topologyKey, (domains = new Map()));
        count(domains, node, term.topologyKey);
      }
    }
  }
  return refused;
}

const has = (domains: Domains, node: NodeState, topologyKey: string): boolean =>
  (domains.get(node.labels[topologyKey] ?? '') ?? 0) > 0 && node.labels[topologyKey] !== undefined;

/** Required affinity and anti-affinity between pods (upstream: interpodaffinity/filtering.go). */
export const interPodAffinity: Filter = {
  name: 'InterPodAffinity',
  prepare: (pod, snapshot) => {
    const { requiredAffinity, requiredAntiAffinity } = pod;
    const refused = refusedBy(pod, snapshot);
    if (requiredAffinity.length === 0 && requiredAntiAffinity.length === 0 && refused.size === 0)
      return undefined;
    // A pod counts for affinity only when it matches all terms.
    const affinity = affinityDomains(requiredAffinity, snapshot);
    const anti = requiredAntiAffinity.map((term) => ({ term, domains: matching(term, snapshot) }));
    // The first of a group that wants to be together may go anywhere.
    const isFirst =
      affinity.every(({ domains }) => domains.size === 0) &&
      requiredAffinity.every((term) => termMatches(term, pod, snapshot.namespaceLabels));
    return (node) => {
      if (!satisfiesAffinity(node, affinity, isFirst))
        return final("node(s) didn't match pod affinity rules");
      if (anti.some(({ term, domains }) => has(domains, node, term.topologyKey))) {
        return resolvable("node(s) didn't match pod anti-affinity rules");
      }
      if ([...refused].some(([key, domains]) => has(domains, node, key))) {
        return resolvable("node(s) didn't satisfy existing pods anti-affinity rules");
      }
      return undefined;
    };
  },
};

interface TermDomains {
  readonly term: AffinityTerm;
  readonly domains: Domains;
}

function affinityDomains(terms: readonly AffinityTerm[], snapshot: Snapshot): TermDomains[] {
  const result = terms.map((term) => ({ term, domains: new Map<string, number>() }));
  if (terms.length === 0) return result;
  for (const node of snapshot.nodes) {
    for (const pod of node.pods.values()) {
      if (!terms.every((term) => termMatches(term, pod, snapshot.namespaceLabels))) continue;
      for (const { term, domains } of result) count(domains, node, term.topologyKey);
    }
  }
  return result;
}

function satisfiesAffinity(node: NodeState, affinity: readonly TermDomains[], isFirst: boolean): boolean {
  if (affinity.some(({ term }) => node.labels[term.topologyKey] === undefined)) return false;
  return isFirst || affinity.every(({ term, domains }) => has(domains, node, term.topologyKey));
}
