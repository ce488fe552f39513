/** IPAddress and ServiceCIDR (upstream: pkg/apis/networking/validation, pkg/registry/networking). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { IPAddress, ServiceCIDR } from '@cloudless/kube/types/networking-v1';
import type { Strategy } from '../../strategy.ts';
import { parseCidr, validateCidr } from '../../validation/addresses.ts';
import { dns1123Subdomain, immutable, invalidEach } from '../../validation/fields.ts';
import { nameIsPathSegment } from '../../validation/names.ts';
import { ageColumn, ageOf, table, text } from '../table/table.ts';

const parentPath = FieldPath.of('spec', 'parentRef');
const cidrsPath = FieldPath.of('spec', 'cidrs');

function validateParent(address: IPAddress): FieldError[] {
  const parent = address.spec?.parentRef;
  if (!parent) return [fieldErrors.required(parentPath)];
  const wrong: FieldError[] = [];
  if (parent.group) wrong.push(...dns1123Subdomain(parent.group, parentPath.child('group')));
  for (const name of ['resource', 'name', 'namespace'] as const) {
    const value = parent[name];
    if (value) wrong.push(...invalidEach(parentPath.child(name), value, nameIsPathSegment(value)));
    else if (name !== 'namespace') wrong.push(fieldErrors.required(parentPath.child(name)));
  }
  return wrong;
}

function parentCell(address: IPAddress): string {
  const parent = address.spec?.parentRef;
  if (!parent) return '<none>';
  const resource = parent.group ? `${parent.resource}.${parent.group}` : parent.resource;
  return [resource?.toLowerCase(), ...(parent.namespace ? [parent.namespace] : []), parent.name].join('/');
}

export const ipAddress: Strategy<IPAddress> = {
  validate: (_context, object) => validateParent(object),
  validateUpdate: (_context, object, old) =>
    immutable(object.spec?.parentRef, old.spec?.parentRef, parentPath),
  table: table<IPAddress>([text('ParentRef', 'Whose address it is.')], (object) => [parentCell(object)]),
};

function validateCidrs(range: ServiceCIDR): FieldError[] {
  const cidrs = range.spec?.cidrs ?? [];
  if (cidrs.length === 0) return [fieldErrors.required(cidrsPath, 'at least one CIDR required')];
  if (cidrs.length > 2) return [fieldErrors.invalid(cidrsPath, range.spec, 'may only hold up to 2 values')];
  if (cidrs.length === 2 && new Set(cidrs.map((cidr) => parseCidr(cidr)?.family)).size < 2) {
    const why = 'may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64';
    return [fieldErrors.invalid(cidrsPath, range.spec, why)];
  }
  return cidrs.flatMap((cidr, i) => validateCidr(cidr, cidrsPath.index(i)));
}

export const serviceCidr: Strategy<ServiceCIDR> = {
  validate: (_context, object) => validateCidrs(object),
  validateUpdate: (_context, object, old) => immutable(object.spec?.cidrs, old.spec?.cidrs, cidrsPath),
  table: table<ServiceCIDR>([text('CIDRs', 'Ranges of addresses.'), ageColumn], (object, nowMs) => [
    (object.spec?.cidrs ?? []).join(','),
    ageOf(object, nowMs),
  ]),
};
