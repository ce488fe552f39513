/** ResourceClaim, its template and DeviceClass (upstream: pkg/apis/resource, pkg/registry/resource). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { DeviceClass, ResourceClaim, ResourceClaimTemplate } from '@cloudless/kube/types/resource-v1';
import type { Strategy } from '../../strategy.ts';
import { immutable } from '../../validation/fields.ts';
import { validateAnnotations, validateLabels } from '../../validation/metadata.ts';
import { ageColumn, ageOf, defaultTable, table, text } from '../table/table.ts';
import { validateConfigs, validateDeviceClaim, validateSelectors } from './validate-devices.ts';

const specPath = FieldPath.of('spec');

/** Upstream: pkg/apis/resource/v1/defaults.go. */
function defaultClaimSpec(spec: ResourceClaim['spec'] | undefined): void {
  for (const request of spec?.devices?.requests ?? []) {
    for (const wanted of [...(request.exactly ? [request.exactly] : []), ...(request.firstAvailable ?? [])]) {
      wanted.allocationMode ||= 'ExactCount';
      if (wanted.allocationMode === 'ExactCount') wanted.count ||= 1;
      for (const toleration of wanted.tolerations ?? []) toleration.operator ||= 'Equal';
    }
  }
}

function claimState(claim: ResourceClaim): string {
  const states: string[] = [];
  if (claim.metadata.deletionTimestamp) states.push('deleted');
  if (claim.status?.allocation) {
    states.push('allocated');
    if (claim.status.reservedFor?.length) states.push('reserved');
  } else if (states.length === 0) states.push('pending');
  return states.join(',');
}

export const resourceClaim: Strategy<ResourceClaim> = {
  defaults: (object) => defaultClaimSpec(object.spec),
  validate: (_context, { spec }) => validateDeviceClaim(spec?.devices, specPath.child('devices')),
  validateUpdate: (_context, object, old) => immutable(object.spec, old.spec, specPath),
  table: table<ResourceClaim>([text('State', 'How far it got.'), ageColumn], (object, nowMs) => [
    claimState(object),
    ageOf(object, nowMs),
  ]),
};

/** The claims that it makes get its labels and annotations, and no more of its metadata. */
function validateTemplate({ spec }: ResourceClaimTemplate): FieldError[] {
  const metadata = spec?.metadata ?? {};
  const path = specPath.child('metadata');
  const wrong = [
    ...validateAnnotations(metadata.annotations, path.child('annotations')),
    ...validateLabels(metadata.labels, path.child('labels')),
  ];
  for (const [name, value] of Object.entries(metadata)) {
    if (name === 'annotations' || name === 'labels' || value == null) continue;
    wrong.push(fieldErrors.forbidden(path.child(name === 'uid' ? 'uID' : name), 'cannot be set'));
  }
  return [...wrong, ...validateDeviceClaim(spec?.spec?.devices, specPath.child('spec', 'devices'))];
}

export const resourceClaimTemplate: Strategy<ResourceClaimTemplate> = {
  defaults: (object) => defaultClaimSpec(object.spec?.spec),
  validate: (_context, object) => validateTemplate(object),
  validateUpdate: (_context, object, old) => [
    ...validateTemplate(object),
    ...immutable(object.spec, old.spec, specPath),
  ],
  table: defaultTable,
};

/** `example.com/gpu`, but nothing of Kubernetes' own. */
const isExtendedResource = (name: string): boolean =>
  name.includes('/') &&
  !/(^|\.)kubernetes\.io\//.test(name) &&
  !name.startsWith('requests.') &&
  /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/.test(name);

function validateClass({ spec }: DeviceClass): FieldError[] {
  const name = spec?.extendedResourceName;
  const at = specPath.child('extendedResourceName');
  return [
    ...validateSelectors(spec?.selectors, specPath.child('selectors')),
    ...validateConfigs(spec?.config, specPath.child('config')),
    ...(name == null || isExtendedResource(name)
      ? []
      : [fieldErrors.invalid(at, name, 'must be a valid extended resource name')]),
  ];
}

export const deviceClass: Strategy<DeviceClass> = {
  validate: (_context, object) => validateClass(object),
  validateUpdate: (_context, object) => validateClass(object),
  table: defaultTable,
};
