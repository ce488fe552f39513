import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { PersistentVolumeClaim } from '@cloudless/kube/types/core-v1';
import type { Strategy } from '../../strategy.ts';
import { semanticallyEqual } from '../../validation/fields.ts';
import { compareQuantities, formatQuantity, roundResources } from '../../validation/quantities.ts';
import { difference } from '../pod/difference.ts';
import { defaultClaimSpec } from '../pod/defaults.ts';
import { ageColumn, ageOf, table, text, wideText } from '../table/table.ts';
import { accessModesCell } from './persistent-volume.ts';
import { validateClaimSpec } from './validate-claim.ts';

const specPath = FieldPath.of('spec');
const sizePath = specPath.child('resources', 'requests', 'storage');

/** `dataSource` and `dataSourceRef` say the same when they name the same namespace (upstream: NormalizeDataSources). */
function normalizeDataSources(claim: PersistentVolumeClaim): void {
  const spec = claim.spec;
  if (!spec) return;
  if (spec.dataSource && !spec.dataSourceRef) spec.dataSourceRef = { ...spec.dataSource };
  else if (spec.dataSourceRef && !spec.dataSource && !spec.dataSourceRef.namespace) {
    const { namespace: _, ...reference } = spec.dataSourceRef;
    spec.dataSource = reference;
  }
}

function validateUpdate(claim: PersistentVolumeClaim, old: PersistentVolumeClaim): FieldError[] {
  const wrong = validateClaimSpec(claim.spec, specPath);
  const isBound = claim.status?.phase === 'Bound';
  const now = structuredClone(claim.spec ?? {});
  const before = structuredClone(old.spec ?? {});
  if (!before.volumeName) before.volumeName = now.volumeName as string;
  if (before.storageClassName == null) before.storageClassName = now.storageClassName as string;
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
  return wrong;
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
    normalizeDataSources(object);
  },
  prepareForUpdate(context, object) {
    if (context.subresource === '') normalizeDataSources(object);
  },
  validate: (_context, object) => validateClaimSpec(object.spec, specPath),
  validateUpdate: (_context, object, old) => validateUpdate(object, old),
  validateStatusUpdate: () => [],
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
