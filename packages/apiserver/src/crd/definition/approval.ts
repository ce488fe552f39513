/** KEP-1111: kinds in groups of the Kubernetes project say who approved them (apiextensions-apiserver/pkg/apihelpers). */
import type { CustomResourceDefinition } from '@cloudless/kube/types/apiextensions-v1';
import { approvalAnnotation } from './facts.ts';

export type Approval = 'invalid' | 'approved' | 'bypassed' | 'missing';

const proposal = 'see https://github.com/kubernetes/enhancements/pull/1111';
const reasons: Readonly<Record<Approval, string>> = {
  invalid: 'InvalidAnnotation',
  missing: 'MissingAnnotation',
  approved: 'ApprovedAnnotation',
  bypassed: 'UnapprovedAnnotation',
};

/** What the annotation of a definition in a protected group says, with upstream's texts. */
export function approvalOf({ metadata }: CustomResourceDefinition): {
  approval: Approval;
  text: string;
  condition: { type: string; status: string; reason: string; message: string };
} {
  const annotation = metadata.annotations?.[approvalAnnotation] ?? '';
  const quoted = JSON.stringify(approvalAnnotation);
  let approval: Approval = 'invalid';
  let text = `protected groups must have approval annotation ${quoted} with either a URL or a reason starting with "unapproved", ${proposal}`;
  if (annotation === '') {
    approval = 'missing';
    text = `protected groups must have approval annotation ${quoted}, ${proposal}`;
  } else if (annotation.startsWith('unapproved')) {
    approval = 'bypassed';
    text = `not approved: ${JSON.stringify(annotation)}`;
  } else if (/^[a-zA-Z][a-zA-Z0-9+.-]*:\/\/[^/?#\s]+[^\s]*$/.test(annotation)) {
    approval = 'approved';
    text = `approved in ${annotation}`;
  }
  const condition = {
    type: 'KubernetesAPIApprovalPolicyConformant',
    status: approval === 'approved' ? 'True' : 'False',
    reason: reasons[approval],
    message: text,
  };
  return { approval, text, condition };
}
