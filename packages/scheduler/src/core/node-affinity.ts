import type {
  NodeSelector,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  Pod,
} from '@cloudless/kube/types/core-v1';
import type { NodeState } from '../state/node-state.ts';

/** Whether a node satisfies nodeSelector and required node affinity (upstream: nodeaffinity.GetRequiredNodeAffinity). */
export function matchesRequired(pod: Pod, node: NodeState): boolean {
  for (const [key, value] of Object.entries(pod.spec?.nodeSelector ?? {})) {
    if (node.labels[key] !== value) return false;
  }
  const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return required === undefined || required === null || matchesSelector(required, node);
}

/** Terms are alternatives; none match nothing. */
function matchesSelector(selector: NodeSelector, node: NodeState): boolean {
  return (selector.nodeSelectorTerms ?? []).some((term) => matchesTerm(term, node));
}

/** Requirements of a term must all hold; an empty term matches nothing. */
export function matchesTerm({ matchExpressions, matchFields }: NodeSelectorTerm, node: NodeState): boolean {
  const expressions = matchExpressions ?? [];
  const fields = matchFields ?? [];
  if (expressions.length === 0 && fields.length === 0) return false;
  return (
    expressions.every((rule) => holds(rule, node.labels[rule.key])) &&
    fields.every((rule) => rule.key === 'metadata.name' && holds(rule, node.name))
  );
}

function holds({ operator, values = [] }: NodeSelectorRequirement, actual: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return actual !== undefined && values.includes(actual);
    case 'NotIn':
      return actual === undefined || !values.includes(actual);
    case 'Exists':
      return actual !== undefined;
    case 'DoesNotExist':
      return actual === undefined;
    case 'Gt':
    case 'Lt':
      return actual !== undefined && compares(operator, actual, values[0]);
    default:
      return false;
  }
}

function compares(operator: 'Gt' | 'Lt', actual: string, limit: string | undefined): boolean {
  const integer = /^[+-]?\d+$/;
  if (limit === undefined || !integer.test(actual) || !integer.test(limit)) return false;
  return operator === 'Gt' ? BigInt(actual) > BigInt(limit) : BigInt(actual) < BigInt(limit);
}
