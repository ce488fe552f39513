import { requirement, Selector, selectorFromObject } from '@cloudless/kube/selector/selector';
import type { Pod, PodAffinityTerm } from '@cloudless/kube/types/core-v1';
import type { PodInfo } from '../state/pod-info.ts';

/** Labels of namespaces, for terms that select namespaces by label. */
export type NamespaceLabels = (namespace: string) => Readonly<Record<string, string>> | undefined;

/** A pod (anti-)affinity term, ready to match. */
export interface AffinityTerm {
  readonly topologyKey: string;
  readonly selector: Selector;
  readonly namespaces: ReadonlySet<string>;
  /** Selects namespaces by label; undefined: only the named ones count. */
  readonly namespaceSelector: Selector | undefined;
}

/** Prepares a term of `pod`. Without namespaces, the pod's own is meant. */
export function affinityTerm(term: PodAffinityTerm, pod: Pod): AffinityTerm {
  const namespaces = new Set(term.namespaces ?? []);
  const selects = term.namespaceSelector !== undefined && term.namespaceSelector !== null;
  if (namespaces.size === 0 && !selects) namespaces.add(pod.metadata.namespace ?? '');
  const labels = pod.metadata.labels ?? {};
  const byKeys = (keys: readonly string[] | undefined, operator: 'in' | 'notin') =>
    (keys ?? []).flatMap((key) =>
      labels[key] === undefined ? [] : [requirement(key, operator, [labels[key]])],
    );
  return {
    topologyKey: term.topologyKey,
    selector: safely(() =>
      selectorFromObject(term.labelSelector).and(
        ...byKeys(term.matchLabelKeys, 'in'),
        ...byKeys(term.mismatchLabelKeys, 'notin'),
      ),
    ),
    namespaces,
    namespaceSelector: selects ? safely(() => selectorFromObject(term.namespaceSelector)) : undefined,
  };
}

/** A selector the API server should have refused selects nothing rather than stopping the scheduler. */
export function safely(make: () => Selector): Selector {
  try {
    return make();
  } catch {
    return new Selector([], true);
  }
}

export function termMatches(term: AffinityTerm, pod: PodInfo, labelsOf: NamespaceLabels): boolean {
  if (!term.namespaces.has(pod.namespace)) {
    if (term.namespaceSelector === undefined) return false;
    if (!term.namespaceSelector.matches(labelsOf(pod.namespace) ?? {})) return false;
  }
  return term.selector.matches(pod.labels);
}
