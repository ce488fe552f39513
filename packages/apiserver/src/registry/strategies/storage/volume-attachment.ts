/** VolumeAttachment (upstream: pkg/apis/storage/validation, pkg/registry/storage/volumeattachment). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { VolumeAttachment, VolumeError } from '@cloudless/kube/types/storage-v1';
import type { Strategy } from '../../strategy.ts';
import { immutable, invalidEach } from '../../validation/fields.ts';
import { isDns1123Subdomain, rangeError } from '../../validation/names.ts';
import { validateCsiDriverName } from '../pod/validate-remote-volumes.ts';
import { ageColumn, ageOf, boolean, table, text } from '../table/table.ts';
import { validateVolumeSpec } from './persistent-volume.ts';

const specPath = FieldPath.of('spec');
const maxMetadataBytes = 256 * 1024;
const maxMessageBytes = 1024;
const maxInt32 = 2147483647;

function validateSource({ spec }: VolumeAttachment): FieldError[] {
  const path = specPath.child('source');
  const { inlineVolumeSpec: inline, persistentVolumeName: name } = spec?.source ?? {};
  const why = 'must specify exactly one of inlineVolumeSpec and persistentVolumeName';
  if (inline == null && name == null) return [fieldErrors.required(path, why)];
  if (inline != null && name != null) return [fieldErrors.forbidden(path, why)];
  if (inline != null) return validateVolumeSpec(inline, path.child('inlineVolumeSpec'), { inline: true });
  if (name !== '') return [];
  return [
    fieldErrors.required(path.child('persistentVolumeName'), 'must specify non empty persistentVolumeName'),
  ];
}

function validateVolumeError(error: VolumeError | undefined, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  // Upstream names the limit of the metadata here.
  if (Buffer.byteLength(error?.message ?? '') > maxMessageBytes)
    wrong.push(fieldErrors.tooLong(path.child('message'), maxMetadataBytes));
  const code = error?.errorCode;
  if (code != null && code < 0)
    wrong.push(fieldErrors.invalid(path.child('errorCode'), code, rangeError(0, maxInt32)));
  return wrong;
}

function validateStatus({ status }: VolumeAttachment): FieldError[] {
  const path = FieldPath.of('status');
  let bytes = 0;
  for (const [key, value] of Object.entries(status?.attachmentMetadata ?? {}))
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  return [
    ...(bytes > maxMetadataBytes
      ? [fieldErrors.tooLong(path.child('attachmentMetadata'), maxMetadataBytes)]
      : []),
    ...validateVolumeError(status?.attachError, path.child('attachError')),
    ...validateVolumeError(status?.detachError, path.child('detachError')),
  ];
}

function validate(object: VolumeAttachment): FieldError[] {
  const { attacher, nodeName, source } = object.spec;
  const name = source?.persistentVolumeName;
  return [
    ...validateCsiDriverName(attacher, specPath.child('attacher')),
    ...validateSource(object),
    ...invalidEach(specPath.child('nodeName'), nodeName, isDns1123Subdomain(nodeName)),
    ...validateStatus(object),
    ...(name == null
      ? []
      : invalidEach(specPath.child('source', 'persistentVolumeName'), name, isDns1123Subdomain(name))),
  ];
}

const validateUpdate = (object: VolumeAttachment, old: VolumeAttachment): FieldError[] => [
  ...validate(object),
  ...immutable(object.spec, old.spec, specPath),
];

export const volumeAttachment: Strategy<VolumeAttachment> = {
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object, old) => validateUpdate(object, old),
  validateStatusUpdate: (_context, object, old) => validateUpdate(object, old),
  table: table<VolumeAttachment>(
    [
      { ...text('Attacher', 'Who attaches it.'), format: 'name' },
      text('PV', 'The volume.'),
      text('Node', 'The node.'),
      boolean('Attached', 'Whether it is attached.'),
      ageColumn,
    ],
    (object, nowMs) => [
      object.spec?.attacher ?? '',
      object.spec?.source?.persistentVolumeName ?? '',
      object.spec?.nodeName ?? '',
      object.status?.attached ?? false,
      ageOf(object, nowMs),
    ],
  ),
};
