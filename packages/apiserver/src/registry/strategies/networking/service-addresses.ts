/** IPAddress and ServiceCIDR (upstream: pkg/apis/networking/validation, pkg/registry/networking). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { IPAddress, ServiceCIDR } from '@cloudless/kube/types/networking-v1';
import type { Strategy } from '../../strategy.ts';
import { parseCidr, validateCidr } from '../../validation/addresses.ts';
import { dns1123Subdomain, immutable, invalidEach } from '../../validation/fields.ts';
import { immutableText } from '../../validation/metadata.ts';
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
  validateUpdate: (_context, object, old) => [
    ...validateParent(object),
    ...immutable(object.spec?.parentRef, old.spec?.parentRef, parentPath),
  ],
  // Upstream's rows have one cell more than it names columns; kubectl does not show it.
  table: table<IPAddress>([text('ParentRef', 'Whose address it is.')], (object, nowMs) => [
    parentCell(object),
    ageOf(object, nowMs),
  ]),
};

function validateCidrs(range: ServiceCIDR): FieldError[] {
  const cidrs = range.spec?.cidrs ?? [];
  if (cidrs.length === 0) return [fieldErrors.required(cidrsPath, 'at least one CIDR required')];
  if (cidrs.length > 2) return [fieldErrors.invalid(cidrsPath, range.spec, 'may only hold up to 2 values')];
  const wrong = cidrs.flatMap((cidr, i) => validateCidr(cidr, cidrsPath.index(i)));
  const [first, second] = cidrs.map((cidr) => parseCidr(cidr)?.family);
  if (cidrs.length === 2 && first !== undefined && first === second) {
    const why = 'may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64';
    wrong.push(fieldErrors.invalid(cidrsPath, cidrs, why));
  }
  return wrong;
}

/** A second family may be added; nothing else of the ranges changes. */
function validateCidrsUpdate(range: ServiceCIDR, old: ServiceCIDR): FieldError[] {
  const [now, before] = [range.spec?.cidrs ?? [], old.spec?.cidrs ?? []];
  const becomesDual = before.length === 1 && now.length === 2;
  if (now.length !== before.length && !becomesDual)
    return [fieldErrors.invalid(cidrsPath, range.spec?.cidrs, immutableText)];
  const wrong = before.flatMap((cidr, i) =>
    cidr === now[i] ? [] : [fieldErrors.invalid(cidrsPath.index(i), now[i], immutableText)],
  );
  return becomesDual ? [...wrong, ...validateCidrs(range)] : wrong;
}

export const serviceCidr: Strategy<ServiceCIDR> = {
  validate: (_context, object) => validateCidrs(object),
  validateUpdate: (_context, object, old) => validateCidrsUpdate(object, old),
  table: table<ServiceCIDR>([text('CIDRs', 'Ranges of addresses.'), ageColumn], (object, nowMs) => [
    (object.spec?.cidrs ?? []).join(','),
    ageOf(object, nowMs),
  ]),
};
