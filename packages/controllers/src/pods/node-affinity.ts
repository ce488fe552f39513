import { requirement, Selector, type Operator } from '@cloudless/kube/selector/selector';
import type { Node, NodeSelectorTerm, PodSpec } from '@cloudless/kube/types/core-v1';

const operators: Record<string, Operator> = {
  In: 'in',
  NotIn: 'notin',
  Exists: 'exists',
  DoesNotExist: '!',
  Gt: 'gt',
  Lt: 'lt',
};

/** Whether a node satisfies one term: all of its expressions and fields. An empty or invalid term selects nothing. */
export function matchesTerm(term: NodeSelectorTerm, node: Node): boolean {
  const expressions = term.matchExpressions ?? [];
  const fields = term.matchFields ?? [];
  if (expressions.length === 0 && fields.length === 0) return false;
  try {
    const rules = expressions.map(({ key, operator, values }) =>
      requirement(key, operators[operator] as Operator, values ?? []),
    );
    if (!new Selector(rules).matches(node.metadata.labels)) return false;
  } catch {
    return false;
  }
  return fields.every(({ key, operator, values }) => {
    if (key !== 'metadata.name' || values?.length !== 1) return false;
    const same = values[0] === node.metadata.name;
    return operator === 'In' ? same : operator === 'NotIn' ? !same : false;
  });
}

/** Whether a pod may be on a node by its nodeSelector and required node affinity. */
export function fitsNodeAffinity(spec: PodSpec | undefined, node: Node): boolean {
  const labels = node.metadata.labels ?? {};
  for (const [key, value] of Object.entries(spec?.nodeSelector ?? {}))
    if (labels[key] !== value) return false;
  const required = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return required === undefined || required.nodeSelectorTerms.some((term) => matchesTerm(term, node));
}
