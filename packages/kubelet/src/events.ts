import type { ObjectReference, Pod } from '@cloudless/kube/types/core-v1';

/** Where the kubelet's events go: the API, or a test's list. Never throws, never blocks. */
export type EventSink = (
  about: ObjectReference,
  type: 'Normal' | 'Warning',
  reason: string,
  message: string,
) => void;

/** A pod as an event's object; `fieldPath` names one of its containers. */
export function podReference(pod: Pod, fieldPath?: string): ObjectReference {
  const { name, namespace, uid, resourceVersion } = pod.metadata;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    ...(name ? { name } : {}),
    ...(namespace ? { namespace } : {}),
    ...(uid ? { uid } : {}),
    ...(resourceVersion ? { resourceVersion } : {}),
    ...(fieldPath ? { fieldPath } : {}),
  };
}

/** A node as an event's object; upstream uses its name as uid. */
export const nodeReference = (nodeName: string): ObjectReference => ({
  apiVersion: 'v1',
  kind: 'Node',
  name: nodeName,
  uid: nodeName,
});
