import type { Refusal } from './filter/filter.ts';

/** The text when there is no node at all. */
export const noNodesMessage = 'no nodes available to schedule pods';

/**
 * `0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.` (upstream: framework.FitError).
 *
 * @param afterwards what was tried then, such as the result of preemption
 */
export function fitErrorMessage(nodeCount: number, refusals: Iterable<Refusal>, afterwards = ''): string {
  const counts = new Map<string, number>();
  for (const { reasons } of refusals) {
    for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  const histogram = [...counts].map(([reason, count]) => `${count} ${reason}`).sort();
  const why = histogram.length === 0 ? '' : ` ${histogram.join(', ')}.`;
  return `0/${nodeCount} nodes are available:${why}${afterwards === '' ? '' : ` ${afterwards}`}`;
}
