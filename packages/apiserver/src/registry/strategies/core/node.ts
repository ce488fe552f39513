import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { Node, Taint } from '@cloudless/kube/types/core-v1';
import type { Strategy } from '../../strategy.ts';
import { parseCidr, validateLegacyCidr } from '../../validation/addresses.ts';
import { validateLabelName } from '../../validation/metadata.ts';
import { isLabelValue } from '../../validation/names.ts';
import { roundResources } from '../../validation/quantities.ts';
import { validateResourceQuantity } from '../pod/validate-resources.ts';
import { taintEffects } from '../pod/validate-scheduling.ts';
import { deprecatedNodeLabels } from '../pod/warnings.ts';
import { ageColumn, ageOf, orNone, table, text, wideText } from '../table/table.ts';

// Upstream reports taints below metadata.
const taintsPath = FieldPath.of('metadata', 'taints');
const cidrsPath = FieldPath.of('spec', 'podCIDRs');

function validateTaints(taints: readonly Taint[] | undefined): FieldError[] {
  const seen = new Set<string>();
  return (taints ?? []).flatMap((taint, i) => {
    const at = taintsPath.index(i);
    const wrong = validateLabelName(taint.key ?? '', at.child('key'));
    const value = taint.value ?? '';
    const texts = isLabelValue(value);
    if (texts.length > 0) wrong.push(fieldErrors.invalid(at.child('value'), value, texts.join(';')));
    if (!taint.effect) wrong.push(fieldErrors.required(at.child('effect')));
    else if (!taintEffects.includes(taint.effect))
      wrong.push(fieldErrors.notSupportedAsListed(at.child('effect'), taint.effect, taintEffects));
    const key = `${taint.effect}/${taint.key}`;
    if (seen.has(key)) {
      const error = fieldErrors.duplicate(at, taint);
      wrong.push({ ...error, message: `${error.message}: taints must be unique by key and effect pair` });
    }
    seen.add(key);
    return wrong;
  });
}

function validateResources(node: Node): FieldError[] {
  const wrong: FieldError[] = [];
  for (const name of ['capacity', 'allocatable'] as const) {
    for (const [resource, quantity] of Object.entries(node.status?.[name] ?? {})) {
      wrong.push(...validateResourceQuantity(resource, quantity, FieldPath.of('status', name, resource)));
    }
  }
  return wrong;
}

function validateCidrs(node: Node): FieldError[] {
  const cidrs = node.spec?.podCIDRs ?? [];
  const wrong = cidrs.flatMap((cidr, i) => validateLegacyCidr(cidr, cidrsPath.index(i)));
  const families = new Set(cidrs.map((cidr) => parseCidr(cidr)?.family));
  if (wrong.length === 0 && cidrs.length > 1 && (families.size < 2 || cidrs.length > 2)) {
    wrong.push(fieldErrors.invalid(cidrsPath, cidrs, 'may specify no more than one CIDR for each IP family'));
  }
  return wrong;
}

const validate = (node: Node): FieldError[] => [
  ...validateTaints(node.spec?.taints),
  ...validateResources(node),
  ...validateCidrs(node),
];

function validateUpdate(node: Node, old: Node): FieldError[] {
  const wrong = [...validateResources(node), ...validateTaints(node.spec?.taints), ...validateCidrs(node)];
  const addresses = new Set<string>();
  node.status?.addresses?.forEach((address, i) => {
    const key = `${address.type}/${address.address}`;
    if (addresses.has(key)) {
      wrong.push(fieldErrors.duplicate(FieldPath.of('status', 'addresses').index(i), address));
    }
    addresses.add(key);
  });
  const before = old.spec?.podCIDRs ?? [];
  if (before.length > 0 && before.join() !== (node.spec?.podCIDRs ?? []).join()) {
    const why = 'node updates may not change podCIDR except from "" to valid';
    wrong.push(fieldErrors.forbidden(cidrsPath, why));
  }
  if (old.spec?.providerID && old.spec.providerID !== node.spec?.providerID) {
    const why = 'node updates may not change providerID except from "" to valid';
    wrong.push(fieldErrors.forbidden(FieldPath.of('spec', 'providerID'), why));
  }
  return wrong;
}

function warnings(node: Node, old: Node | undefined): string[] {
  const found: string[] = [];
  if (node.spec?.configSource) {
    found.push('spec.configSource: the spec.configSource field is deprecated and has no effect');
  }
  if (node.spec?.externalID) {
    found.push('spec.externalID: this field is deprecated, and is unused by Kubernetes');
  }
  for (const key of Object.keys(node.metadata.labels ?? {})) {
    const label = deprecatedNodeLabels[key];
    if (label && !old) found.push(`metadata.labels[${key}]: ${label}`);
  }
  return found;
}

/** `podCIDR` is the first of `podCIDRs` (upstream: conversion between v1 and the internal version). */
function mirrorCidrs(node: Node): void {
  const spec = (node.spec ??= {});
  if (!spec.podCIDRs?.length && spec.podCIDR) spec.podCIDRs = [spec.podCIDR];
  else if (spec.podCIDRs?.[0]) spec.podCIDR = spec.podCIDRs[0];
}

const roleLabel = 'node-role.kubernetes.io/';

function rolesCell(node: Node): string {
  const roles = new Set<string>();
  for (const [key, value] of Object.entries(node.metadata.labels ?? {})) {
    if (key.startsWith(roleLabel) && key !== roleLabel) roles.add(key.slice(roleLabel.length));
    else if (key === 'kubernetes.io/role' && value !== '') roles.add(value);
  }
  return [...roles].sort().join(',') || '<none>';
}

function statusCell(node: Node): string {
  const ready = node.status?.conditions?.find((condition) => condition.type === 'Ready');
  const status = ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady';
  return node.spec?.unschedulable ? `${status},SchedulingDisabled` : status;
}

const address = (node: Node, type: string): string =>
  orNone(node.status?.addresses?.find((one) => one.type === type)?.address);

/** Upstream: pkg/registry/core/node. */
export const node: Strategy<Node> = {
  defaults(object) {
    mirrorCidrs(object);
    const status = object.status;
    if (!status) return;
    roundResources(status.capacity);
    if (!status.allocatable && status.capacity) status.allocatable = { ...status.capacity };
    roundResources(status.allocatable);
  },
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object, old) => validateUpdate(object, old),
  validateStatusUpdate: (_context, object, old) => validateUpdate(object, old),
  warnings: (_context, object, old) => warnings(object, old),
  selectableFields: { 'spec.unschedulable': (object) => String(object.spec?.unschedulable ?? false) },
  table: table<Node>(
    [
      text('Status', 'Whether the node takes part.'),
      text('Roles', 'Roles of the node, by its labels.'),
      ageColumn,
      text('Version', 'Version of its kubelet.'),
      wideText('Internal-IP', 'Address inside the cluster.'),
      wideText('External-IP', 'Address from outside.'),
      wideText('OS-Image', 'Operating system.'),
      wideText('Kernel-Version', 'Version of the kernel.'),
      wideText('Container-Runtime', 'Container runtime and its version.'),
    ],
    (object, nowMs) => {
      const info = object.status?.nodeInfo;
      return [
        statusCell(object),
        rolesCell(object),
        ageOf(object, nowMs),
        info?.kubeletVersion ?? '',
        address(object, 'InternalIP'),
        address(object, 'ExternalIP'),
        info?.osImage || '<unknown>',
        info?.kernelVersion || '<unknown>',
        info?.containerRuntimeVersion || '<unknown>',
      ];
    },
  ),
};
