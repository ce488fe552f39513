import type { NodeState } from '../../state/node-state.ts';
import type { PodInfo } from '../../state/pod-info.ts';
import type { Snapshot } from '../snapshot.ts';

/** Scores of one plugin run from 0 to this. */
export const maxScore = 100;

export interface Scorer {
  /** Upstream's plugin name. */
  readonly name: string;
  /** Upstream's default weight. */
  readonly weight: number;
  /** A score for each node, 0 to {@link maxScore}, in order; undefined: all are alike. */
  score(pod: PodInfo, nodes: readonly NodeState[], snapshot: Snapshot): number[] | undefined;
}

/** Stretches raw scores to 0…100, the highest to 100 (upstream: helper.DefaultNormalizeScore). */
export function normalize(raw: readonly number[], reverse: boolean): number[] {
  const max = Math.max(0, ...raw);
  if (max === 0) return raw.map(() => (reverse ? maxScore : 0));
  return raw.map((score) => {
    const stretched = Math.trunc((maxScore * score) / max);
    return reverse ? maxScore - stretched : stretched;
  });
}
