import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { PersistentVolumeClaim, TypedLocalObjectReference } from '@cloudless/kube/types/core-v1';
import type { Strategy } from '../../strategy.ts';
import { immutable, semanticallyEqual } from '../../validation/fields.ts';
import { compareQuantities, formatQuantity, roundResources } from '../../validation/quantities.ts';
import { difference } from '../pod/difference.ts';
import { defaultClaimSpec } from '../pod/defaults.ts';
import { fractionsIn } from '../pod/warnings.ts';
import { ageColumn, ageOf, table, text, wideText } from '../table/table.ts';
import { accessModesCell } from './persistent-volume.ts';
import { validateClaimSpec, validateClaimStatus } from './validate-claim.ts';

const specPath = FieldPath.of('spec');
const sizePath = specPath.child('resources', 'requests', 'storage');

const classAnnotation = 'volume.beta.kubernetes.io/storage-class';

/** Sources that `dataSource` could name before `dataSourceRef` was there. */
const isEarlySource = ({ kind, apiGroup = '' }: TypedLocalObjectReference): boolean =>
  (kind === 'PersistentVolumeClaim' && apiGroup === '') ||
  (kind === 'VolumeSnapshot' && apiGroup === 'snapshot.storage.k8s.io');

/**
 * `dataSource` and `dataSourceRef` say the same (KEP-1495): one is made from the other. A new `dataSource` of a kind
 * that never was allowed is dropped, as is a reference into another namespace, whose feature is off.
 */
function normalizeDataSources(claim: PersistentVolumeClaim, old: PersistentVolumeClaim | undefined): void {
  const spec = claim.spec;
  if (!spec) return;
  if (spec.dataSourceRef?.namespace && !old?.spec?.dataSourceRef) delete spec.dataSourceRef;
  const hadSource = old?.spec?.dataSource ?? old?.spec?.dataSourceRef;
  if (!hadSource && spec.dataSource && !spec.dataSourceRef && !isEarlySource(spec.dataSource))
    delete spec.dataSource;
  if (spec.dataSource && !spec.dataSourceRef) spec.dataSourceRef = { ...spec.dataSource };
  else if (spec.dataSourceRef && !spec.dataSource && !spec.dataSourceRef.namespace) {
    const { namespace: _, ...reference } = spec.dataSourceRef;
    spec.dataSource = reference;
  }
}

/** A class once given by annotation may be written as a field, which may be given once (KEP-3333). */
function upgradedClass(
  claim: PersistentVolumeClaim,
  old: PersistentVolumeClaim,
): 'annotation' | 'field' | undefined {
  const named = claim.spec?.storageClassName;
  if (old.spec?.storageClassName != null || named == null) return undefined;
  const before = old.metadata.annotations?.[classAnnotation];
  const now = claim.metadata.annotations?.[classAnnotation];
  if (before === undefined) return 'field';
  if (named !== before) return undefined;
  return now === undefined || now === before ? 'annotation' : 'field';
}

function validateAttributesClass(claim: PersistentVolumeClaim, old: PersistentVolumeClaim): FieldError[] {
  const name = claim.spec?.volumeAttributesClassName;
  const isChanged = name !== old.spec?.volumeAttributesClassName;
  if (!isChanged || old.status?.currentVolumeAttributesClassName == null || name) return [];
  const what = name == null ? 'nil' : 'empty string';
  const why = `update to ${what} is forbidden when status.currentVolumeAttributesClassName is not nil`;
  return [fieldErrors.forbidden(specPath.child('volumeAttributesClassName'), why)];
}

function validateUpdate(claim: PersistentVolumeClaim, old: PersistentVolumeClaim): FieldError[] {
  const wrong = validateClaimSpec(claim.spec, specPath);
  const isBound = claim.status?.phase === 'Bound';
  const now = structuredClone(claim.spec ?? {});
  const before = structuredClone(old.spec ?? {});
  if (!before.volumeName) before.volumeName = now.volumeName as string;
  const upgraded = upgradedClass(claim, old);
  if (upgraded) before.storageClassName = now.storageClassName as string;
  if (upgraded !== 'annotation') {
    const at = FieldPath.of('metadata', 'annotations', classAnnotation);
    const annotation = claim.metadata.annotations?.[classAnnotation] ?? '';
    wrong.push(...immutable(annotation, old.metadata.annotations?.[classAnnotation] ?? '', at));
  }
  const oldSize = old.spec?.resources?.requests?.['storage'];
  if (isBound && now.resources?.requests && oldSize !== undefined)
    now.resources.requests['storage'] = oldSize;
  if (isBound) before.volumeAttributesClassName = now.volumeAttributesClassName as string;
  if (!semanticallyEqual(now, before)) {
    const why = `spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n${difference(before, now)}`;
    wrong.push(fieldErrors.forbidden(specPath, why));
  }
  const size = claim.spec?.resources?.requests?.['storage'];
  const capacity = old.status?.capacity?.['storage'];
  if (compareQuantities(size, oldSize) < 0 && compareQuantities(size, capacity) <= 0) {
    wrong.push(fieldErrors.forbidden(sizePath, 'field can not be less than status.capacity'));
  }
  return [
    ...wrong,
    ...immutable(claim.spec?.volumeMode, old.spec?.volumeMode, FieldPath.of('volumeMode')),
    ...validateAttributesClass(claim, old),
  ];
}

function warnings({ metadata, spec }: PersistentVolumeClaim): string[] {
  const text = 'deprecated since v1.8; use "storageClassName" attribute instead';
  const path = specPath.child('resources');
  return [
    ...(metadata.annotations?.[classAnnotation] === undefined
      ? []
      : [`metadata.annotations[${classAnnotation}]: ${text}`]),
    ...fractionsIn(spec?.resources?.requests, ['storage'], path.child('requests')),
    ...fractionsIn(spec?.resources?.limits, ['storage'], path.child('limits')),
  ];
}

/** Upstream: pkg/registry/core/persistentvolumeclaim. */
export const persistentVolumeClaim: Strategy<PersistentVolumeClaim> = {
  defaults(object) {
    (object.status ??= {}).phase ||= 'Pending';
    defaultClaimSpec((object.spec ??= {}));
    roundResources(object.status.capacity);
  },
  prepareForCreate(_context, object) {
    object.status = { phase: 'Pending' };
    normalizeDataSources(object, undefined);
  },
  prepareForUpdate(context, object, old) {
    if (context.subresource === '') normalizeDataSources(object, old);
  },
  validate: (_context, object) => validateClaimSpec(object.spec, specPath),
  validateUpdate: (_context, object, old) => validateUpdate(object, old),
  validateStatusUpdate: (_context, object) => validateClaimStatus(object.status),
  warnings: (_context, object) => warnings(object),
  table: table<PersistentVolumeClaim>(
    [
      text('Status', 'Whether it is bound.'),
      text('Volume', 'The volume it is bound to.'),
      text('Capacity', 'Size of that volume.'),
      text('Access Modes', 'How it can be mounted.'),
      text('StorageClass', 'Its storage class.'),
      text('VolumeAttributesClass', 'Its class of attributes.'),
      ageColumn,
      wideText('VolumeMode', 'File system or block device.'),
    ],
    (object, nowMs) => {
      const spec = object.spec ?? {};
      const isBound = Boolean(spec.volumeName);
      return [
        object.metadata.deletionTimestamp ? 'Terminating' : (object.status?.phase ?? ''),
        spec.volumeName ?? '',
        isBound ? formatQuantity(object.status?.capacity?.['storage']) : '',
        isBound ? accessModesCell(object.status?.accessModes) : '',
        object.metadata.annotations?.['volume.beta.kubernetes.io/storage-class'] ??
          spec.storageClassName ??
          '',
        spec.volumeAttributesClassName ?? '<unset>',
        ageOf(object, nowMs),
        spec.volumeMode ?? '<unset>',
      ];
    },
  ),
};
