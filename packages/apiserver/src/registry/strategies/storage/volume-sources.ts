/** Where a PersistentVolume lies: what each source must hold (upstream: pkg/apis/core/validation, …PersistentVolumeSource). */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import type { PersistentVolumeSpec, SecretReference, Volume } from '@cloudless/kube/types/core-v1';
import { dns1123Label, dns1123Subdomain, invalidEach, required } from '../../validation/fields.ts';
import { nameIsDnsLabel } from '../../validation/names.ts';
import { noBacksteps } from '../pod/paths.ts';
import {
  validateCsiDriverName,
  validateIscsiSource,
  validateRemoteSource,
} from '../pod/validate-remote-volumes.ts';
import { validateHostPath } from '../pod/validate-volumes.ts';

/** In the order in which upstream looks for them. */
export const volumeSources = [
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
type SourceName = (typeof volumeSources)[number];

type Check = (spec: PersistentVolumeSpec, path: FieldPath, volumeName: string) => FieldError[];

function requiredReference(
  reference: { name?: string; namespace?: string } | undefined,
  path: FieldPath,
): FieldError[] {
  if (!reference) return [];
  return [
    ...required(reference.name, path.child('name')),
    ...required(reference.namespace, path.child('namespace')),
  ];
}

function secretReference(reference: SecretReference | undefined, path: FieldPath): FieldError[] {
  if (!reference) return [];
  const { name, namespace } = reference;
  return [
    ...(name ? dns1123Subdomain(name, path.child('name')) : [fieldErrors.required(path.child('name'))]),
    ...(namespace
      ? dns1123Label(namespace, path.child('namespace'))
      : [fieldErrors.required(path.child('namespace'))]),
  ];
}

/** The check that pods have for the source of the same name. */
const asInPods =
  (name: SourceName & keyof Volume): Check =>
  (spec, path) =>
    validateRemoteSource({ ...spec, name: '' }, path, name);

const validateLocal: Check = (spec, path) => {
  const at = path.child('path');
  const target = spec.local?.path ?? '';
  return target === '' ? [fieldErrors.required(at)] : noBacksteps(target, at);
};

const validateGlusterfs: Check = (spec, path, name) => {
  const namespace = spec.glusterfs?.endpointsNamespace;
  const wrong = asInPods('glusterfs')(spec, path, name);
  const at = path.child('endpointsNamespace');
  const why = 'if the endpointnamespace is set, it must be a valid namespace name';
  if (namespace === '') wrong.push(fieldErrors.invalid(at, namespace, why));
  else if (namespace != null) wrong.push(...invalidEach(at, namespace, nameIsDnsLabel(namespace)));
  return wrong;
};

const validateCsi: Check = ({ csi }, path) => [
  ...validateCsiDriverName(csi?.driver, path.child('driver')),
  ...required(csi?.volumeHandle, path.child('volumeHandle')),
  ...(
    [
      'controllerPublishSecretRef',
      'controllerExpandSecretRef',
      'nodePublishSecretRef',
      'nodeExpandSecretRef',
    ] as const
  ).flatMap((name) => secretReference(csi?.[name], path.child(name))),
];

/** Sources that are more, or other, than a pod's of the same name. */
const own: Partial<Record<SourceName, Check>> = {
  hostPath: (spec, path) => (spec.hostPath ? validateHostPath(spec.hostPath, path) : []),
  glusterfs: validateGlusterfs,
  iscsi: ({ iscsi }, path, name) =>
    iscsi ? validateIscsiSource(iscsi, path, { volumeName: name, isPersistent: true }) : [],
  cinder: ({ cinder }, path) => [
    ...required(cinder?.volumeID, path.child('volumeID')),
    ...requiredReference(cinder?.secretRef, path.child('secretRef')),
  ],
  azureFile: (spec, path, name) => {
    const wrong = asInPods('azureFile')(spec, path, name);
    if (spec.azureFile?.secretNamespace === '')
      wrong.push(fieldErrors.required(path.child('secretNamespace')));
    return wrong;
  },
  local: validateLocal,
  storageos: ({ storageos }, path) => {
    const { volumeName, volumeNamespace, secretRef } = storageos ?? {};
    const at = path.child('volumeName');
    return [
      ...(volumeName ? dns1123Label(volumeName, at) : [fieldErrors.required(at)]),
      ...(volumeNamespace ? dns1123Label(volumeNamespace, path.child('volumeNamespace')) : []),
      ...requiredReference(secretRef, path.child('secretRef')),
    ];
  },
  csi: validateCsi,
};

/** Names that upstream's errors give sources, where these are not the fields'. */
const ownPath: Readonly<Record<string, string>> = { gcePersistentDisk: 'persistentDisk' };
const pathOfOther: Readonly<Record<string, string>> = { cephfs: 'cephFS' };

/** Exactly one source, and that sound; `volumeName` is the name of the PersistentVolume. */
export function validateVolumeSource(
  spec: PersistentVolumeSpec,
  path: FieldPath,
  volumeName: string,
): FieldError[] {
  const wrong: FieldError[] = [];
  let isFirst = true;
  for (const name of volumeSources) {
    if (spec[name] == null) continue;
    // Upstream judges this one whether or not there is another.
    if (isFirst || name === 'flexVolume') {
      const check = own[name] ?? asInPods(name as keyof Volume & SourceName);
      wrong.push(...check(spec, path.child(ownPath[name] ?? name), volumeName));
      if (name === 'local' && !spec.nodeAffinity) {
        const why = 'Local volume requires node affinity';
        wrong.push(fieldErrors.required(path.child('nodeAffinity'), why));
      }
    } else {
      const why = 'may not specify more than 1 volume type';
      wrong.push(fieldErrors.forbidden(path.child(pathOfOther[name] ?? name), why));
    }
    isFirst = false;
  }
  return isFirst ? [fieldErrors.required(path, 'must specify a volume type')] : wrong;
}
