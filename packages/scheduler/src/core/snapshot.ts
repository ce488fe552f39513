import type { NodeState } from '../state/node-state.ts';
import type { PodInfo } from '../state/pod-info.ts';
import type { NamespaceLabels } from './affinity-term.ts';

/** What one scheduling decision sees. Nothing in it changes while the decision is made. */
export interface Snapshot {
  /** Nodes that exist, in a stable order: one of each zone, then the next of each. */
  readonly nodes: readonly NodeState[];
  readonly namespaceLabels: NamespaceLabels;
  /** Whether any pod anywhere has required anti-affinity: most clusters need not look. */
  readonly hasAntiAffinity: boolean;
  /** Waiting pods for which room is being made, by node. */
  readonly nominated: ReadonlyMap<string, ReadonlyArray<{ readonly pod: PodInfo }>>;
}
