/**
 * What every write passes after it was authorized: completed from the cluster's defaults, then judged.
 *
 * ```ts
 * admission: (context, authorizer) => defaultAdmission({ ...context, authorizer, rbac }),
 * ```
 */
import type { Clock } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import type { Authorizer } from '../authz/authorizer.ts';
import type { RbacAuthorizer } from '../authz/rbac.ts';
import type { Caches } from '../cache/cache.ts';
import { certificateApproval, certificateSigning, certificateSubjectRestriction } from './certificates.ts';
import { defaultIngressClass, defaultStorageClass } from './default-classes.ts';
import { defaultTolerationSeconds } from './default-toleration-seconds.ts';
import { RoleEscalation } from './escalation.ts';
import { LimitRanger } from './limit-ranger.ts';
import { NamespaceLifecycle } from './namespace-lifecycle.ts';
import { NodeRestriction } from './node-restriction/index.ts';
import type { ObjectVersions } from './object-versions.ts';
import type { AdmissionPlugin } from './plugin.ts';
import { OwnerReferencesPermissionEnforcement } from './owner-references.ts';
import { PodSecurity } from './pod-security/index.ts';
import { validatingAdmissionPolicies } from './policy/index.ts';
import { mutatingAdmissionPolicies } from './policy/mutating/index.ts';
import { ParamPermission } from './policy/param-permission.ts';
import { Priority } from './priority.ts';
import { ResourceQuota } from './resource-quota/index.ts';
import { runtimeClass } from './runtime-class.ts';
import { ServiceAccountAdmission } from './service-account.ts';
import { persistentVolumeClaimResize, storageObjectInUseProtection } from './storage.ts';
import { taintNodesByCondition } from './taint-nodes.ts';
import { admissionWebhooks } from './webhook/index.ts';

export interface AdmissionParts {
  caches: Caches;
  clock: Clock;
  authorizer: Authorizer;
  rbac: RbacAuthorizer;
  versions: ObjectVersions;
  log: Logger;
  /** Ends the connections to webhooks. */
  signal: AbortSignal;
  /** Set where the pv- and pvc-protection controllers run; else nothing would take their finalizers away. */
  protectStorageObjects?: boolean;
  /** Off by default, as upstream. */
  enforceOwnerReferences?: boolean;
}

/** Upstream's default plugins, and NodeRestriction as kubeadm adds it, in upstream's order (kubeapiserver/options/plugins.go). */
export function defaultAdmission(parts: AdmissionParts): AdmissionPlugin[] {
  const { caches, authorizer } = parts;
  const webhooks = admissionWebhooks(parts);
  return [
    new NamespaceLifecycle(parts),
    new LimitRanger(parts),
    new ServiceAccountAdmission(parts),
    new NodeRestriction(parts),
    taintNodesByCondition,
    new PodSecurity(parts),
    new Priority(parts),
    defaultTolerationSeconds,
    defaultStorageClass(caches),
    ...(parts.protectStorageObjects === true ? [storageObjectInUseProtection] : []),
    ...(parts.enforceOwnerReferences === true ? [new OwnerReferencesPermissionEnforcement(parts)] : []),
    persistentVolumeClaimResize(caches),
    runtimeClass(caches),
    certificateApproval(authorizer),
    certificateSigning(authorizer),
    certificateSubjectRestriction,
    defaultIngressClass(caches),
    mutatingAdmissionPolicies(parts),
    webhooks.mutating,
    validatingAdmissionPolicies(parts),
    webhooks.validating,
    new RoleEscalation(parts),
    new ParamPermission(parts),
    new ResourceQuota(parts),
  ];
}
