/** Kinds of storage.k8s.io (upstream: pkg/apis/storage, pkg/registry/storage). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type {
  CSIDriver,
  CSINode,
  CSIStorageCapacity,
  StorageClass,
  VolumeAttachment,
  VolumeAttributesClass,
} from '@cloudless/kube/types/storage-v1';
import type { Strategy } from '../../strategy.ts';
import { immutable, invalidEach, oneOf, required, semanticallyEqual } from '../../validation/fields.ts';
import { isQualifiedName } from '../../validation/names.ts';
import { formatQuantity } from '../../validation/quantities.ts';
import { validateCsiDriverName } from '../pod/validate-remote-volumes.ts';
import { ageColumn, ageOf, boolean, integer, nameColumn, table, text } from '../table/table.ts';

const at = (...names: string[]): FieldPath => FieldPath.of(...names);
const maxParameters = 512;
const maxParametersBytes = 256 * 1024;

function validateParameters(parameters: Readonly<Record<string, string>> | undefined): FieldError[] {
  const path = at('parameters');
  const entries = Object.entries(parameters ?? {});
  const wrong: FieldError[] = [];
  if (entries.length > maxParameters) {
    wrong.push(fieldErrors.tooLong(path, maxParameters));
  }
  let size = 0;
  for (const [key, value] of entries) {
    if (key === '') wrong.push(fieldErrors.invalid(path, key, 'field can not be empty.'));
    size += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (size > maxParametersBytes) wrong.push(fieldErrors.tooLong(path, maxParametersBytes));
  return wrong;
}

function validateStorageClass(object: StorageClass): FieldError[] {
  const provisioner = object.provisioner ?? '';
  const wrong = required(provisioner, at('provisioner'));
  if (provisioner !== '') {
    wrong.push(
      ...invalidEach(
        at('provisioner'),
        provisioner.toLowerCase(),
        isQualifiedName(provisioner.toLowerCase()),
      ),
    );
  }
  return [
    ...wrong,
    ...validateParameters(object.parameters),
    ...oneOf(object.reclaimPolicy, ['Delete', 'Retain'], at('reclaimPolicy')),
    ...oneOf(object.volumeBindingMode, ['Immediate', 'WaitForFirstConsumer'], at('volumeBindingMode')),
  ];
}

function validateStorageClassUpdate(now: StorageClass, before: StorageClass): FieldError[] {
  const wrong = validateStorageClass(now);
  const text = 'updates to parameters are forbidden.';
  if (!semanticallyEqual(now.parameters, before.parameters)) {
    wrong.push(fieldErrors.forbidden(at('parameters'), text));
  }
  for (const name of ['provisioner', 'reclaimPolicy'] as const) {
    if (now[name] !== before[name]) {
      wrong.push(fieldErrors.forbidden(at(name), `updates to ${name} are forbidden.`));
    }
  }
  return [...wrong, ...immutable(now.volumeBindingMode, before.volumeBindingMode, at('volumeBindingMode'))];
}

const isDefault = (object: StorageClass): boolean =>
  ['storageclass.kubernetes.io/is-default-class', 'storageclass.beta.kubernetes.io/is-default-class'].some(
    (key) => object.metadata.annotations?.[key] === 'true',
  );

export const storageClass: Strategy<StorageClass> = {
  defaults(object) {
    object.reclaimPolicy ??= 'Delete';
    object.volumeBindingMode ??= 'Immediate';
  },
  validate: (_context, object) => validateStorageClass(object),
  validateUpdate: (_context, object, old) => validateStorageClassUpdate(object, old),
  table: {
    columns: [
      nameColumn,
      text('Provisioner', 'Who makes the volumes.'),
      text('ReclaimPolicy', 'What becomes of them when released.'),
      text('VolumeBindingMode', 'When they are made.'),
      text('AllowVolumeExpansion', 'Whether they can grow.'),
      ageColumn,
    ],
    cells: (object, nowMs) => [
      `${object.metadata.name}${isDefault(object) ? ' (default)' : ''}`,
      object.provisioner,
      object.reclaimPolicy ?? 'Delete',
      object.volumeBindingMode ?? 'Immediate',
      object.allowVolumeExpansion ?? false,
      ageOf(object, nowMs),
    ],
  },
};

export const csiDriver: Strategy<CSIDriver> = {
  defaults(object) {
    const spec = (object.spec ??= {});
    spec.attachRequired ??= true;
    spec.podInfoOnMount ??= false;
    spec.storageCapacity ??= false;
    spec.fsGroupPolicy ??= 'ReadWriteOnceWithFSType';
    if (!spec.volumeLifecycleModes?.length) spec.volumeLifecycleModes = ['Persistent'];
    spec.requiresRepublish ??= false;
    spec.seLinuxMount ??= false;
  },
  warnings: (_context, { spec }, old) =>
    spec?.tokenRequests?.length &&
    spec.serviceAccountTokenInSecrets == null &&
    !(old && semanticallyEqual(spec.tokenRequests, old.spec?.tokenRequests))
      ? [
          'spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes',
        ]
      : [],
  validate: (_context, object) => validateCsiDriverName(object.metadata.name, at('name')),
  validateUpdate: (_context, object, old) => [
    ...immutable(object.spec?.attachRequired, old.spec?.attachRequired, at('attachedRequired')),
    ...immutable(
      object.spec?.volumeLifecycleModes,
      old.spec?.volumeLifecycleModes,
      at('volumeLifecycleModes'),
    ),
  ],
  table: table<CSIDriver>(
    [
      boolean('AttachRequired', 'Whether volumes are attached first.'),
      boolean('PodInfoOnMount', 'Whether it is told about the pod.'),
      boolean('StorageCapacity', 'Whether it tells its capacity.'),
      text('TokenRequests', 'Audiences of the tokens it gets.'),
      boolean('RequiresRepublish', 'Whether it is called again and again.'),
      text('Modes', 'Persistent, ephemeral or both.'),
      ageColumn,
    ],
    ({ spec, ...object }, nowMs) => [
      spec?.attachRequired ?? true,
      spec?.podInfoOnMount ?? false,
      spec?.storageCapacity ?? false,
      spec?.tokenRequests ? spec.tokenRequests.map((request) => request.audience).join(',') : '<unset>',
      spec?.requiresRepublish ?? false,
      spec?.volumeLifecycleModes?.join(',') || '<none>',
      ageOf(object, nowMs),
    ],
  ),
};

export const csiNode: Strategy<CSINode> = {
  table: table<CSINode>([integer('Drivers', 'Drivers on the node.'), ageColumn], (object, nowMs) => [
    object.spec?.drivers?.length ?? 0,
    ageOf(object, nowMs),
  ]),
};

export const csiStorageCapacity: Strategy<CSIStorageCapacity> = {
  table: table<CSIStorageCapacity>(
    [text('StorageClassName', 'For which class.'), text('Capacity', 'How much there is.')],
    (object) => [
      object.storageClassName,
      object.capacity == null ? '<unset>' : formatQuantity(object.capacity),
    ],
  ),
};

export const volumeAttachment: Strategy<VolumeAttachment> = {
  validate: (_context, object) => [
    ...required(object.spec?.attacher, at('spec', 'attacher')),
    ...required(object.spec?.nodeName, at('spec', 'nodeName')),
  ],
  validateUpdate: (_context, object, old) => immutable(object.spec, old.spec, at('spec')),
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

export const volumeAttributesClass: Strategy<VolumeAttributesClass> = {
  validate: (_context, object) => [
    ...required(object.driverName, at('driverName')),
    ...validateParameters(object.parameters),
  ],
  validateUpdate: (_context, object, old) => [
    ...immutable(object.driverName, old.driverName, at('driverName')),
    ...immutable(object.parameters, old.parameters, at('parameters')),
  ],
  table: table<VolumeAttributesClass>(
    [text('DriverName', 'The driver it is for.'), ageColumn],
    (object, nowMs) => [object.driverName, ageOf(object, nowMs)],
  ),
};
