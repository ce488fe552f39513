import type { KubeObject, Resource } from '@cloudless/kube/object';

/**
 * What upstream's strategies say about metadata of a kind, as facts (kubernetes/pkg/registry: the `strategy.go` of
 * each resource). Keys are `group/Kind`.
 */
const key = (resource: Resource): string => `${resource.group}/${resource.kind}`;

const withGeneration: ReadonlySet<string> = new Set([
  '/Pod',
  '/PodTemplate',
  '/ReplicationController',
  'admissionregistration.k8s.io/MutatingAdmissionPolicy',
  'admissionregistration.k8s.io/MutatingAdmissionPolicyBinding',
  'admissionregistration.k8s.io/MutatingWebhookConfiguration',
  'admissionregistration.k8s.io/ValidatingAdmissionPolicy',
  'admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding',
  'admissionregistration.k8s.io/ValidatingWebhookConfiguration',
  'apiextensions.k8s.io/CustomResourceDefinition',
  'apps/DaemonSet',
  'apps/Deployment',
  'apps/ReplicaSet',
  'apps/StatefulSet',
  'batch/CronJob',
  'batch/Job',
  'discovery.k8s.io/EndpointSlice',
  'flowcontrol.apiserver.k8s.io/FlowSchema',
  'flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration',
  'networking.k8s.io/Ingress',
  'networking.k8s.io/IngressClass',
  'networking.k8s.io/NetworkPolicy',
  'policy/PodDisruptionBudget',
  'resource.k8s.io/DeviceClass',
  'resource.k8s.io/DeviceTaintRule',
  'resource.k8s.io/ResourceSlice',
  'scheduling.k8s.io/PriorityClass',
]);

/** Whether metadata.generation counts changes of everything but metadata and status. */
export const hasGeneration = (resource: Resource): boolean => withGeneration.has(key(resource));

const createdByUpdate: ReadonlySet<string> = new Set([
  '/Endpoints',
  '/Event',
  '/LimitRange',
  '/Service',
  'coordination.k8s.io/Lease',
  'coordination.k8s.io/LeaseCandidate',
  'events.k8s.io/Event',
  'node.k8s.io/RuntimeClass',
  'rbac.authorization.k8s.io/ClusterRole',
  'rbac.authorization.k8s.io/ClusterRoleBinding',
  'rbac.authorization.k8s.io/Role',
  'rbac.authorization.k8s.io/RoleBinding',
]);

/** Kinds whose generation counts changes, but only from the first one on. */
const generationFromUpdates: ReadonlySet<string> = new Set(['storage.k8s.io/CSIDriver']);
/** Kinds whose generation is 1 for ever. */
const generationOfCreation: ReadonlySet<string> = new Set(['scheduling.k8s.io/PriorityClass']);
export const countsUpdates = (resource: Resource): boolean =>
  (hasGeneration(resource) && !generationOfCreation.has(key(resource))) ||
  generationFromUpdates.has(key(resource));

/** Whether PUT of an object that does not exist creates it (AllowCreateOnUpdate). */
export const allowsCreateOnUpdate = (resource: Resource): boolean => createdByUpdate.has(key(resource));

const conditionalOnly: ReadonlySet<string> = new Set([
  'admissionregistration.k8s.io/MutatingAdmissionPolicy',
  'admissionregistration.k8s.io/MutatingAdmissionPolicyBinding',
  'admissionregistration.k8s.io/MutatingWebhookConfiguration',
  'admissionregistration.k8s.io/ValidatingAdmissionPolicy',
  'admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding',
  'admissionregistration.k8s.io/ValidatingWebhookConfiguration',
  'apiextensions.k8s.io/CustomResourceDefinition',
  'apiregistration.k8s.io/APIService',
  'certificates.k8s.io/ClusterTrustBundle',
  'certificates.k8s.io/PodCertificateRequest',
  'coordination.k8s.io/Lease',
  'coordination.k8s.io/LeaseCandidate',
  'internal.apiserver.k8s.io/StorageVersion',
  'node.k8s.io/RuntimeClass',
  'policy/PodDisruptionBudget',
  'resource.k8s.io/ResourcePoolStatusRequest',
  'storage.k8s.io/CSIDriver',
  'storage.k8s.io/CSINode',
  'storage.k8s.io/CSIStorageCapacity',
  'storage.k8s.io/VolumeAttachment',
  'storagemigration.k8s.io/StorageVersionMigration',
]);

/** Whether an update may come without a resourceVersion (AllowUnconditionalUpdate). */
export const allowsUnconditionalUpdate = (resource: Resource): boolean => !conditionalOnly.has(key(resource));

/** Kinds whose update does not judge names as their creation does: ValidateXUpdate without ValidateX (pkg/apis). */
const namesCheckedOnce: ReadonlySet<string> = new Set([
  '/PodTemplate',
  '/ReplicationController',
  '/ResourceQuota',
  '/Service',
  'apiextensions.k8s.io/CustomResourceDefinition',
  'apps/DaemonSet',
  'apps/Deployment',
  'apps/ReplicaSet',
  'apps/StatefulSet',
  'autoscaling/HorizontalPodAutoscaler',
  'batch/CronJob',
  'certificates.k8s.io/CertificateSigningRequest',
  'coordination.k8s.io/Lease',
  'coordination.k8s.io/LeaseCandidate',
  'networking.k8s.io/NetworkPolicy',
  'networking.k8s.io/ServiceCIDR',
  'policy/PodDisruptionBudget',
  'resource.k8s.io/DeviceClass',
  'resource.k8s.io/DeviceTaintRule',
  'resource.k8s.io/ResourceSlice',
  'scheduling.k8s.io/PriorityClass',
  'storage.k8s.io/CSIDriver',
]);

/** Whether an update judges `generateName` by the rule for names of the kind. */
export const rechecksNames = (resource: Resource, subresource: string): boolean =>
  subresource === ''
    ? !namesCheckedOnce.has(key(resource))
    : key(resource) === 'storage.k8s.io/VolumeAttachment';

const orphansByDefault: ReadonlySet<string> = new Set(['/ReplicationController', 'batch/Job']);
const withoutGarbageCollection: ReadonlySet<string> = new Set(['/Event', 'events.k8s.io/Event']);

/** What becomes of dependents when a deletion does not say (DefaultGarbageCollectionPolicy). */
export function defaultPropagation(resource: Resource): 'orphan' | 'background' | 'unsupported' {
  if (withoutGarbageCollection.has(key(resource))) return 'unsupported';
  return orphansByDefault.has(key(resource)) ? 'orphan' : 'background';
}

const returnsDeleted: ReadonlySet<string> = new Set([
  '/Namespace',
  '/PersistentVolume',
  '/PersistentVolumeClaim',
  '/Pod',
  '/PodTemplate',
  '/ResourceQuota',
  '/ServiceAccount',
  '/Service',
  'resource.k8s.io/DeviceClass',
  'resource.k8s.io/DeviceTaintRule',
  'resource.k8s.io/ResourceClaim',
  'resource.k8s.io/ResourceClaimTemplate',
  'resource.k8s.io/ResourcePoolStatusRequest',
  'resource.k8s.io/ResourceSlice',
  'storage.k8s.io/CSIDriver',
  'storage.k8s.io/CSINode',
  'storage.k8s.io/StorageClass',
  'storage.k8s.io/VolumeAttachment',
  'storage.k8s.io/VolumeAttributesClass',
]);

/** Whether a deletion answers with the object instead of a Status (ReturnDeletedObject). */
export const returnsDeletedObject = (resource: Resource): boolean => returnsDeleted.has(key(resource));

/** A node registers with its status (nodeStrategy.PrepareForCreate leaves it alone). */
export const keepsStatusOnCreate = (resource: Resource): boolean => key(resource) === '/Node';

/** Groups and kinds whose status strategies call ResetObjectMetaForStatus (pkg/registry). */
const statusResetsMetadata = new Set([
  'admissionregistration.k8s.io/ValidatingAdmissionPolicy',
  'apiregistration.k8s.io',
  'flowcontrol.apiserver.k8s.io',
  'internal.apiserver.k8s.io',
  'networking.k8s.io/ServiceCIDR',
  'resource.k8s.io',
  'storage.k8s.io',
  'storagemigration.k8s.io',
]);

/** Fields of metadata that a write to `/status` may not change. */
export type StatusRestores =
  | 'all'
  | ReadonlyArray<'annotations' | 'finalizers' | 'labels' | 'ownerReferences'>;
const resetForStatus: StatusRestores = ['annotations', 'finalizers', 'labels', 'ownerReferences'];

/**
 * What of the metadata a write to `/status` leaves as it is stored. Kubelets rely on the rest for nodes and pods; the
 * deployment controller notes its revision in an annotation, while labels are its user's (deploymentStatusStrategy).
 */
export function statusRestores(resource: Resource): StatusRestores {
  // ResetObjectMetaForStatus of the new object with itself: nothing is restored, and finalizers go by this way.
  if (key(resource) === 'apiextensions.k8s.io/CustomResourceDefinition') return [];
  if (statusResetsMetadata.has(resource.group) || statusResetsMetadata.has(key(resource)))
    return resetForStatus;
  return key(resource) === 'apps/Deployment' ? ['labels', 'ownerReferences'] : ['ownerReferences'];
}

/** Whether an update that leaves no finalizer deletes an object under deletion: namespaces have two lists. */
export function finalizersLeft(resource: Resource, object: KubeObject): boolean {
  if ((object.metadata.finalizers?.length ?? 0) > 0) return true;
  if (key(resource) !== '/Namespace') return false;
  const { spec } = object as { spec?: { finalizers?: string[] } };
  return (spec?.finalizers?.length ?? 0) > 0;
}
