import type { Scorer } from './score.ts';
import { maxScore } from './score.ts';

function leastAllocated(requested: number, allocatable: number): number {
  if (allocatable === 0 || requested > allocatable) return 0;
  return Math.trunc(((allocatable - requested) * maxScore) / allocatable);
}

/** Prefers nodes with room (upstream: NodeResourcesFit's LeastAllocated). */
export const leastAllocatedScore: Scorer = {
  name: 'NodeResourcesFit',
  weight: 1,
  score: ({ scoring }, nodes) =>
    nodes.map(({ allocatable, scoringRequested }) => {
      const cpu = allocatable.get('cpu') ?? 0;
      const memory = allocatable.get('memory') ?? 0;
      const parts = [
        ...(cpu === 0 ? [] : [leastAllocated(scoringRequested.milliCpu + scoring.milliCpu, cpu)]),
        ...(memory === 0 ? [] : [leastAllocated(scoringRequested.memoryBytes + scoring.memoryBytes, memory)]),
      ];
      return parts.length === 0 ? 0 : Math.trunc(parts.reduce((a, b) => a + b, 0) / parts.length);
    }),
};

/** Prefers nodes whose processor and memory are used alike (upstream: NodeResourcesBalancedAllocation). */
export const balancedScore: Scorer = {
  name: 'NodeResourcesBalancedAllocation',
  weight: 1,
  score: ({ requests }, nodes) => {
    if (![...requests.values()].some((amount) => amount > 0)) return undefined;
    return nodes.map(({ allocatable, requested }) => {
      const fractions = ['cpu', 'memory'].flatMap((name) => {
        const capacity = allocatable.get(name) ?? 0;
        if (capacity === 0) return [];
        return [Math.min(1, ((requested.get(name) ?? 0) + (requests.get(name) ?? 0)) / capacity)];
      });
      const [a = 0, b = a] = fractions;
      return Math.trunc((1 - Math.abs(a - b) / 2) * maxScore);
    });
  },
};
