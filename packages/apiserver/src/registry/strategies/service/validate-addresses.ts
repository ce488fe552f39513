/** Rules of `clusterIP(s)`, `ipFamilies` and `ipFamilyPolicy` among themselves (upstream: pkg/apis/core/validation). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { Service } from '@cloudless/kube/types/core-v1';
import { parseIp, validateLegacyIp } from '../../validation/addresses.ts';
import { optionalOneOf } from '../../validation/fields.ts';
import { isHeadless, needsClusterIp } from './traits.ts';

const ipsPath = FieldPath.of('spec', 'clusterIPs');
const familiesPath = FieldPath.of('spec', 'ipFamilies');
const policyPath = FieldPath.of('spec', 'ipFamilyPolicy');
const families = ['IPv4', 'IPv6'];
const policies = ['PreferDualStack', 'RequireDualStack', 'SingleStack'];

function validateFamilies(service: Service): FieldError[] {
  const list = service.spec?.ipFamilies ?? [];
  const wrong: FieldError[] = [];
  for (const [i, family] of list.entries()) {
    wrong.push(...optionalOneOf(family, families, familiesPath.index(i)));
    if (list.indexOf(family) < i) wrong.push(fieldErrors.duplicate(familiesPath.index(i), family));
  }
  return [...wrong, ...optionalOneOf(service.spec?.ipFamilyPolicy, policies, policyPath)];
}

function validateList(ips: readonly string[]): { wrong: FieldError[]; readable: boolean } {
  const wrong: FieldError[] = [];
  for (const [i, ip] of ips.entries()) {
    if (i === 0 && ip === 'None') {
      if (ips.length > 1)
        wrong.push(fieldErrors.invalid(ipsPath, ips, "'None' must be the first and only value"));
    } else wrong.push(...validateLegacyIp(ip, ipsPath.index(i)));
  }
  const readable = wrong.length === 0;
  if (ips.length > 2) wrong.push(fieldErrors.invalid(ipsPath, ips, 'may only hold up to 2 values'));
  return { wrong, readable };
}

export function validateClusterIps(service: Service): FieldError[] {
  const spec = service.spec ?? {};
  if (spec.type === 'ExternalName') return [];
  const one = spec.clusterIP ?? '';
  const ips = spec.clusterIPs ?? [];
  const wrong: FieldError[] = [];
  if (one === '') {
    if (ips.length > 0) {
      wrong.push(fieldErrors.invalid(ipsPath, ips, 'must be empty when `clusterIP` is not specified'));
    }
  } else if (ips.length === 0) wrong.push(fieldErrors.required(ipsPath));
  else if (ips[0] !== one)
    wrong.push(fieldErrors.invalid(ipsPath, ips, 'first value must match `clusterIP`'));
  wrong.push(...validateFamilies(service));
  const list = validateList(ips);
  wrong.push(...list.wrong);
  if (!list.readable) return wrong;
  if (ips.length > 1 && new Set(ips.map((ip) => parseIp(ip)?.family)).size !== ips.length) {
    wrong.push(fieldErrors.invalid(ipsPath, ips, 'may specify no more than one IP for each IP family'));
  }
  if (isHeadless(service)) return wrong;
  for (const [i, ip] of ips.entries()) {
    const family = spec.ipFamilies?.[i];
    if (family === undefined || !families.includes(family) || parseIp(ip)?.family === family) continue;
    const text = `expected an ${family} value as indicated by \`ipFamilies[${i}]\``;
    wrong.push(fieldErrors.invalid(ipsPath.index(i), ip, text));
  }
  return wrong;
}

const once = 'may not change once set';

function validateIpChange(service: Service, old: Service): FieldError[] {
  const now = service.spec?.clusterIPs ?? [];
  const before = old.spec?.clusterIPs ?? [];
  if (isHeadless(service) && isHeadless(old)) return [];
  if (now.length === before.length) {
    return before.flatMap((ip, i) =>
      ip === now[i] ? [] : [fieldErrors.invalid(ipsPath.index(i), now, once)],
    );
  }
  const wrong: FieldError[] = [];
  if (now.length === 0) {
    wrong.push(fieldErrors.invalid(ipsPath.index(0), now, 'primary clusterIP can not be unset'));
  } else if (before.length > 0 && now[0] !== before[0]) {
    wrong.push(fieldErrors.invalid(ipsPath.index(0), now, once));
  }
  if (now.length === 1 && before.length > 1 && service.spec?.ipFamilyPolicy !== 'SingleStack') {
    const text = "must be set to 'SingleStack' when releasing the secondary clusterIP";
    wrong.push(fieldErrors.invalid(policyPath, service.spec?.ipFamilyPolicy, text));
  }
  return wrong;
}

function validateFamilyChange(service: Service, old: Service): FieldError[] {
  const now = service.spec?.ipFamilies ?? [];
  const before = old.spec?.ipFamilies ?? [];
  if (isHeadless(service) || isHeadless(old)) return [];
  const at = familiesPath.index(0);
  if (now.length === before.length) {
    return before.flatMap((family, i) => (family === now[i] ? [] : [fieldErrors.invalid(at, now, once)]));
  }
  const wrong: FieldError[] = [];
  if (now.length > 0 && before.length > 0 && now[0] !== before[0]) {
    wrong.push(fieldErrors.invalid(at, service.spec?.clusterIPs ?? [], once));
  }
  if (now.length < before.length) {
    if ((service.spec?.clusterIPs?.length ?? 0) === 0) {
      wrong.push(fieldErrors.invalid(at, now, 'primary ipFamily can not be unset'));
    }
    if (now.length === 1 && service.spec?.ipFamilyPolicy !== 'SingleStack') {
      const text = "must be set to 'SingleStack' when releasing the secondary ipFamily";
      wrong.push(fieldErrors.invalid(policyPath, service.spec?.ipFamilyPolicy, text));
    }
  }
  return wrong;
}

/** The primary address and family are for good; the secondary may come and go. */
export function validateAddressChange(service: Service, old: Service): FieldError[] {
  if (!needsClusterIp(service) || !needsClusterIp(old)) return [];
  return [...validateIpChange(service, old), ...validateFamilyChange(service, old)];
}
