/** CSIDriver and CSINode (upstream: pkg/apis/storage, pkg/registry/storage/csidriver, csinode). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { CSIDriver, CSINode, CSINodeDriver } from '@cloudless/kube/types/storage-v1';
import type { Strategy } from '../../strategy.ts';
import {
  immutable,
  nonNegative,
  optionalOneOf,
  qualifiedName,
  semanticallyEqual,
} from '../../validation/fields.ts';
import { validateCsiDriverName } from '../pod/validate-remote-volumes.ts';
import { ageColumn, ageOf, boolean, integer, table, text } from '../table/table.ts';

const at = (...names: string[]): FieldPath => FieldPath.of(...names);
const fsGroupPolicies = ['File', 'None', 'ReadWriteOnceWithFSType'];
const lifecycleModes = ['Persistent', 'Ephemeral'];
const maxNodeIdLength = 256;
const minTokenSeconds = 600;
const maxTokenSeconds = 2 ** 32;
const minUpdatePeriodSeconds = 10;

type DriverSpec = NonNullable<CSIDriver['spec']>;

/** Every audience once; a lifetime between ten minutes and 2^32 seconds. */
function validateTokenRequests(spec: DriverSpec): FieldError[] {
  const audiences = new Set<string>();
  return (spec.tokenRequests ?? []).flatMap((request, i) => {
    const path = at('spec', 'tokenRequests').index(i);
    const audience = request.audience ?? '';
    if (audiences.has(audience)) return [fieldErrors.duplicate(path.child('audience'), audience)];
    audiences.add(audience);
    const seconds = request.expirationSeconds;
    const where = path.child('expirationSeconds');
    if (seconds == null) return [];
    if (seconds < minTokenSeconds)
      return [fieldErrors.invalid(where, seconds, 'may not specify a duration less than 10 minutes')];
    if (seconds > maxTokenSeconds)
      return [fieldErrors.invalid(where, seconds, 'may not specify a duration larger than 2^32 seconds')];
    return [];
  });
}

function validateDriver({ spec }: CSIDriver): FieldError[] {
  const wrong: FieldError[] = [];
  if (spec.attachRequired == null) wrong.push(fieldErrors.required(at('spec', 'attachedRequired')));
  for (const name of ['podInfoOnMount', 'storageCapacity'] as const)
    if (spec[name] == null) wrong.push(fieldErrors.required(at('spec', name)));
  wrong.push(...optionalOneOf(spec.fsGroupPolicy, fsGroupPolicies, at('spec', 'fsGroupPolicy')));
  wrong.push(...validateTokenRequests(spec));
  const modes = at('spec', 'volumeLifecycleModes');
  for (const mode of spec.volumeLifecycleModes ?? []) {
    if (!lifecycleModes.includes(mode))
      wrong.push(fieldErrors.notSupportedAsListed(modes, mode, lifecycleModes));
  }
  if (spec.seLinuxMount == null) wrong.push(fieldErrors.required(at('spec', 'seLinuxMount')));
  const period = spec.nodeAllocatableUpdatePeriodSeconds;
  if (period != null && period < minUpdatePeriodSeconds) {
    const why = 'must be greater than or equal to 10 seconds';
    wrong.push(fieldErrors.invalid(at('spec', 'nodeAllocatableUpdatePeriodSeconds'), period, why));
  }
  const inSecrets = spec.serviceAccountTokenInSecrets;
  if (inSecrets != null && !spec.tokenRequests?.length) {
    const why = 'serviceAccountTokenInSecrets is set but no tokenRequests are specified';
    wrong.push(fieldErrors.invalid(at('spec', 'serviceAccountTokenInSecrets'), inSecrets, why));
  }
  return wrong;
}

function validateNodeDriver(driver: CSINodeDriver, names: Set<string>, path: FieldPath): FieldError[] {
  const wrong = validateCsiDriverName(driver.name, path.child('name'));
  const nodeId = driver.nodeID ?? '';
  if (nodeId === '') wrong.push(fieldErrors.required(path.child('nodeID')));
  if (nodeId.length > maxNodeIdLength) {
    const why = `must be ${maxNodeIdLength} characters or less`;
    wrong.push(fieldErrors.invalid(path.child('nodeID'), nodeId, why));
  }
  wrong.push(...nonNegative(driver.allocatable?.count, path.child('allocatable', 'count')));
  if (names.has(driver.name)) wrong.push(fieldErrors.duplicate(path.child('name'), driver.name));
  names.add(driver.name);
  const keys = driver.topologyKeys ?? [];
  for (const [i, key] of keys.entries()) {
    if (key === '') wrong.push(fieldErrors.required(path));
    if (keys.indexOf(key) < i) wrong.push(fieldErrors.duplicate(path, key));
    wrong.push(...qualifiedName(key, path));
  }
  return wrong;
}

function validateNodeDrivers(drivers: readonly CSINodeDriver[] | undefined): FieldError[] {
  const names = new Set<string>();
  return (drivers ?? []).flatMap((driver, i) =>
    validateNodeDriver(driver, names, at('spec', 'drivers').index(i)),
  );
}

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
  prepareForCreate: (_context, { spec }) => void delete spec?.preventPodSchedulingIfMissing,
  prepareForUpdate(_context, { spec }, old) {
    if (old.spec?.preventPodSchedulingIfMissing == null) delete spec?.preventPodSchedulingIfMissing;
  },
  warnings: (_context, { spec }, old) =>
    spec?.tokenRequests?.length &&
    spec.serviceAccountTokenInSecrets == null &&
    !(old && semanticallyEqual(spec.tokenRequests, old.spec?.tokenRequests))
      ? [
          'spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes',
        ]
      : [],
  validate: (_context, object) => validateDriver(object),
  validateUpdate: (_context, object, old) => [
    ...validateDriver(object),
    ...immutable(object.spec?.attachRequired, old.spec?.attachRequired, at('spec', 'attachedRequired')),
    ...immutable(
      object.spec?.volumeLifecycleModes,
      old.spec?.volumeLifecycleModes,
      at('spec', 'volumeLifecycleModes'),
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

/** Those of a driver that is known already may change only what it can still attach. */
function validateNodeUpdate(now: CSINode, before: CSINode): FieldError[] {
  const comparable = ({ allocatable: _allocatable, ...rest }: CSINodeDriver): object => rest;
  return (before.spec?.drivers ?? []).flatMap((old) =>
    (now.spec?.drivers ?? [])
      .filter(({ name }) => name === old.name)
      .flatMap((driver) => immutable(comparable(driver), comparable(old), at('spec', 'drivers'))),
  );
}

export const csiNode: Strategy<CSINode> = {
  validate: (_context, object) => validateNodeDrivers(object.spec?.drivers),
  validateUpdate: (_context, object, old) => [
    ...validateNodeDrivers(object.spec?.drivers),
    ...validateNodeUpdate(object, old),
  ],
  table: table<CSINode>([integer('Drivers', 'Drivers on the node.'), ageColumn], (object, nowMs) => [
    object.spec?.drivers?.length ?? 0,
    ageOf(object, nowMs),
  ]),
};
