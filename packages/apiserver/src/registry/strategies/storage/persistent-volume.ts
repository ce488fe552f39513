import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type {
  PersistentVolume,
  PersistentVolumeSpec,
  VolumeNodeAffinity,
} from '@cloudless/kube/types/core-v1';
import { timestamp } from '../../metadata.ts';
import type { Strategy } from '../../strategy.ts';
import { immutable, invalidEach, optionalOneOf, semanticallyEqual } from '../../validation/fields.ts';
import { nameIsDnsSubdomain } from '../../validation/names.ts';
import {
  basicResource,
  formatQuantity,
  roundResources,
  signOf,
  validateQuantity,
} from '../../validation/quantities.ts';
import { difference } from '../pod/difference.ts';
import { validateNodeSelector } from '../pod/validate-scheduling.ts';
import { nodeSelectorWarnings } from '../pod/warnings.ts';
import { ageColumn, ageOf, table, text, wideText } from '../table/table.ts';
import { validateAccessModes } from './validate-claim.ts';
import { validateVolumeSource, volumeSources } from './volume-sources.ts';

const specPath = FieldPath.of('spec');
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
  if (spec.azureDisk) {
    spec.azureDisk.cachingMode ??= 'ReadWrite';
    spec.azureDisk.kind ??= 'Shared';
    spec.azureDisk.fsType ??= 'ext4';
    spec.azureDisk.readOnly ??= false;
  }
  if (spec.scaleIO) {
    spec.scaleIO.storageMode ||= 'ThinProvisioned';
    spec.scaleIO.fsType ||= 'xfs';
  }
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
      wrong.push(
        ...basicResource(quantity, path.key(name)),
        fieldErrors.invalid(path.key(name), formatQuantity(quantity), 'must be greater than zero'),
      );
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
  wrong.push(...validateVolumeSource(spec, path, ''));
  if (spec.storageClassName) forbid('storageClassName');
  if (spec.volumeMode != null && spec.volumeMode !== 'Filesystem') {
    const why = `may not specify volumeMode other than Filesystem ${where}`;
    wrong.push(fieldErrors.forbidden(path.child('volumeMode'), why));
  }
  return [...wrong, ...validateAttributesClass(spec, path)];
}

function validateAttributesClass(spec: PersistentVolumeSpec, path: FieldPath): FieldError[] {
  const name = spec.volumeAttributesClassName;
  if (name == null) return [];
  const at = path.child('volumeAttributesClassName');
  const wrong =
    name === ''
      ? [fieldErrors.required(at, 'an empty string is disallowed')]
      : invalidEach(at, name, nameIsDnsSubdomain(name));
  const why = 'has to be specified when using volumeAttributesClassName';
  if (!spec.csi) wrong.push(fieldErrors.required(path.child('csi'), why));
  return wrong;
}

/** What a volume may be; `inline`: inside a VolumeAttachment, where only CSI with its claim left out fits. */
export function validateVolumeSpec(
  spec: PersistentVolumeSpec,
  path: FieldPath,
  { inline = false, name = '' }: { inline?: boolean; name?: string } = {},
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
  wrong.push(...validateVolumeSource(spec, path, name));
  const isRoot = /^\/(\.?\/*)*$/.test(spec.hostPath?.path ?? '-');
  if (isRoot && spec.persistentVolumeReclaimPolicy === 'Recycle') {
    wrong.push(fieldErrors.forbidden(policyPath, "may not be 'recycle' for a hostPath mount of '/'"));
  }
  if (spec.storageClassName) {
    const at = path.child('storageClassName');
    wrong.push(...invalidEach(at, spec.storageClassName, nameIsDnsSubdomain(spec.storageClassName)));
  }
  return [
    ...wrong,
    ...optionalOneOf(spec.volumeMode, ['Block', 'Filesystem'], path.child('volumeMode')),
    ...validateAttributesClass(spec, path),
  ];
}

const mountOptions = 'volume.beta.kubernetes.io/mount-options';
const mountable = new Set<string>([
  'gcePersistentDisk',
  'awsElasticBlockStore',
  'glusterfs',
  'nfs',
  'rbd',
  'quobyte',
  'iscsi',
  'cinder',
  'cephfs',
  'azureFile',
  'vsphereVolume',
  'azureDisk',
  'photonPersistentDisk',
]);

function validate({ metadata, spec = {} }: PersistentVolume): FieldError[] {
  const wrong = validateVolumeSpec(spec, specPath, { name: metadata.name ?? '' });
  const takesOptions = volumeSources.some((name) => mountable.has(name) && spec[name] != null);
  if (takesOptions || metadata.annotations?.[mountOptions] === undefined) return wrong;
  const why = 'may not specify mount options for this volume type';
  return [...wrong, fieldErrors.forbidden(FieldPath.of('metadata', 'annotations', mountOptions), why)];
}

/** The source, but for a secret that a volume of CSI may get later. */
function comparableSource(spec: PersistentVolumeSpec, old: PersistentVolumeSpec): object {
  const source: Record<string, unknown> = {};
  for (const name of volumeSources) if (spec[name] != null) source[name] = spec[name];
  if (spec.csi && old.csi && !old.csi.controllerExpandSecretRef) {
    const { controllerExpandSecretRef: _later, ...csi } = spec.csi;
    source['csi'] = csi;
  }
  return source;
}

const newerLabels: Readonly<Record<string, string>> = {
  'failure-domain.beta.kubernetes.io/zone': 'topology.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region': 'topology.kubernetes.io/region',
  'beta.kubernetes.io/os': 'kubernetes.io/os',
  'beta.kubernetes.io/arch': 'kubernetes.io/arch',
  'beta.kubernetes.io/instance-type': 'node.kubernetes.io/instance-type',
};

/** The old affinity with the keys of the new one where those are what the old ones are called today. */
function withNewerLabels(old: VolumeNodeAffinity, now: VolumeNodeAffinity | undefined): VolumeNodeAffinity {
  const renamed = structuredClone(old);
  for (const [i, term] of (renamed.required?.nodeSelectorTerms ?? []).entries()) {
    const wanted = now?.required?.nodeSelectorTerms?.[i];
    for (const list of ['matchExpressions', 'matchFields'] as const) {
      for (const [j, requirement] of (term[list] ?? []).entries()) {
        // A key without a newer name may be emptied, which another rule then refuses.
        const key = wanted?.[list]?.[j]?.key ?? '';
        if ((newerLabels[requirement.key] ?? '') === key) requirement.key = key;
      }
    }
  }
  return renamed;
}

function validateUpdate(volume: PersistentVolume, old: PersistentVolume): FieldError[] {
  const wrong = validate(volume);
  const [spec, oldSpec] = [volume.spec ?? {}, old.spec ?? {}];
  const now = comparableSource(spec, oldSpec);
  const before = comparableSource(oldSpec, oldSpec);
  if (!semanticallyEqual(now, before)) {
    const why = `spec.persistentvolumesource is immutable after creation\n${difference(before, now)}`;
    wrong.push(fieldErrors.forbidden(specPath.child('persistentvolumesource'), why));
  }
  wrong.push(...immutable(spec.volumeMode, oldSpec.volumeMode, FieldPath.of('volumeMode')));
  const affinity = spec.nodeAffinity;
  const isMoved =
    oldSpec.nodeAffinity && !semanticallyEqual(affinity, withNewerLabels(oldSpec.nodeAffinity, affinity));
  if (isMoved) {
    const why = 'field is immutable, except for updating from beta label to GA';
    wrong.push(fieldErrors.invalid(FieldPath.of('nodeAffinity'), affinity, why));
  }
  if (oldSpec.volumeAttributesClassName != null && spec.volumeAttributesClassName == null) {
    const why = 'update from non-nil value to nil is forbidden';
    wrong.push(fieldErrors.forbidden(specPath.child('volumeAttributesClassName'), why));
  }
  return wrong;
}

const deprecatedAnnotations: Readonly<Record<string, string>> = {
  'volume.beta.kubernetes.io/storage-class':
    'deprecated since v1.8; use "storageClassName" attribute instead',
  [mountOptions]: 'deprecated since v1.31; use "mountOptions" attribute instead',
};
const deprecatedSources = {
  cephfs: 'cephfs: deprecated in v1.28, non-functional in v1.31+',
  photonPersistentDisk: 'photonPersistentDisk: deprecated in v1.11, non-functional in v1.16+',
  scaleIO: 'scaleIO: deprecated in v1.16, non-functional in v1.22+',
  storageos: 'storageOS: deprecated in v1.22, non-functional in v1.25+',
  glusterfs: 'glusterfs: deprecated in v1.25, non-functional in v1.26+',
  rbd: 'rbd: deprecated in v1.28, non-functional in v1.31+',
} as const;
const recycleText =
  'spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.';

function warnings({ metadata, spec = {} }: PersistentVolume): string[] {
  const found: string[] = [];
  for (const [key, text] of Object.entries(deprecatedAnnotations))
    if (metadata.annotations?.[key] !== undefined) found.push(`metadata.annotations[${key}]: ${text}`);
  if (spec.persistentVolumeReclaimPolicy === 'Recycle') found.push(recycleText);
  const terms = specPath.child('nodeAffinity', 'required', 'nodeSelectorTerms');
  found.push(...nodeSelectorWarnings(spec.nodeAffinity?.required?.nodeSelectorTerms, terms));
  for (const [name, text] of Object.entries(deprecatedSources))
    if (spec[name as keyof typeof deprecatedSources] != null) found.push(`spec.${text}`);
  return found;
}

/** When the phase changed last (upstream: persistentvolumeStatusStrategy.PrepareForUpdate). */
function prepareStatus(volume: PersistentVolume, old: PersistentVolume, nowMs: number): void {
  const status = (volume.status ??= {});
  const before = old.status ?? {};
  const told = status.lastPhaseTransitionTime;
  if (status.phase === before.phase) {
    if (told == null && before.lastPhaseTransitionTime)
      status.lastPhaseTransitionTime = before.lastPhaseTransitionTime;
  } else if (told == null || told === before.lastPhaseTransitionTime)
    status.lastPhaseTransitionTime = timestamp(nowMs);
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
    if (context.subresource === 'status') prepareStatus(object, old, context.nowMs);
  },
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object, old) => validateUpdate(object, old),
  validateStatusUpdate: () => [],
  warnings: (_context, object) => warnings(object),
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
