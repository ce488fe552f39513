/** Volumes of a pod (upstream: ValidateVolumes in pkg/apis/core/validation). */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import type {
  ConfigMapVolumeSource,
  DownwardAPIVolumeFile,
  HostPathVolumeSource,
  KeyToPath,
  SecretVolumeSource,
  Volume,
} from '@cloudless/kube/types/core-v1';
import type { ObjectMeta } from '@cloudless/kube/types/meta-v1';
import { dns1123Label, optionalOneOf, oneOf, required } from '../../validation/fields.ts';
import { nameIsDnsSubdomain } from '../../validation/names.ts';
import { signOf } from '../../validation/quantities.ts';
import { validateClaimTemplate } from '../storage/validate-claim.ts';
import { volumeFieldPaths, validateFieldRef, validateResourceFieldRef } from './validate-environment.ts';
import { fileMode, noBacksteps, nonReservedPath, relativePath } from './paths.ts';
import { validateProjected } from './validate-projected.ts';
import { validateRemoteSource } from './validate-remote-volumes.ts';

const hostPathTypes = [
  '',
  'BlockDevice',
  'CharDevice',
  'Directory',
  'DirectoryOrCreate',
  'File',
  'FileOrCreate',
  'Socket',
];

export function validateHostPath(source: HostPathVolumeSource, path: FieldPath): FieldError[] {
  return [
    ...required(source.path, path.child('path')),
    ...noBacksteps(source.path ?? '', path.child('path')),
    ...optionalOneOf(source.type, hostPathTypes, path.child('type')),
  ];
}

export function validateKeyToPath(item: KeyToPath, path: FieldPath): FieldError[] {
  return [
    ...required(item.key, path.child('key')),
    ...required(item.path, path.child('path')),
    ...nonReservedPath(item.path ?? '', path.child('path')),
    ...fileMode(item.mode, path.child('mode')),
  ];
}

function validateItems(
  source: SecretVolumeSource | ConfigMapVolumeSource,
  name: string | undefined,
  nameField: string,
  path: FieldPath,
): FieldError[] {
  const wrong = [
    ...required(name, path.child(nameField)),
    ...fileMode(source.defaultMode, path.child('defaultMode')),
  ];
  source.items?.forEach((item, i) => wrong.push(...validateKeyToPath(item, path.child('items').index(i))));
  return wrong;
}

export function validateDownwardFile(file: DownwardAPIVolumeFile, path: FieldPath): FieldError[] {
  const wrong = [
    ...required(file.path, path.child('path')),
    ...nonReservedPath(file.path ?? '', path.child('path')),
  ];
  if (file.fieldRef) {
    wrong.push(...validateFieldRef(file.fieldRef, volumeFieldPaths, path.child('fieldRef')));
    if (file.resourceFieldRef) {
      const text = 'fieldRef and resourceFieldRef can not be specified simultaneously';
      wrong.push(fieldErrors.invalid(path, 'resource', text));
    }
  } else if (file.resourceFieldRef) {
    wrong.push(...validateResourceFieldRef(file.resourceFieldRef, path.child('resourceFieldRef'), true));
  } else wrong.push(fieldErrors.required(path, 'one of fieldRef and resourceFieldRef is required'));
  return [...wrong, ...fileMode(file.mode, path.child('mode'))];
}

type Source = Exclude<keyof Volume, 'name'>;
type Validator = (volume: Volume, path: FieldPath) => FieldError[];

/** Sources in upstream's order, for when several are set: the first counts, the others are refused. */
const validators: ReadonlyArray<[Source, Validator]> = [
  [
    'emptyDir',
    (volume, path) =>
      signOf(volume.emptyDir?.sizeLimit) < 0
        ? [
            fieldErrors.forbidden(
              path.child('sizeLimit'),
              'SizeLimit field must be a valid resource quantity',
            ),
          ]
        : [],
  ],
  ['hostPath', (volume, path) => validateHostPath(volume.hostPath!, path)],
  [
    'gitRepo',
    (volume, path) => [
      ...required(volume.gitRepo?.repository, path.child('repository')),
      ...relativePath(volume.gitRepo?.directory ?? '', path.child('directory')),
    ],
  ],
  ['gcePersistentDisk', validateRemoteSource],
  ['awsElasticBlockStore', validateRemoteSource],
  ['secret', (volume, path) => validateItems(volume.secret!, volume.secret?.secretName, 'secretName', path)],
  ['nfs', validateRemoteSource],
  ['iscsi', validateRemoteSource],
  ['glusterfs', validateRemoteSource],
  ['flocker', validateRemoteSource],
  [
    'persistentVolumeClaim',
    (volume, path) => required(volume.persistentVolumeClaim?.claimName, path.child('claimName')),
  ],
  ['rbd', validateRemoteSource],
  ['cinder', validateRemoteSource],
  ['cephfs', validateRemoteSource],
  ['quobyte', validateRemoteSource],
  [
    'downwardAPI',
    (volume, path) => [
      ...fileMode(volume.downwardAPI?.defaultMode, path.child('defaultMode')),
      ...(volume.downwardAPI?.items ?? []).flatMap((file) => validateDownwardFile(file, path)),
    ],
  ],
  ['fc', validateRemoteSource],
  ['flexVolume', validateRemoteSource],
  ['configMap', (volume, path) => validateItems(volume.configMap!, volume.configMap?.name, 'name', path)],
  ['azureFile', validateRemoteSource],
  ['vsphereVolume', validateRemoteSource],
  ['photonPersistentDisk', validateRemoteSource],
  ['portworxVolume', validateRemoteSource],
  ['azureDisk', validateRemoteSource],
  ['storageos', validateRemoteSource],
  ['projected', (volume, path) => validateProjected(volume.projected!, path)],
  ['scaleIO', validateRemoteSource],
  ['csi', validateRemoteSource],
  [
    'ephemeral',
    (volume, path) =>
      volume.ephemeral?.volumeClaimTemplate
        ? validateClaimTemplate(volume.ephemeral.volumeClaimTemplate, path.child('volumeClaimTemplate'))
        : [fieldErrors.required(path.child('volumeClaimTemplate'))],
  ],
  [
    'image',
    (volume, path) => [
      ...required(volume.image?.reference, path.child('reference')),
      ...oneOf(volume.image?.pullPolicy, ['Always', 'IfNotPresent', 'Never'], path.child('pullPolicy')),
    ],
  ],
];

/** Where upstream's paths name a source otherwise than the API does. */
const pathNames: Readonly<Record<string, string>> = {
  downwardAPI: 'downwarAPI',
  cephfs: 'cephFS',
};

function validateSource(volume: Volume, path: FieldPath, podName: string | undefined): FieldError[] {
  const wrong: FieldError[] = [];
  let found = false;
  for (const [source, validator] of validators) {
    if (volume[source] == null) continue;
    if (found) {
      const at = path.child(pathNames[source] ?? source);
      wrong.push(fieldErrors.forbidden(at, 'may not specify more than 1 volume type'));
      continue;
    }
    found = true;
    wrong.push(...validator(volume, path.child(source)));
    if (source === 'ephemeral' && podName && volume.name) {
      const claim = `${podName}-${volume.name}`;
      for (const text of nameIsDnsSubdomain(claim)) {
        wrong.push(
          fieldErrors.invalid(path.child('name'), volume.name, `PVC name ${JSON.stringify(claim)}: ${text}`),
        );
      }
    }
  }
  return found ? wrong : [...wrong, fieldErrors.required(path, 'must specify a volume type')];
}

/** `volumes` holds the valid ones, which mounts may name. `podMeta` is absent for templates. */
export function validateVolumes(
  list: readonly Volume[] | undefined,
  podMeta: ObjectMeta | undefined,
  path: FieldPath,
): { volumes: ReadonlyMap<string, Volume>; wrong: FieldError[] } {
  const volumes = new Map<string, Volume>();
  const wrong: FieldError[] = [];
  const all = list ?? [];
  const created = new Set<string>();
  if (podMeta?.name) for (const one of all) if (one.ephemeral) created.add(`${podMeta.name}-${one.name}`);
  for (const [i, volume] of all.entries()) {
    const at = path.index(i);
    const found = validateSource(volume, at, podMeta?.name);
    if (!volume.name) found.push(fieldErrors.required(at.child('name')));
    else found.push(...dns1123Label(volume.name, at.child('name')));
    if (volumes.has(volume.name)) found.push(fieldErrors.duplicate(at.child('name'), volume.name));
    if (found.length === 0) volumes.set(volume.name, volume);
    wrong.push(...found);
    const claim = volume.persistentVolumeClaim?.claimName;
    if (claim !== undefined && created.has(claim)) {
      const text = 'must not reference a PVC that gets created for an ephemeral volume';
      wrong.push(fieldErrors.invalid(at.child('persistentVolumeClaim', 'claimName'), claim, text));
    }
  }
  return { volumes, wrong };
}
