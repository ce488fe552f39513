import type { NodeState } from '../../state/node-state.ts';
import { matchesTerm } from '../node-affinity.ts';
import { isTolerated } from '../taints.ts';
import { normalize, type Scorer } from './score.ts';

/** Prefers nodes with fewer `PreferNoSchedule` taints that the pod does not tolerate. */
export const taintScore: Scorer = {
  name: 'TaintToleration',
  weight: 3,
  score: ({ pod }, nodes) => {
    const tolerations = (pod.spec?.tolerations ?? []).filter(
      ({ effect }) => !effect || effect === 'PreferNoSchedule',
    );
    const raw = nodes.map(
      ({ node }) =>
        (node?.spec?.taints ?? []).filter(
          (taint) => taint.effect === 'PreferNoSchedule' && !isTolerated(taint, tolerations),
        ).length,
    );
    return raw.every((count) => count === 0) ? undefined : normalize(raw, true);
  },
};

/** Prefers nodes that satisfy preferred node affinity. */
export const nodeAffinityScore: Scorer = {
  name: 'NodeAffinity',
  weight: 2,
  score: ({ pod }, nodes) => {
    const terms = pod.spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
    if (terms.length === 0) return undefined;
    const weightOf = (node: NodeState): number => {
      let sum = 0;
      for (const { weight, preference } of terms) {
        const { matchExpressions, matchFields } = preference;
        // Unlike a required one, an empty preferred term matches every node.
        const empty = !matchExpressions?.length && !matchFields?.length;
        if (empty || matchesTerm(preference, node)) sum += weight;
      }
      return sum;
    };
    return normalize(nodes.map(weightOf), false);
  },
};
