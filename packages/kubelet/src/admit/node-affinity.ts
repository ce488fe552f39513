import type { Node, NodeSelectorRequirement, NodeSelectorTerm, Pod } from '@cloudless/kube/types/core-v1';

/** Whether a node fits a pod's nodeSelector and required node affinity (component-helpers nodeaffinity). */
export function fitsNode(pod: Pod, node: Node): boolean {
  const labels = node.metadata.labels ?? {};
  const selector = Object.entries(pod.spec?.nodeSelector ?? {});
  if (selector.some(([key, value]) => labels[key] !== value)) return false;
  const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (required === undefined) return true;
  return required.nodeSelectorTerms.some((term) => fitsTerm(term, labels, node.metadata.name ?? ''));
}

/** Every requirement of a term holds; a term without any fits nothing. */
function fitsTerm(term: NodeSelectorTerm, labels: Record<string, string>, name: string): boolean {
  const expressions = term.matchExpressions ?? [];
  const fields = term.matchFields ?? [];
  if (expressions.length === 0 && fields.length === 0) return false;
  return (
    expressions.every((one) => fitsRequirement(one, labels[one.key])) &&
    fields.every((one) => one.key === 'metadata.name' && fitsRequirement(one, name))
  );
}

function fitsRequirement(
  { operator, values = [] }: NodeSelectorRequirement,
  value: string | undefined,
): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
      return value !== undefined && Number(value) > Number(values[0]);
    case 'Lt':
      return value !== undefined && Number(value) < Number(values[0]);
    default:
      return false;
  }
}
