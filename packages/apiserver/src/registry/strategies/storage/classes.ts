/** Kinds of storage.k8s.io (upstream: pkg/apis/storage, pkg/registry/storage). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { TopologySelectorTerm } from '@cloudless/kube/types/core-v1';
import type {
  CSIStorageCapacity,
  StorageClass,
  VolumeAttributesClass,
} from '@cloudless/kube/types/storage-v1';
import type { Strategy } from '../../strategy.ts';
import { immutable, invalidEach, optionalOneOf, semanticallyEqual } from '../../validation/fields.ts';
import { validateLabelSelector } from '../../validation/metadata.ts';
import { isDns1123Subdomain, isQualifiedName } from '../../validation/names.ts';
import { validateNonNegativeQuantity } from '../../validation/quantities.ts';
import { ageColumn, ageOf, createdAtTable, nameColumn, table, text } from '../table/table.ts';

const at = (...names: string[]): FieldPath => FieldPath.of(...names);
const reclaimPolicies = ['Delete', 'Retain'];
const bindingModes = ['Immediate', 'WaitForFirstConsumer'];
const maxParameters = 512;
const maxParametersBytes = 256 * 1024;

function validateParameters(
  parameters: Readonly<Record<string, string>> | undefined,
  mayBeEmpty = true,
): FieldError[] {
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
  if (!mayBeEmpty && entries.length === 0)
    wrong.push(fieldErrors.required(path, 'must contain at least one key/value pair'));
  return wrong;
}

function validateProvisioner(name: string, path: FieldPath): FieldError[] {
  if (name === '') return [fieldErrors.required(path)];
  return invalidEach(path, name.toLowerCase(), isQualifiedName(name.toLowerCase()));
}

function validateTopologyTerm(term: TopologySelectorTerm, path: FieldPath): FieldError[] {
  const keys = new Set<string>();
  return (term.matchLabelExpressions ?? []).flatMap((expression, i) => {
    const at = path.child('matchLabelExpressions').index(i);
    const { key, values } = expression;
    const wrong = values.length === 0 ? [fieldErrors.required(at.child('values'))] : [];
    for (const [j, value] of values.entries()) {
      if (values.indexOf(value) < j) wrong.push(fieldErrors.duplicate(at.child('values').index(j), value));
    }
    wrong.push(...invalidEach(at.child('key'), key, isQualifiedName(key)));
    if (keys.has(key)) wrong.push(fieldErrors.duplicate(at.child('key'), key));
    keys.add(key);
    return wrong;
  });
}

/** Terms that say the same, or nothing, count as repeated (validateAllowedTopologies). */
function validateTopologies(terms: readonly TopologySelectorTerm[] | undefined): FieldError[] {
  const seen = new Set(['[]']);
  return (terms ?? []).flatMap((term, i) => {
    const path = at('allowedTopologies').index(i);
    const wrong = validateTopologyTerm(term, path);
    const byKey = new Map(
      (term.matchLabelExpressions ?? []).map(({ key, values }) => [key, [...new Set(values)].sort()]),
    );
    const text = JSON.stringify([...byKey].sort(([a], [b]) => (a < b ? -1 : 1)));
    if (seen.has(text)) wrong.push(fieldErrors.duplicate(path.child('matchLabelExpressions'), ''));
    seen.add(text);
    return wrong;
  });
}

const validateStorageClass = (object: StorageClass): FieldError[] => [
  ...validateProvisioner(object.provisioner ?? '', at('provisioner')),
  ...validateParameters(object.parameters),
  ...(object.reclaimPolicy ? optionalOneOf(object.reclaimPolicy, reclaimPolicies, at('reclaimPolicy')) : []),
  ...(object.volumeBindingMode == null
    ? [fieldErrors.required(at('volumeBindingMode'))]
    : optionalOneOf(object.volumeBindingMode, bindingModes, at('volumeBindingMode'))),
  ...validateTopologies(object.allowedTopologies),
];

const fixed = ['parameters', 'provisioner', 'reclaimPolicy', 'volumeBindingMode'] as const;

const validateStorageClassUpdate = (now: StorageClass, before: StorageClass): FieldError[] => [
  ...validateStorageClass(now),
  ...fixed.flatMap((name) => immutable(now[name], before[name], at(name))),
];

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

function validateCapacity(object: CSIStorageCapacity): FieldError[] {
  const name = object.storageClassName ?? '';
  return [
    ...validateLabelSelector(object.nodeTopology, at('nodeTopology')),
    ...invalidEach(at('storageClassName'), name, isDns1123Subdomain(name)),
    ...(object.capacity == null ? [] : validateNonNegativeQuantity(object.capacity, at('capacity'))),
  ];
}

export const csiStorageCapacity: Strategy<CSIStorageCapacity> = {
  validate: (_context, object) => validateCapacity(object),
  validateUpdate: (_context, object, old) => [
    ...validateCapacity(object),
    ...immutable(object.nodeTopology, old.nodeTopology, at('nodeTopology')),
    ...immutable(object.storageClassName ?? '', old.storageClassName ?? '', at('storageClassName')),
  ],
  table: createdAtTable,
};

const validateAttributesClass = (object: VolumeAttributesClass): FieldError[] => [
  ...validateProvisioner(object.driverName ?? '', at('driverName')),
  ...validateParameters(object.parameters, false),
];

export const volumeAttributesClass: Strategy<VolumeAttributesClass> = {
  validate: (_context, object) => validateAttributesClass(object),
  validateUpdate: (_context, object, old) => [
    ...(['driverName', 'parameters'] as const)
      .filter((name) => !semanticallyEqual(object[name], old[name]))
      .map((name) => fieldErrors.forbidden(at(name), `updates to ${name} are forbidden.`)),
    ...validateAttributesClass(object),
  ],
  table: table<VolumeAttributesClass>(
    [text('DriverName', 'The driver it is for.'), ageColumn],
    (object, nowMs) => [object.driverName, ageOf(object, nowMs)],
  ),
};
