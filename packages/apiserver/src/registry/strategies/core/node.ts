import { fieldErrors, FieldPath, type FieldError, goQuote } from '@cloudless/kube/field';
import type { Node, Taint } from '@cloudless/kube/types/core-v1';
import type { Strategy } from '../../strategy.ts';
import { cidrWarnings, parseCidr, validateLegacyCidr } from '../../validation/addresses.ts';
import { validateLabelName } from '../../validation/metadata.ts';
import { isLabelValue } from '../../validation/names.ts';
import { roundResources } from '../../validation/quantities.ts';
import { validateResourceQuantity } from '../pod/validate-resources.ts';
import { taintEffects } from '../pod/validate-scheduling.ts';
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
  if (cidrs.length < 2) return wrong;
  const families = new Set(cidrs.map((cidr) => parseCidr(cidr)?.family));
  const unreadable = cidrs.findIndex((cidr) => !parseCidr(cidr));
  if (unreadable >= 0) {
    const why = `invalid CIDR[${unreadable}]: <nil> (invalid CIDR address: ${cidrs[unreadable]})`;
    const text = `invalid PodCIDRs. failed to check with dual stack with error:${why}`;
    wrong.push(fieldErrors.internal(cidrsPath, text));
  }
  if (unreadable >= 0 || families.size < 2 || cidrs.length > 2) {
    wrong.push(fieldErrors.invalid(cidrsPath, cidrs, 'may specify no more than one CIDR for each IP family'));
  }
  return wrong;
}

const featureForm = /^[A-Z][a-zA-Z0-9]*(\/[a-zA-Z][a-zA-Z0-9]*)*$/;
const featureText =
  "must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes";

/** Features that a kubelet says it has, sorted (KEP-5328). */
function validateFeatures(node: Node): FieldError[] {
  const features = node.status?.declaredFeatures ?? [];
  const path = FieldPath.of('status', 'declaredFeatures');
  const wrong: FieldError[] = [];
  for (const [i, name] of features.entries()) {
    const isLong = Buffer.byteLength(name) > 253;
    const why = isLong ? 'must be no more than 253 characters' : featureText;
    if (isLong || !featureForm.test(name))
      wrong.push(fieldErrors.invalid(path.index(i), name, `invalid feature name ${goQuote(name)}: ${why}`));
    const next = features[i + 1];
    if (next === name) wrong.push(fieldErrors.duplicate(path.index(i + 1), next));
    else if (next !== undefined && Buffer.compare(Buffer.from(name), Buffer.from(next)) > 0)
      wrong.push(fieldErrors.invalid(path.index(i + 1), next, 'list must be sorted alphabetically'));
  }
  return wrong;
}

const validate = (node: Node): FieldError[] => [
  ...validateTaints(node.spec?.taints),
  ...validateResources(node),
  ...validateFeatures(node),
  ...validateCidrs(node),
];

/** What holds for updates of node and status alike (upstream: ValidateNodeUpdate). */
function validateChange(node: Node, old: Node): FieldError[] {
  const wrong = [...validateResources(node), ...validateFeatures(node)];
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
  wrong.push(...validateTaints(node.spec?.taints));
  if ((node.spec?.externalID ?? '') !== (old.spec?.externalID ?? ''))
    wrong.push(fieldErrors.forbidden(FieldPath.of('spec', 'externalID'), 'may not be updated'));
  return wrong;
}

/** Each fault once, though two rules find it. */
function validateUpdate(node: Node, old: Node): FieldError[] {
  const wrong = validate(node);
  const said = new Set(wrong.map(({ field, message }) => `${field}: ${message}`));
  const more = validateChange(node, old).filter(({ field, message }) => !said.has(`${field}: ${message}`));
  return [...wrong, ...more];
}

/** The source of a kubelet's configuration was taken out: only nodes that have one keep it. */
function dropConfig(node: Node, old: Node | undefined): void {
  if (!old?.spec?.configSource) delete node.spec?.configSource;
  if (!old?.status?.config) delete node.status?.config;
}

function warnings(node: Node): string[] {
  const { configSource, externalID, podCIDRs = [] } = node.spec ?? {};
  return [
    ...(configSource ? ['spec.configSource: the feature is removed'] : []),
    ...(externalID ? ['spec.externalID: this field is deprecated, and is unused by Kubernetes'] : []),
    ...podCIDRs.flatMap((cidr, i) => cidrWarnings(cidr, cidrsPath.index(i))),
  ];
}

/**
 * `podCIDR` is the first of `podCIDRs`, and wins where the two differ (upstream: conversion between v1 and the
 * internal version).
 */
function mirrorCidrs(node: Node): void {
  const spec = (node.spec ??= {});
  if (spec.podCIDR && spec.podCIDR !== spec.podCIDRs?.[0]) spec.podCIDRs = [spec.podCIDR];
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
  prepareForCreate: (_context, object) => dropConfig(object, undefined),
  prepareForUpdate: (_context, object, old) => dropConfig(object, old),
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object, old) => validateUpdate(object, old),
  validateStatusUpdate: (_context, object, old) => validateChange(object, old),
  warnings: (_context, object) => warnings(object),
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
