import type { NodeState } from '../../state/node-state.ts';
import type { PodInfo } from '../../state/pod-info.ts';
import { counts, type Spread, spreadPodsOn, spreadsOf } from '../topology-spread.ts';
import { type Filter, final, resolvable } from './filter.ts';

const reason = "node(s) didn't match pod topology spread constraints";

interface Counted {
  readonly spread: Spread;
  readonly domains: ReadonlyMap<string, number>;
  /** Pods in the emptiest domain. */
  readonly least: number;
  /** 1 when the pod would count itself. */
  readonly self: number;
}

/** Constraints that must hold (upstream: podtopologyspread/filtering.go). */
export const podTopologySpread: Filter = {
  name: 'PodTopologySpread',
  prepare: (pod, { nodes }) => {
    const spreads = spreadsOf(pod, 'DoNotSchedule');
    if (spreads.length === 0) return undefined;
    // A node takes part only with all the topology labels.
    const labelled = nodes.filter((node) => spreads.every(({ topologyKey }) => topologyKey in node.labels));
    const counted = spreads.map((spread) => countDomains(spread, labelled, pod));
    return (node) => {
      for (const { spread, domains, least, self } of counted) {
        const value = node.labels[spread.topologyKey];
        if (value === undefined) return final(`${reason} (missing required label)`);
        if ((domains.get(value) ?? 0) + self - least > spread.maxSkew) return resolvable(reason);
      }
      return undefined;
    };
  },
};

function countDomains(spread: Spread, nodes: readonly NodeState[], pod: PodInfo): Counted {
  const domains = new Map<string, number>();
  for (const node of nodes) {
    if (!counts(spread, node, pod)) continue;
    const value = node.labels[spread.topologyKey] as string;
    domains.set(value, (domains.get(value) ?? 0) + spreadPodsOn(spread, node, pod));
  }
  const least = domains.size < spread.minDomains || domains.size === 0 ? 0 : Math.min(...domains.values());
  return { spread, domains, least, self: spread.selector?.matches(pod.labels) ? 1 : 0 };
}
