/**
 * What an API server writes after its start, so that a cluster has what every cluster has: system namespaces and
 * priority classes, the CA of client certificates, the default ServiceCIDR, flow schemas and priority levels, the `kubernetes` Service with its endpoints, and a repair of Service
 * addresses. Each hook can run again at any time, and is quick when there is nothing to do.
 */
import type { PostStartHook } from '../server/options.ts';
import { addressRepairHook } from './address-repair.ts';
import { type AuthenticationInfo, authenticationInfoHook } from './authentication-info.ts';
import { flowControlHook } from './flow-control.ts';
import { type KubernetesServiceOptions, kubernetesServiceHook } from './kubernetes-service.ts';
import { namespacesHook } from './namespaces.ts';
import { policyStatusHook } from './policy-status.ts';
import { priorityClassesHook } from './priority-classes.ts';
import { serviceCidrHook } from './service-cidr.ts';

export type { KubernetesServiceOptions } from './kubernetes-service.ts';

/** The hooks in the order in which they run. */
export const clusterHooks = (
  options: KubernetesServiceOptions & { authentication: AuthenticationInfo },
): PostStartHook[] => [
  namespacesHook,
  authenticationInfoHook(options.authentication),
  priorityClassesHook,
  serviceCidrHook(options.serviceCidrs),
  kubernetesServiceHook(options),
  addressRepairHook(),
  policyStatusHook,
  flowControlHook,
];
