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
      const counted = (cpu === 0 ? 0 : 1) + (memory === 0 ? 0 : 1);
      if (counted === 0) return 0;
      const sum =
        leastAllocated(scoringRequested.milliCpu + scoring.milliCpu, cpu) +
        leastAllocated(scoringRequested.memoryBytes + scoring.memoryBytes, memory);
      return Math.trunc(sum / counted);
    }),
};

/** Prefers nodes whose processor and memory are used alike (upstream: NodeResourcesBalancedAllocation). */
export const balancedScore: Scorer = {
  name: 'NodeResourcesBalancedAllocation',
  weight: 1,
  score: ({ requests }, nodes) => {
    if (![...requests.values()].some((amount) => amount > 0)) return undefined;
    const [cpu, memory] = [requests.get('cpu') ?? 0, requests.get('memory') ?? 0];
    return nodes.map(({ allocatable, requested }) => {
      const ofCpu = fraction((requested.get('cpu') ?? 0) + cpu, allocatable.get('cpu') ?? 0);
      const ofMemory = fraction((requested.get('memory') ?? 0) + memory, allocatable.get('memory') ?? 0);
      // What a node has only one of is balanced by itself.
      const apart = Number.isNaN(ofCpu) || Number.isNaN(ofMemory) ? 0 : Math.abs(ofCpu - ofMemory);
      return Math.trunc((1 - apart / 2) * maxScore);
    });
  },
};

/** How much of a node's capacity is used, 1 at most; NaN for what it has none of. */
const fraction = (used: number, capacity: number): number =>
  capacity === 0 ? Number.NaN : Math.min(1, used / capacity);
