/**
 * What is particular to each built-in kind: defaults, validation, allocation, columns and selectable fields, in
 * upstream's words (pkg/apis, pkg/registry, pkg/printers). One small declaration per kind behind the generic store;
 * a kind that is not listed is stored as sent.
 *
 * Keys are `group/Kind` of the storage version: `strategies.get('apps/Deployment')`, `strategies.get('/Pod')`.
 */
import { customResourceDefinition } from '../../crd/definition/strategy.ts';
import type { Strategy } from '../strategy.ts';
import * as registrations from './admission/registrations.ts';
import { apiService } from './apiregistration/api-service.ts';
import { controllerRevision } from './apps/controller-revision.ts';
import { daemonSet } from './apps/daemon-set.ts';
import { deployment } from './apps/deployment.ts';
import { replicaSet } from './apps/replica-set.ts';
import { statefulSet } from './apps/stateful-set.ts';
import { horizontalPodAutoscaler } from './autoscaling/horizontal-pod-autoscaler.ts';
import { cronJob } from './batch/cron-job.ts';
import { job } from './batch/job.ts';
import { certificateSigningRequest } from './certificates/certificate-signing-request.ts';
import { lease } from './coordination/lease.ts';
import { configMap } from './core/config-map.ts';
import { event } from './core/event.ts';
import { limitRange } from './core/limit-range.ts';
import { namespace } from './core/namespace.ts';
import { node } from './core/node.ts';
import { podTemplate } from './core/pod-template.ts';
import { replicationController } from './core/replication-controller.ts';
import { resourceQuota } from './core/resource-quota.ts';
import { secret } from './core/secret.ts';
import { serviceAccount } from './core/service-account.ts';
import { endpointSlice } from './endpoints/endpoint-slice.ts';
import { endpoints } from './endpoints/endpoints.ts';
import { flowSchema } from './flowcontrol/flow-schema.ts';
import { priorityLevelConfiguration } from './flowcontrol/priority-level.ts';
import { ingress, ingressClass } from './networking/ingress.ts';
import { networkPolicy } from './networking/network-policy.ts';
import { ipAddress, serviceCidr } from './networking/service-addresses.ts';
import * as others from './other/tables.ts';
import { pod } from './pod/strategy.ts';
import { podDisruptionBudget } from './policy/pod-disruption-budget.ts';
import { clusterRole, clusterRoleBinding, role, roleBinding } from './rbac/roles.ts';
import { deviceClass, resourceClaim, resourceClaimTemplate } from './resource/claims.ts';
import { resourceSlice } from './resource/slice.ts';
import { deviceTaintRule } from './resource/taints.ts';
import { priorityClass } from './scheduling/priority-class.ts';
import { service } from './service/strategy.ts';
import * as classes from './storage/classes.ts';
import * as csi from './storage/csi.ts';
import { persistentVolumeClaim } from './storage/persistent-volume-claim.ts';
import { persistentVolume } from './storage/persistent-volume.ts';
import { volumeAttachment } from './storage/volume-attachment.ts';

/** By group, then kind. Each is a Strategy of its own type; the registry hands it only objects of its kind. */
const byGroup: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  '': {
    ConfigMap: configMap,
    Endpoints: endpoints,
    Event: event,
    LimitRange: limitRange,
    Namespace: namespace,
    Node: node,
    PersistentVolume: persistentVolume,
    PersistentVolumeClaim: persistentVolumeClaim,
    Pod: pod,
    PodTemplate: podTemplate,
    ReplicationController: replicationController,
    ResourceQuota: resourceQuota,
    Secret: secret,
    Service: service,
    ServiceAccount: serviceAccount,
  },
  'admissionregistration.k8s.io': {
    MutatingAdmissionPolicy: registrations.mutatingAdmissionPolicy,
    MutatingAdmissionPolicyBinding: registrations.mutatingAdmissionPolicyBinding,
    MutatingWebhookConfiguration: registrations.mutatingWebhookConfiguration,
    ValidatingAdmissionPolicy: registrations.validatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding: registrations.validatingAdmissionPolicyBinding,
    ValidatingWebhookConfiguration: registrations.validatingWebhookConfiguration,
  },
  'apiextensions.k8s.io': { CustomResourceDefinition: customResourceDefinition },
  'apiregistration.k8s.io': { APIService: apiService },
  apps: {
    ControllerRevision: controllerRevision,
    DaemonSet: daemonSet,
    Deployment: deployment,
    ReplicaSet: replicaSet,
    StatefulSet: statefulSet,
  },
  autoscaling: { HorizontalPodAutoscaler: horizontalPodAutoscaler },
  batch: { CronJob: cronJob, Job: job },
  'certificates.k8s.io': {
    CertificateSigningRequest: certificateSigningRequest,
    ClusterTrustBundle: others.clusterTrustBundle,
    PodCertificateRequest: others.podCertificateRequest,
  },
  'coordination.k8s.io': { Lease: lease, LeaseCandidate: others.leaseCandidate },
  'discovery.k8s.io': { EndpointSlice: endpointSlice },
  'flowcontrol.apiserver.k8s.io': {
    FlowSchema: flowSchema,
    PriorityLevelConfiguration: priorityLevelConfiguration,
  },
  'internal.apiserver.k8s.io': { StorageVersion: others.storageVersion },
  'networking.k8s.io': {
    IPAddress: ipAddress,
    Ingress: ingress,
    IngressClass: ingressClass,
    NetworkPolicy: networkPolicy,
    ServiceCIDR: serviceCidr,
  },
  'node.k8s.io': { RuntimeClass: others.runtimeClass },
  policy: { PodDisruptionBudget: podDisruptionBudget },
  'rbac.authorization.k8s.io': {
    ClusterRole: clusterRole,
    ClusterRoleBinding: clusterRoleBinding,
    Role: role,
    RoleBinding: roleBinding,
  },
  'resource.k8s.io': {
    DeviceClass: deviceClass,
    ResourceClaim: resourceClaim,
    ResourceClaimTemplate: resourceClaimTemplate,
    ResourceSlice: resourceSlice,
    DeviceTaintRule: deviceTaintRule,
  },
  'scheduling.k8s.io': { PriorityClass: priorityClass },
  'storage.k8s.io': {
    CSIDriver: csi.csiDriver,
    CSINode: csi.csiNode,
    CSIStorageCapacity: classes.csiStorageCapacity,
    StorageClass: classes.storageClass,
    VolumeAttachment: volumeAttachment,
    VolumeAttributesClass: classes.volumeAttributesClass,
  },
};

export const strategies: ReadonlyMap<string, Strategy> = new Map(
  Object.entries(byGroup).flatMap(([group, kinds]) =>
    Object.entries(kinds).map(([kind, strategy]): [string, Strategy] => [
      `${group}/${kind}`,
      strategy as Strategy,
    ]),
  ),
);

export { createdAtTable, defaultTable } from './table/table.ts';
