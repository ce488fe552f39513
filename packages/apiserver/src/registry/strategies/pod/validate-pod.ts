import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { Pod } from '@cloudless/kube/types/core-v1';
import { validateImageSpaces } from './validate-container.ts';
import { validatePodAnnotations, validateProfileAnnotations } from './validate-security.ts';
import { validatePodSpec } from './validate-spec.ts';

const specPath = FieldPath.of('spec');
const annotationsPath = FieldPath.of('metadata', 'annotations');

/** What holds for a pod at all times (upstream: validatePodMetadataAndSpec). */
export function validatePod(pod: Pod, old?: Pod): FieldError[] {
  const spec = pod.spec ?? { containers: [] };
  const wrong = [
    ...validatePodAnnotations(pod.metadata.annotations, spec, annotationsPath),
    ...validatePodSpec(spec, pod.metadata, specPath, old?.spec),
  ];
  if (!spec.serviceAccountName) {
    for (const [i, volume] of (spec.volumes ?? []).entries()) {
      for (const [j, source] of (volume.projected?.sources ?? []).entries()) {
        if (!source.serviceAccountToken) continue;
        const at = specPath.child('volumes').index(i).child('projected', 'sources').index(j);
        const text = 'must not be specified when serviceAccountName is not set';
        wrong.push(fieldErrors.forbidden(at.child('serviceAccountToken'), text));
      }
    }
  }
  for (const name of ['containers', 'initContainers'] as const) {
    for (const [i, container] of (spec[name] ?? []).entries()) {
      wrong.push(...validateImageSpaces(container, specPath.child(name).index(i)));
    }
  }
  return wrong;
}

/** A new pod (upstream: ValidatePodCreate). */
export function validatePodCreate(pod: Pod): FieldError[] {
  const spec = pod.spec ?? { containers: [] };
  const wrong = validatePod(pod);
  if (spec.ephemeralContainers?.length) {
    wrong.push(fieldErrors.forbidden(specPath.child('ephemeralContainers'), 'cannot be set on create'));
  }
  if (spec.nodeName && spec.schedulingGates?.length) {
    const text = 'cannot be set until all schedulingGates have been cleared';
    wrong.push(fieldErrors.forbidden(specPath.child('nodeName'), text));
  }
  return [...wrong, ...validateProfileAnnotations(pod.metadata, spec, specPath)];
}
