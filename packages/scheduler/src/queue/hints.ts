import type { Node, Pod } from '@cloudless/kube/types/core-v1';
import type { Hint } from './queue.ts';

const anyPod: Hint = () => true;
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

/** Which waiting pods a new or changed node may help; undefined: none (a heartbeat). */
export function nodeChangeHint(node: Node, old: Node | undefined): Hint | undefined {
  if (old === undefined) return anyPod;
  const changed =
    !same(node.status?.allocatable, old.status?.allocatable) ||
    !same(node.metadata.labels, old.metadata.labels) ||
    !same(node.spec?.taints, old.spec?.taints) ||
    Boolean(node.spec?.unschedulable) !== Boolean(old.spec?.unschedulable);
  return changed ? anyPod : undefined;
}

const looksAtPods: ReadonlySet<string> = new Set(['InterPodAffinity', 'PodTopologySpread']);

/**
 * Which waiting pods a pod on a node may help: one that came, those that want to be near it; one that changed
 * its labels or gave resources back, more.
 */
export function placedPodHint(pod: Pod, old: Pod | undefined): Hint | undefined {
  const wantsPods: Hint = ({ refusedBy }) => [...refusedBy].some((filter) => looksAtPods.has(filter));
  if (old === undefined || !old.spec?.nodeName) return wantsPods;
  if (!same(pod.metadata.labels, old.metadata.labels)) return wantsPods;
  if (Boolean(pod.metadata.deletionTimestamp) !== Boolean(old.metadata.deletionTimestamp)) return wantsPods;
  const requests = ({ spec }: Pod): unknown =>
    (spec?.containers ?? []).map(({ resources }) => resources?.requests);
  return same(requests(pod), requests(old)) ? undefined : anyPod;
}
