import { groupResourceOf } from '@cloudless/kube/object';
import { errors, type StatusError } from '@cloudless/kube/status';
import type { AdmissionRequest } from './plugin.ts';

/** 403 as admission words it (upstream: apiserver/pkg/admission/errors.go). */
export function forbidden(request: AdmissionRequest, why: string): StatusError {
  const { name, generateName } = request.object?.metadata ?? {};
  return errors.forbidden(request.resource, request.name || name || generateName || 'Unknown!', why);
}

/** `pods`, `leases.coordination.k8s.io`. */
export const resourceOf = (request: AdmissionRequest): string => groupResourceOf(request.resource);

export const mirrorAnnotation = 'kubernetes.io/config.mirror';

export const isMirrorPod = (pod: { metadata: { annotations?: Record<string, string> } }): boolean =>
  pod.metadata.annotations?.[mirrorAnnotation] !== undefined;

/** Whether the request writes pods themselves. */
export const isPod = (resource: { group: string; plural: string }, subresource: string): boolean =>
  resource.group === '' && resource.plural === 'pods' && subresource === '';
