/** Claims, on their own and as templates inside pods and StatefulSets (upstream: pkg/apis/core/validation). */
import { fieldErrors, type FieldError, FieldPath } from '@cloudless/kube/field';
import type {
  PersistentVolumeClaimSpec,
  PersistentVolumeClaimStatus,
  PersistentVolumeClaimTemplate,
  TypedObjectReference,
} from '@cloudless/kube/types/core-v1';
import { invalidEach, optionalOneOf, qualifiedName } from '../../validation/fields.ts';
import { validateAnnotations, validateLabels, validateLabelSelector } from '../../validation/metadata.ts';
import { nameIsDnsLabel, nameIsDnsSubdomain } from '../../validation/names.ts';
import { basicResource, formatQuantity, signOf, validateQuantity } from '../../validation/quantities.ts';

export const accessModes = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod'];

export function validateAccessModes(modes: readonly string[] | undefined, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  for (const mode of modes ?? []) wrong.push(...optionalOneOf(mode, accessModes, path));
  const known = (modes ?? []).filter((mode) => accessModes.includes(mode));
  if (known.includes('ReadWriteOncePod') && known.some((mode) => mode !== 'ReadWriteOncePod')) {
    wrong.push(fieldErrors.forbidden(path, 'may not use ReadWriteOncePod with other access modes'));
  }
  return wrong;
}

function validateDataSource(source: TypedObjectReference, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  if (!source.name) wrong.push(fieldErrors.required(path.child('name')));
  if (!source.kind) wrong.push(fieldErrors.required(path.child('kind')));
  if (!source.apiGroup) {
    if (source.kind !== 'PersistentVolumeClaim') {
      const text = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
      wrong.push(fieldErrors.invalid(path, source.kind ?? '', text));
    }
  } else
    wrong.push(...invalidEach(path.child('apiGroup'), source.apiGroup, nameIsDnsSubdomain(source.apiGroup)));
  if (source.namespace) {
    wrong.push(...invalidEach(path.child('namespace'), source.namespace, nameIsDnsLabel(source.namespace)));
  }
  return wrong;
}

function validateDataSources(spec: PersistentVolumeClaimSpec, path: FieldPath): FieldError[] {
  // Upstream prints the path to the other field here, as the empty struct it is to it.
  const wrong: FieldError[] = [];
  const { dataSource, dataSourceRef } = spec;
  if (dataSource) wrong.push(...validateDataSource(dataSource, path.child('dataSource')));
  if (dataSourceRef) wrong.push(...validateDataSource(dataSourceRef, path.child('dataSourceRef')));
  if (!dataSource || !dataSourceRef) return wrong;
  if (dataSourceRef.namespace) {
    const text = 'may not be specified when dataSourceRef.namespace is specified';
    wrong.push(fieldErrors.invalid(path, {}, text));
  } else if (
    (dataSource.apiGroup ?? null) !== (dataSourceRef.apiGroup ?? null) ||
    dataSource.kind !== dataSourceRef.kind ||
    dataSource.name !== dataSourceRef.name
  ) {
    wrong.push(fieldErrors.invalid(path, {}, 'must match dataSourceRef'));
  }
  return wrong;
}

export function validateClaimSpec(
  spec: PersistentVolumeClaimSpec | undefined,
  path: FieldPath,
): FieldError[] {
  const wrong: FieldError[] = [];
  const modes = path.child('accessModes');
  if (!spec?.accessModes?.length) {
    wrong.push(fieldErrors.required(modes, 'at least 1 access mode is required'));
  }
  wrong.push(
    ...validateLabelSelector(spec?.selector, path.child('selector')),
    ...validateAccessModes(spec?.accessModes, modes),
  );
  const size = spec?.resources?.requests?.['storage'];
  const sizePath = path.child('resources').key('storage');
  if (size === undefined) wrong.push(fieldErrors.required(sizePath));
  else {
    const unreadable = validateQuantity(size, sizePath);
    if (unreadable.length > 0) wrong.push(...unreadable);
    else if (signOf(size) <= 0) {
      wrong.push(fieldErrors.invalid(sizePath, formatQuantity(size), 'must be greater than zero'));
    }
  }
  if (!spec) return wrong;
  wrong.push(
    ...validateClassName(spec, 'storageClassName', path),
    ...optionalOneOf(spec.volumeMode, ['Block', 'Filesystem'], path.child('volumeMode')),
    ...validateDataSources(spec, path),
    ...validateClassName(spec, 'volumeAttributesClassName', path),
  );
  return wrong;
}

function validateClassName(
  spec: PersistentVolumeClaimSpec,
  name: 'storageClassName' | 'volumeAttributesClassName',
  path: FieldPath,
): FieldError[] {
  const value = spec[name];
  return value ? invalidEach(path.child(name), value, nameIsDnsSubdomain(value)) : [];
}

const resizeStatuses = [
  'ControllerResizeInProgress',
  'ControllerResizeInfeasible',
  'NodeResizeInProgress',
  'NodeResizeInfeasible',
  'NodeResizePending',
];

/** Of Kubernetes' own resources a claim has only storage. */
function validateResourceKey(name: string, path: FieldPath): FieldError[] {
  const wrong = qualifiedName(name, path);
  const isNative = !name.includes('/') || name.includes('kubernetes.io/');
  if (wrong.length > 0 || !isNative || name === 'storage') return wrong;
  return [fieldErrors.notSupported(path, name, ['storage'])];
}

/** What is reported of a claim (upstream: ValidatePersistentVolumeClaimStatusUpdate). */
export function validateClaimStatus(
  status: PersistentVolumeClaimStatus = {},
  path = FieldPath.of('status'),
): FieldError[] {
  const wrong = Object.entries(status.capacity ?? {}).flatMap(([name, quantity]) =>
    basicResource(quantity, path.child('capacity').key(name)),
  );
  const statusPath = path.child('allocatedResourceStatuses');
  for (const [name, value] of Object.entries(status.allocatedResourceStatuses ?? {})) {
    wrong.push(...validateResourceKey(name, statusPath));
    if (!resizeStatuses.includes(value))
      wrong.push(fieldErrors.notSupported(statusPath, name, resizeStatuses));
  }
  const amountPath = path.child('allocatedResources');
  for (const [name, quantity] of Object.entries(status.allocatedResources ?? {})) {
    const unknown = validateResourceKey(name, amountPath);
    wrong.push(...(unknown.length > 0 ? unknown : basicResource(quantity, amountPath.key(name))));
  }
  return wrong;
}

/** A template may carry labels and annotations only. */
export function validateClaimTemplate(
  template: PersistentVolumeClaimTemplate,
  path: FieldPath,
): FieldError[] {
  const metadata = template.metadata ?? {};
  const at = path.child('metadata');
  const wrong = [
    ...validateAnnotations(metadata.annotations, at.child('annotations')),
    ...validateLabels(metadata.labels, at.child('labels')),
  ];
  for (const [name, value] of Object.entries(metadata)) {
    if (name === 'annotations' || name === 'labels' || value == null) continue;
    wrong.push(fieldErrors.forbidden(at.child(name), 'cannot be set'));
  }
  return [...wrong, ...validateClaimSpec(template.spec, path.child('spec'))];
}
