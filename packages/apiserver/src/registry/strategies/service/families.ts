/** Which address families a Service has (upstream: initIPFamilyFields in pkg/registry/core/service/storage/alloc.go). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { Service } from '@cloudless/kube/types/core-v1';
import { type IpFamily, parseIp } from '../../validation/addresses.ts';
import { sameClusterIps, sameFamilies, specOf } from './traits.ts';
import { validateClusterIps } from './validate-addresses.ts';

const policyPath = FieldPath.of('spec', 'ipFamilyPolicy');
const other = (family: string): IpFamily => (family === 'IPv4' ? 'IPv6' : 'IPv4');

/** A Service that prefers two families is not changed just because the cluster gained or lost one. */
export function keepsPreferredDualStack(service: Service, old: Service | undefined): boolean {
  if (!old || service.spec?.type !== old.spec?.type || service.spec?.type === 'ExternalName') return false;
  if (service.spec?.ipFamilyPolicy !== 'PreferDualStack') return false;
  if ((old.spec?.ipFamilyPolicy ?? 'PreferDualStack') !== 'PreferDualStack') return false;
  return sameClusterIps(service, old) && sameFamilies(service, old);
}

function setPolicy(service: Service, old: Service | undefined): void {
  const spec = specOf(service);
  if (spec.ipFamilyPolicy != null) return;
  if (old?.spec?.ipFamilyPolicy) spec.ipFamilyPolicy = old.spec.ipFamilyPolicy;
  else spec.ipFamilyPolicy = isHeadlessWithoutSelector(service) ? 'RequireDualStack' : 'SingleStack';
}

const isHeadlessWithoutSelector = (service: Service): boolean =>
  service.spec?.clusterIP === 'None' && Object.keys(service.spec.selector ?? {}).length === 0;

/** Going back to one family is a clear wish only with the policy that says so. */
function reconcileWithOld(service: Service, old: Service): FieldError[] {
  const spec = specOf(service);
  if (spec.ipFamilyPolicy === 'SingleStack') {
    if (sameClusterIps(service, old) && (spec.clusterIPs?.length ?? 0) > 1)
      spec.clusterIPs = spec.clusterIPs!.slice(0, 1);
    if (sameFamilies(service, old) && (spec.ipFamilies?.length ?? 0) > 1)
      spec.ipFamilies = spec.ipFamilies!.slice(0, 1);
    return [];
  }
  const wrong: FieldError[] = [];
  const isReduced = (now: readonly string[] | undefined, before: readonly string[] | undefined): boolean =>
    (now?.length ?? 0) > 0 && (now?.length ?? 0) < (before?.length ?? 0);
  const text = (noun: string): string => `must be 'SingleStack' to release the secondary ${noun}`;
  if (isReduced(spec.clusterIPs, old.spec?.clusterIPs)) {
    wrong.push(fieldErrors.invalid(policyPath, spec.ipFamilyPolicy, text('cluster IP')));
  }
  if (isReduced(spec.ipFamilies, old.spec?.ipFamilies)) {
    wrong.push(fieldErrors.invalid(policyPath, spec.ipFamilyPolicy, text('IP family')));
  }
  return wrong;
}

function inferFamilies(service: Service, configured: readonly IpFamily[]): FieldError[] {
  const spec = specOf(service);
  const wrong: FieldError[] = [];
  if (spec.ipFamilyPolicy === 'SingleStack') {
    const text = (noun: string): string =>
      `must be 'RequireDualStack' or 'PreferDualStack' when multiple ${noun} are specified`;
    if (spec.clusterIPs?.length === 2) {
      wrong.push(fieldErrors.invalid(policyPath, spec.ipFamilyPolicy, text('cluster IPs')));
    }
    if (spec.ipFamilies?.length === 2) {
      wrong.push(fieldErrors.invalid(policyPath, spec.ipFamilyPolicy, text('IP families')));
    }
  }
  for (const [i, ip] of (spec.clusterIPs ?? []).entries()) {
    if (ip === 'None') break;
    if (i < (spec.ipFamilies?.length ?? 0)) continue;
    const family = parseIp(ip)?.family as IpFamily;
    if (configured.includes(family)) spec.ipFamilies = [...(spec.ipFamilies ?? []), family];
    else {
      const at = FieldPath.of('spec', 'clusterIPs').index(i);
      wrong.push(fieldErrors.invalid(at, spec.clusterIPs, `${family} is not configured on this cluster`));
    }
  }
  return wrong;
}

function requireConfigured(service: Service, configured: readonly IpFamily[]): FieldError[] {
  const spec = specOf(service);
  const wrong: FieldError[] = [];
  if (spec.ipFamilyPolicy === 'RequireDualStack' && configured.length < 2) {
    const text = 'this cluster is not configured for dual-stack services';
    wrong.push(fieldErrors.invalid(policyPath, spec.ipFamilyPolicy, text));
  }
  for (const [i, family] of (spec.ipFamilies ?? []).entries()) {
    if (configured.includes(family as IpFamily)) continue;
    const at = FieldPath.of('spec', 'ipFamilies').index(i);
    wrong.push(fieldErrors.invalid(at, family, 'not configured on this cluster'));
  }
  return wrong;
}

/**
 * Sets `ipFamilyPolicy` and `ipFamilies` from what was asked for, what the Service was and what the cluster has,
 * the default family first. Answers with what cannot be had.
 */
export function setFamilies(
  service: Service,
  old: Service | undefined,
  configured: readonly IpFamily[],
): FieldError[] {
  const spec = specOf(service);
  if (spec.type === 'ExternalName' || keepsPreferredDualStack(service, old)) return [];
  setPolicy(service, old);
  let wrong = validateClusterIps(service);
  if (wrong.length > 0) return wrong;
  wrong = [...(old ? reconcileWithOld(service, old) : []), ...inferFamilies(service, configured)];
  if (wrong.length > 0) return wrong;
  const preferred = configured[0] ?? 'IPv4';
  if (isHeadlessWithoutSelector(service)) {
    // Whoever writes the endpoints may give them either family, whatever the cluster has.
    if (!spec.ipFamilies?.length) spec.ipFamilies = [preferred];
    if (spec.ipFamilies.length === 1 && spec.ipFamilyPolicy !== 'SingleStack') {
      spec.ipFamilies = [...spec.ipFamilies, other(spec.ipFamilies[0] as string)];
    }
    return [];
  }
  wrong = requireConfigured(service, configured);
  if (wrong.length > 0) return wrong;
  if (!spec.ipFamilies?.length) spec.ipFamilies = [preferred];
  if (spec.ipFamilyPolicy !== 'SingleStack' && spec.ipFamilies.length === 1 && configured.length === 2) {
    spec.ipFamilies = [...spec.ipFamilies, other(spec.ipFamilies[0] as string)];
  }
  return [];
}
