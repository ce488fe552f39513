import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import type { PodTemplateSpec } from '@cloudless/kube/types/core-v1';
import { validateAnnotations, validateLabels } from '../../validation/metadata.ts';
import { validatePodAnnotations, validateProfileAnnotations } from './validate-security.ts';
import { validatePodSpec } from './validate-spec.ts';

/** A pod template at `path` (upstream: ValidatePodTemplateSpec); `old` is the one that it replaces. */
export function validatePodTemplate(
  template: PodTemplateSpec,
  path: FieldPath,
  old?: PodTemplateSpec,
): FieldError[] {
  const spec = template.spec ?? { containers: [] };
  const metadata = template.metadata;
  const wrong = [
    ...validateLabels(metadata?.labels, path.child('labels')),
    ...validateAnnotations(metadata?.annotations, path.child('annotations')),
    ...validatePodAnnotations(metadata?.annotations, spec, path.child('annotations')),
    ...validatePodSpec(spec, undefined, path.child('spec'), old?.spec),
    ...validateProfileAnnotations(metadata, spec, path.child('spec')),
  ];
  if (spec.ephemeralContainers?.length) {
    const text = 'ephemeral containers not allowed in pod template';
    wrong.push(fieldErrors.forbidden(path.child('spec', 'ephemeralContainers'), text));
  }
  return wrong;
}
