/** Volumes that other machines serve: what their sources must hold (upstream: pkg/apis/core/validation). */
import { fieldErrors, type FieldError, FieldPath } from '@cloudless/kube/field';
import type { AzureDiskVolumeSource, ISCSIVolumeSource, Volume } from '@cloudless/kube/types/core-v1';
import { dns1123Label, invalidEach, optionalOneOf, required } from '../../validation/fields.ts';
import { isDns1123Subdomain, rangeError } from '../../validation/names.ts';

const initiatorForms: ReadonlyArray<[string, RegExp]> = [
  ['iqn', /iqn\.\d{4}-\d{2}\.([A-Za-z0-9.-]+)(:[^,;*&$|\s]+)$/],
  ['eui', /^eui.[A-Za-z0-9]{16}$/],
  ['naa', /^naa.[A-Za-z0-9]{32}$/],
];

/** An iSCSI qualified name in one of its three forms; `noForm` is said of one in none of them. */
function validateIqn(name: string, path: FieldPath, noForm: string): FieldError[] {
  const form = initiatorForms.find(([prefix]) => name.startsWith(prefix));
  if (!form) return [fieldErrors.invalid(path, name, noForm)];
  return form[1].test(name) ? [] : [fieldErrors.invalid(path, name, 'must be valid format')];
}

export const inByte = (value: number | undefined, path: FieldPath, low = 0): FieldError[] =>
  (value ?? 0) >= 0 && (value ?? 0) <= 255 ? [] : [fieldErrors.invalid(path, value, rangeError(low, 255))];

type Check<S> = (source: S, path: FieldPath, volumeName: string) => FieldError[];
type Checks = { [K in keyof Volume]?: Check<NonNullable<Volume[K]>> };

/** Each of `names` must be set. */
const needs =
  (...names: string[]): Check<object> =>
  (source, path) =>
    names.flatMap((name) => required((source as Record<string, unknown>)[name], path.child(name)));

const tooLongText =
  'Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.';

/** Of a pod's volume or, a little otherwise, of a PersistentVolume. */
export function validateIscsiSource(
  iscsi: ISCSIVolumeSource,
  path: FieldPath,
  { volumeName, isPersistent }: { volumeName: string; isPersistent: boolean },
): FieldError[] {
  const noForm = isPersistent
    ? 'must be valid format'
    : 'must be valid format starting with iqn, eui, or naa';
  const wrong = required(iscsi.targetPortal, path.child('targetPortal'));
  const isTooLong =
    iscsi.initiatorName != null && Buffer.byteLength(`${volumeName}:${iscsi.targetPortal}`) > 64;
  if (isTooLong && isPersistent)
    wrong.push(fieldErrors.invalid(path.child('targetportal'), iscsi.targetPortal, tooLongText));
  if (!iscsi.iqn) wrong.push(fieldErrors.required(path.child('iqn')));
  else wrong.push(...validateIqn(iscsi.iqn, path.child('iqn'), noForm));
  wrong.push(...inByte(iscsi.lun, path.child('lun')));
  if ((iscsi.chapAuthDiscovery || iscsi.chapAuthSession) && !iscsi.secretRef) {
    wrong.push(fieldErrors.required(path.child('secretRef')));
  }
  if (isPersistent && iscsi.secretRef)
    wrong.push(...required(iscsi.secretRef.name, path.child('secretRef', 'name')));
  if (iscsi.initiatorName != null)
    wrong.push(...validateIqn(iscsi.initiatorName, path.child('initiatorname'), noForm));
  if (isTooLong && !isPersistent)
    wrong.push(fieldErrors.invalid(path.child('name'), volumeName, tooLongText));
  return wrong;
}

const validateFc: Check<NonNullable<Volume['fc']>> = (fc, path) => {
  const at = path.child('targetWWNs');
  const targets = fc.targetWWNs ?? [];
  const wwids = fc.wwids ?? [];
  if (targets.length === 0) {
    return wwids.length > 0
      ? []
      : [fieldErrors.required(at, 'must specify either targetWWNs or wwids, but not both')];
  }
  const wrong: FieldError[] = [];
  if (wwids.length > 0) {
    wrong.push(fieldErrors.invalid(at, targets, 'targetWWNs and wwids can not be specified simultaneously'));
  }
  if (fc.lun == null) {
    wrong.push(fieldErrors.required(path.child('lun'), 'lun is required if targetWWNs is specified'));
  } else wrong.push(...inByte(fc.lun, path.child('lun')));
  return wrong;
};

const validateQuobyte: Check<NonNullable<Volume['quobyte']>> = (quobyte, path) => {
  const wrong: FieldError[] = [];
  const pairs = 'must be a host:port pair or multiple pairs separated by commas';
  const registry = path.child('registry');
  if (!quobyte.registry) wrong.push(fieldErrors.required(registry, pairs));
  else if ((quobyte.tenant ?? '').length >= 65) {
    const text = 'must be a UUID and may not exceed a length of 64 characters';
    wrong.push(fieldErrors.required(path.child('tenant'), text));
  } else {
    for (const pair of quobyte.registry.split(',')) {
      if (!/^(\[[^\]]*\]|[^:[\]]*):[^:]*$/.test(pair)) {
        wrong.push(fieldErrors.invalid(registry, quobyte.registry, pairs));
      }
    }
  }
  return [...wrong, ...required(quobyte.volume, path.child('volume'))];
};

const validateFlocker: Check<NonNullable<Volume['flocker']>> = (flocker, path) => {
  if (!flocker.datasetName && !flocker.datasetUUID) {
    return [fieldErrors.required(path, 'one of datasetName and datasetUUID is required')];
  }
  const wrong: FieldError[] = [];
  if (flocker.datasetName && flocker.datasetUUID) {
    const text = 'datasetName and datasetUUID can not be specified simultaneously';
    wrong.push(fieldErrors.invalid(path, 'resource', text));
  }
  if (flocker.datasetName?.includes('/')) {
    wrong.push(fieldErrors.invalid(path.child('datasetName'), flocker.datasetName, "must not contain '/'"));
  }
  return wrong;
};

/** Name of a CSI driver: at most 63 characters, a DNS subdomain when written in lower case. */
export function validateCsiDriverName(name: string | undefined, path: FieldPath): FieldError[] {
  if (!name) return [fieldErrors.required(path)];
  const wrong: FieldError[] = [];
  if (name.length > 63) wrong.push(fieldErrors.tooLong(path, 63));
  wrong.push(...invalidEach(path, name, isDns1123Subdomain(name.toLowerCase())));
  return wrong;
}

const validateFlex: Check<NonNullable<Volume['flexVolume']>> = (flex, path) => {
  const wrong = required(flex.driver, path.child('driver'));
  for (const key in flex.options) {
    const at = path.child('options').key(key);
    const namespace = key.split('/')[0]?.toLowerCase() ?? '';
    if (/(^|\.)(kubernetes\.io|k8s\.io)$/.test(namespace)) {
      wrong.push(fieldErrors.invalid(at, key, 'kubernetes.io and k8s.io namespaces are reserved'));
    }
  }
  return wrong;
};

const managedDisk =
  '/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}';
const blobDisk = 'https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd';

const validateAzureDisk: Check<AzureDiskVolumeSource> = (disk, path) => {
  const { diskName, diskURI, cachingMode, kind } = disk;
  const at = path.child('diskURI');
  const wrong = [
    ...required(diskName, path.child('diskName')),
    ...required(diskURI, at),
    ...optionalOneOf(cachingMode, ['None', 'ReadOnly', 'ReadWrite'], path.child('cachingMode')),
    ...optionalOneOf(kind, ['Dedicated', 'Managed', 'Shared'], path.child('kind')),
  ];
  if (kind == null) return wrong;
  const isManaged = kind === 'Managed';
  if (!(diskURI ?? '').startsWith(isManaged ? '/subscriptions/' : 'https://'))
    wrong.push(fieldErrors.notSupported(at, diskURI ?? '', [isManaged ? managedDisk : blobDisk]));
  return wrong;
};

const checks: Checks = {
  gcePersistentDisk: (disk, path) => [
    ...required(disk.pdName, path.child('pdName')),
    ...inByte(disk.partition, path.child('partition'), 1),
  ],
  awsElasticBlockStore: (disk, path) => [
    ...required(disk.volumeID, path.child('volumeID')),
    ...inByte(disk.partition, path.child('partition'), 1),
  ],
  nfs: (nfs, path) => {
    const wrong = needs('server', 'path')(nfs, path, '');
    if (!nfs.path?.startsWith('/')) {
      wrong.push(fieldErrors.invalid(path.child('path'), nfs.path ?? '', 'must be an absolute path'));
    }
    return wrong;
  },
  iscsi: (iscsi, path, volumeName) => validateIscsiSource(iscsi, path, { volumeName, isPersistent: false }),
  glusterfs: needs('endpoints', 'path'),
  flocker: validateFlocker,
  rbd: needs('monitors', 'image'),
  cinder: (cinder, path) => {
    const wrong = required(cinder.volumeID, path.child('volumeID'));
    if (cinder.secretRef && !cinder.secretRef.name) {
      wrong.push(fieldErrors.required(path.child('secretRef', 'name')));
    }
    return wrong;
  },
  cephfs: needs('monitors'),
  quobyte: validateQuobyte,
  fc: validateFc,
  flexVolume: validateFlex,
  azureFile: needs('secretName', 'shareName'),
  vsphereVolume: needs('volumePath'),
  photonPersistentDisk: needs('pdID'),
  portworxVolume: needs('volumeID'),
  azureDisk: validateAzureDisk,
  storageos: ({ volumeName, volumeNamespace, secretRef }, path) => {
    const at = path.child('volumeName');
    return [
      ...(volumeName ? dns1123Label(volumeName, at) : [fieldErrors.required(at)]),
      ...(volumeNamespace ? dns1123Label(volumeNamespace, path.child('volumeNamespace')) : []),
      ...(secretRef ? required(secretRef.name, path.child('secretRef', 'name')) : []),
    ];
  },
  scaleIO: needs('gateway', 'system', 'volumeName'),
  csi: (csi, path) => {
    const wrong = validateCsiDriverName(csi.driver, path.child('driver'));
    if (csi.nodePublishSecretRef && !csi.nodePublishSecretRef.name) {
      wrong.push(fieldErrors.required(path.child('nodePublishSecretRef', 'name')));
    }
    return wrong;
  },
};

/** The path under the name that upstream's errors give the source. */
const renamed = (path: FieldPath, from: string, to: string): FieldPath =>
  FieldPath.of(path.toString().slice(0, -from.length) + to);

/** Checks the volume's source of that name, by default the last part of `path`, which is that of the source. */
export function validateRemoteSource(volume: Volume, path: FieldPath, name?: keyof Volume): FieldError[] {
  const source = name ?? (path.toString().split('.').at(-1) as keyof Volume);
  const check = checks[source] as Check<unknown> | undefined;
  const at =
    name === undefined && source === 'gcePersistentDisk' ? renamed(path, source, 'persistentDisk') : path;
  return check ? check(volume[source], at, volume.name) : [];
}
