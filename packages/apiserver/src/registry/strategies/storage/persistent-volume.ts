import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { PersistentVolume, PersistentVolumeSpec } from '@cloudless/kube/types/core-v1';
import { timestamp } from '../../metadata.ts';
import type { Strategy } from '../../strategy.ts';
import {
  immutable,
  invalidEach,
  optionalOneOf,
  required,
  semanticallyEqual,
} from '../../validation/fields.ts';
import { nameIsDnsSubdomain } from '../../validation/names.ts';
import { formatQuantity, roundResources, signOf, validateQuantity } from '../../validation/quantities.ts';
import { difference } from '../pod/difference.ts';
import { noBacksteps } from '../pod/paths.ts';
import { validateNodeSelector } from '../pod/validate-scheduling.ts';
import { validateCsiDriverName, validateRemoteSource } from '../pod/validate-remote-volumes.ts';
import { validateHostPath } from '../pod/validate-volumes.ts';
import { ageColumn, ageOf, table, text, wideText } from '../table/table.ts';
import { validateAccessModes } from './validate-claim.ts';

const specPath = FieldPath.of('spec');
const sources = [
  'hostPath',
  'gcePersistentDisk',
  'awsElasticBlockStore',
  'glusterfs',
  'flocker',
  'nfs',
  'rbd',
  'quobyte',
  'cephfs',
  'iscsi',
  'cinder',
  'fc',
  'flexVolume',
  'azureFile',
  'vsphereVolume',
  'photonPersistentDisk',
  'portworxVolume',
  'azureDisk',
  'scaleIO',
  'local',
  'storageos',
  'csi',
] as const;

function defaults(volume: PersistentVolume): void {
  const spec = (volume.spec ??= {});
  (volume.status ??= {}).phase ||= 'Pending';
  spec.persistentVolumeReclaimPolicy ||= 'Retain';
  spec.volumeMode ??= 'Filesystem';
  roundResources(spec.capacity);
  if (spec.hostPath) spec.hostPath.type ??= '';
  if (spec.iscsi) spec.iscsi.iscsiInterface ||= 'default';
  if (spec.rbd) {
    spec.rbd.pool ||= 'rbd';
    spec.rbd.user ||= 'admin';
    spec.rbd.keyring ||= '/etc/ceph/keyring';
  }
  if (spec.scaleIO) {
    spec.scaleIO.storageMode ||= 'ThinProvisioned';
    spec.scaleIO.fsType ||= 'xfs';
  }
}

function validateLocal(spec: PersistentVolumeSpec, path: FieldPath): FieldError[] {
  const at = path.child('local', 'path');
  const target = spec.local?.path ?? '';
  if (target === '') return [fieldErrors.required(at)];
  const wrong = noBacksteps(target, at);
  if (!spec.nodeAffinity) {
    wrong.push(fieldErrors.required(path.child('nodeAffinity'), 'Local volume requires node affinity'));
  }
  return wrong;
}

function validateCsi(spec: PersistentVolumeSpec, parent: FieldPath): FieldError[] {
  const path = parent.child('csi');
  return [
    ...validateCsiDriverName(spec.csi?.driver, path.child('driver')),
    ...required(spec.csi?.volumeHandle, path.child('volumeHandle')),
  ];
}

function validateSource(spec: PersistentVolumeSpec, path: FieldPath): FieldError[] {
  const found = sources.filter((source) => spec[source] != null);
  const [first, ...others] = found;
  if (first === undefined) return [fieldErrors.required(path, 'must specify a volume type')];
  const wrong = others.map((source) =>
    fieldErrors.forbidden(path.child(source), 'may not specify more than 1 volume type'),
  );
  if (first === 'hostPath') return [...wrong, ...validateHostPath(spec.hostPath!, path.child('hostPath'))];
  if (first === 'local') return [...wrong, ...validateLocal(spec, path)];
  if (first === 'csi') return [...wrong, ...validateCsi(spec, path)];
  // The other sources have the shape that pods give them, but for the namespace of a secret.
  return [...wrong, ...validateRemoteSource({ name: '', ...spec }, path.child(first))];
}

function validateCapacity(spec: PersistentVolumeSpec, parent: FieldPath): FieldError[] {
  const path = parent.child('capacity');
  const capacity = spec.capacity ?? {};
  const names = Object.keys(capacity);
  const wrong: FieldError[] = [];
  if (names.length === 0) wrong.push(fieldErrors.required(path));
  if (capacity['storage'] === undefined || names.length > 1) {
    wrong.push(fieldErrors.notSupported(path, spec.capacity, ['storage']));
  }
  for (const [name, quantity] of Object.entries(capacity)) {
    const unreadable = validateQuantity(quantity, path.key(name));
    if (unreadable.length > 0) wrong.push(...unreadable);
    else if (signOf(quantity) <= 0) {
      wrong.push(fieldErrors.invalid(path.key(name), formatQuantity(quantity), 'must be greater than zero'));
    }
  }
  return wrong;
}

/** An inline volume is never bound: of what a claim is matched by, nothing may be set. */
function validateInline(spec: PersistentVolumeSpec, path: FieldPath): FieldError[] {
  const where = 'in the context of inline volumes';
  const wrong: FieldError[] = [];
  const forbid = (name: string): void =>
    void wrong.push(fieldErrors.forbidden(path.child(name), `may not be specified ${where}`));
  if (spec.claimRef != null) forbid('claimRef');
  if (Object.keys(spec.capacity ?? {}).length > 0) forbid('capacity');
  if (spec.csi == null) wrong.push(fieldErrors.required(path.child('csi'), `has to be specified ${where}`));
  const policy = spec.persistentVolumeReclaimPolicy;
  const accessPath = path.child('accessModes');
  if (!spec.accessModes?.length) wrong.push(fieldErrors.required(accessPath));
  wrong.push(...validateAccessModes(spec.accessModes, accessPath));
  if (policy && policy !== 'Retain') {
    const why = `may only be Retain ${where}`;
    wrong.push(fieldErrors.forbidden(path.child('persistentVolumeReclaimPolicy'), why));
  }
  if (spec.nodeAffinity) forbid('nodeAffinity');
  return spec.csi ? [...wrong, ...validateCsi(spec, path)] : wrong;
}

/** What a volume may be; `inline`: inside a VolumeAttachment, where only CSI with its claim left out fits. */
export function validateVolumeSpec(
  spec: PersistentVolumeSpec,
  path: FieldPath,
  inline = false,
): FieldError[] {
  if (inline) return validateInline(spec, path);
  const modes = path.child('accessModes');
  const wrong: FieldError[] = [];
  if (!spec.accessModes?.length) wrong.push(fieldErrors.required(modes));
  const policyPath = path.child('persistentVolumeReclaimPolicy');
  wrong.push(
    ...validateAccessModes(spec.accessModes, modes),
    ...validateCapacity(spec, path),
    ...optionalOneOf(spec.persistentVolumeReclaimPolicy, ['Delete', 'Recycle', 'Retain'], policyPath),
  );
  if (spec.nodeAffinity) {
    const at = path.child('nodeAffinity');
    if (!spec.nodeAffinity.required) {
      wrong.push(fieldErrors.required(at.child('required'), 'must specify required node constraints'));
    } else wrong.push(...validateNodeSelector(spec.nodeAffinity.required, at.child('required')));
  }
  wrong.push(...validateSource(spec, path));
  const isRoot = /^\/(\.?\/*)*$/.test(spec.hostPath?.path ?? '-');
  if (isRoot && spec.persistentVolumeReclaimPolicy === 'Recycle') {
    wrong.push(fieldErrors.forbidden(policyPath, "may not be 'recycle' for a hostPath mount of '/'"));
  }
  if (spec.storageClassName) {
    const at = path.child('storageClassName');
    wrong.push(...invalidEach(at, spec.storageClassName, nameIsDnsSubdomain(spec.storageClassName)));
  }
  return [...wrong, ...optionalOneOf(spec.volumeMode, ['Block', 'Filesystem'], path.child('volumeMode'))];
}

const validate = ({ spec = {} }: PersistentVolume): FieldError[] => validateVolumeSpec(spec, specPath);

function validateUpdate(volume: PersistentVolume, old: PersistentVolume): FieldError[] {
  const wrong = validate(volume);
  const sourceOf = (spec: PersistentVolumeSpec | undefined): object =>
    Object.fromEntries(sources.filter((name) => spec?.[name] != null).map((name) => [name, spec?.[name]]));
  const now = sourceOf(volume.spec);
  const before = sourceOf(old.spec);
  if (!semanticallyEqual(now, before)) {
    const why = `spec.persistentvolumesource is immutable after creation\n${difference(before, now)}`;
    wrong.push(fieldErrors.forbidden(specPath.child('persistentvolumesource'), why));
  }
  wrong.push(...immutable(volume.spec?.volumeMode, old.spec?.volumeMode, FieldPath.of('volumeMode')));
  if (old.spec?.nodeAffinity && !semanticallyEqual(volume.spec?.nodeAffinity, old.spec.nodeAffinity)) {
    const why = 'field is immutable, except for updating from beta label to GA';
    wrong.push(fieldErrors.invalid(FieldPath.of('nodeAffinity'), volume.spec?.nodeAffinity, why));
  }
  return wrong;
}

const shortModes: Readonly<Record<string, string>> = {
  ReadWriteOnce: 'RWO',
  ReadOnlyMany: 'ROX',
  ReadWriteMany: 'RWX',
  ReadWriteOncePod: 'RWOP',
};

/** `RWO,RWX`, in upstream's order. */
export const accessModesCell = (modes: readonly string[] | undefined): string =>
  Object.keys(shortModes)
    .filter((mode) => modes?.includes(mode))
    .map((mode) => shortModes[mode])
    .join(',');

/** Upstream: pkg/registry/core/persistentvolume. */
export const persistentVolume: Strategy<PersistentVolume> = {
  defaults,
  prepareForCreate: (context, object) =>
    void (object.status = { phase: 'Pending', lastPhaseTransitionTime: timestamp(context.nowMs) }),
  prepareForUpdate(context, object, old) {
    if (object.status && context.subresource === 'status' && object.status.phase !== old.status?.phase)
      object.status.lastPhaseTransitionTime ??= timestamp(context.nowMs);
  },
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object, old) => validateUpdate(object, old),
  validateStatusUpdate: () => [],
  table: table<PersistentVolume>(
    [
      text('Capacity', 'Size of the volume.'),
      text('Access Modes', 'How it can be mounted.'),
      text('Reclaim Policy', 'What becomes of it when released.'),
      text('Status', 'Whether it is bound.'),
      text('Claim', 'The claim it is bound to.'),
      text('StorageClass', 'Its storage class.'),
      text('VolumeAttributesClass', 'Its class of attributes.'),
      text('Reason', 'Why it is in that state.'),
      ageColumn,
      wideText('VolumeMode', 'File system or block device.'),
    ],
    (object, nowMs) => {
      const spec = object.spec ?? {};
      return [
        formatQuantity(spec.capacity?.['storage']),
        accessModesCell(spec.accessModes),
        spec.persistentVolumeReclaimPolicy ?? '',
        object.metadata.deletionTimestamp ? 'Terminating' : (object.status?.phase ?? ''),
        spec.claimRef ? `${spec.claimRef.namespace ?? ''}/${spec.claimRef.name ?? ''}` : '',
        object.metadata.annotations?.['volume.beta.kubernetes.io/storage-class'] ??
          spec.storageClassName ??
          '',
        spec.volumeAttributesClassName ?? '<unset>',
        object.status?.reason ?? '',
        ageOf(object, nowMs),
        spec.volumeMode ?? '<unset>',
      ];
    },
  ),
};
