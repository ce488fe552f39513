/** ResourceClaim, its template and DeviceClass (upstream: pkg/apis/resource, pkg/registry/resource). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { KubeObject } from '@cloudless/kube/object';
import type { DeviceClass, ResourceClaim, ResourceClaimTemplate } from '@cloudless/kube/types/resource-v1';
import type { Strategy } from '../../strategy.ts';
import { immutable } from '../../validation/fields.ts';
import { validateAnnotations, validateLabels } from '../../validation/metadata.ts';
import { ageColumn, ageOf, table, text } from '../table/table.ts';
import { adminAccessInRequests, adminAccessInResults } from './admin-access.ts';
import { judgeStatusWriter } from './granular-status.ts';
import { validateSelectors } from './selectors.ts';
import { validateConfigs, validateDeviceClaim } from './validate-devices.ts';
import { dropDeallocated, validateClaimStatus } from './validate-status.ts';

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
  validate: (context, { spec }) => [
    ...adminAccessInRequests(context, spec?.devices?.requests),
    ...validateDeviceClaim(spec?.devices, specPath.child('devices')),
  ],
  validateUpdate: (_context, object, old) => immutable(object.spec, old.spec, specPath),
  prepareForUpdate(context, object, old) {
    if (context.subresource === 'status') dropDeallocated(object, old);
  },
  validateStatusUpdate: (context, object, old) => [
    ...adminAccessInResults(context, object, old),
    ...judgeStatusWriter(context, object, old),
    ...validateClaimStatus(object, old),
  ],
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

/** Upstream prints the age as a text here, not as a date. */
const ageTable = table<KubeObject>([ageColumn], (object, nowMs) => [ageOf(object, nowMs)]);

export const resourceClaimTemplate: Strategy<ResourceClaimTemplate> = {
  defaults: (object) => defaultClaimSpec(object.spec?.spec),
  validate: (context, object) => [
    ...adminAccessInRequests(context, object.spec?.spec?.devices?.requests),
    ...validateTemplate(object),
  ],
  validateUpdate: (_context, object, old) => [
    ...validateTemplate(object),
    ...immutable(object.spec, old.spec, specPath),
  ],
  table: ageTable,
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
  table: ageTable,
};
