/** ResourceSlice: which devices a driver offers, and where (upstream: pkg/apis/resource/validation). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type {
  CounterSet,
  Device,
  DeviceCounterConsumption,
  ResourcePool,
  ResourceSlice,
  ResourceSliceSpec,
} from '@cloudless/kube/types/resource-v1';
import type { NodeSelector } from '@cloudless/kube/types/core-v1';
import { dns1123Label, immutable, invalidEach, semanticallyEqual } from '../../validation/fields.ts';
import { nameIsDnsSubdomain } from '../../validation/names.ts';
import { validateNodeSelector } from '../pod/validate-scheduling.ts';
import { validateCsiDriverName } from '../pod/validate-remote-volumes.ts';
import { validateAttribute, valuesIn } from './validate-attribute.ts';
import { validateCapacity } from './validate-capacity.ts';
import {
  maxQualifiedNameBytes,
  validateItems,
  validateMap,
  validatePoolName,
  validateQualifiedName,
} from './names.ts';
import { validateBinding, validateTaint } from './taints.ts';

const maxDevices = 128;
/** Of slices whose devices are tainted or take from counters. */
const maxAdvancedDevices = 64;
const maxCounterSets = 8;
const maxCounters = 32;
const maxConsumptions = 2;
const maxTaints = 16;
const maxAttributesAndCapacities = 32;
const maxAttributeValues = 48;
const labelBytes = 63;
const specPath = FieldPath.of('spec');

/** Where a slice or a device can be used from. */
interface Place {
  nodeName?: string;
  nodeSelector?: NodeSelector;
  allNodes?: boolean;
}

/** What of a place is given, as messages name it; what is wrong with it goes to `wrong`. */
function givenPlaces(place: Place, emptyName: string, path: FieldPath, wrong: FieldError[]): string[] {
  const { nodeName, nodeSelector, allNodes } = place;
  const given: string[] = [];
  if (nodeName != null) {
    const at = path.child('nodeName');
    if (nodeName === '') wrong.push(fieldErrors.invalid(at, nodeName, emptyName));
    else {
      given.push('`nodeName`');
      wrong.push(...invalidEach(at, nodeName, nameIsDnsSubdomain(nodeName)));
    }
  }
  if (nodeSelector) {
    given.push('`nodeSelector`');
    wrong.push(...validateNodeSelector(nodeSelector, path.child('nodeSelector')));
  }
  if (allNodes === true) given.push('`allNodes`');
  return given;
}

const notTrue = 'must be either unset or set to true';
const isFalse = (value: boolean | undefined, path: FieldPath): FieldError[] =>
  value === false ? [fieldErrors.invalid(path, false, notTrue)] : [];

function validatePlace(spec: ResourceSliceSpec, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  const given = givenPlaces(spec, 'must be either unset or set to a non-empty string', path, wrong);
  const terms = spec.nodeSelector?.nodeSelectorTerms ?? [];
  if (spec.nodeSelector && terms.length !== 1) {
    const at = path.child('nodeSelector', 'nodeSelectorTerms');
    wrong.push(fieldErrors.invalid(at, terms, 'must have exactly one node selector term'));
  }
  wrong.push(...isFalse(spec.allNodes, path.child('allNodes')));
  if (spec.perDeviceNodeSelection === true) given.push('`perDeviceNodeSelection`');
  wrong.push(...isFalse(spec.perDeviceNodeSelection, path.child('perDeviceNodeSelection')));
  const one = 'exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required';
  if (given.length === 0) wrong.push(fieldErrors.required(path, one));
  if (given.length > 1)
    wrong.push(fieldErrors.invalid(path, `{${given.join(', ')}}`, `${one}, but multiple fields are set`));
  return wrong;
}

/** Where a device is, which only slices say that leave it to their devices. */
function validateDevicePlace(device: Device, isPerDevice: boolean, path: FieldPath): FieldError[] {
  if (!isPerDevice) {
    if (device.nodeName == null && !device.nodeSelector && device.allNodes == null) return [];
    const why =
      '`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec';
    return [fieldErrors.invalid(path, null, why)];
  }
  const wrong: FieldError[] = [];
  const given = givenPlaces(device, 'must not be empty', path, wrong);
  wrong.push(...isFalse(device.allNodes, path.child('allNodes')));
  const one =
    'exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec';
  if (given.length === 0) wrong.push(fieldErrors.required(path, one));
  if (given.length > 1) wrong.push(fieldErrors.invalid(path, `{${given.join(', ')}}`, one));
  return wrong;
}

function validatePool(pool: ResourcePool | undefined, path: FieldPath): FieldError[] {
  const { name, generation = 0, resourceSliceCount = 0 } = pool ?? {};
  const wrong = validatePoolName(name, path.child('name'));
  const countAt = path.child('resourceSliceCount');
  if (resourceSliceCount <= 0)
    wrong.push(fieldErrors.invalid(countAt, resourceSliceCount, 'must be greater than zero'));
  const generationAt = path.child('generation');
  if (generation < 0)
    wrong.push(fieldErrors.invalid(generationAt, generation, 'must be greater than or equal to zero'));
  return wrong;
}

/** Counters under a name: what there is, or what a device takes of it. */
function validateCounters(
  name: string | undefined,
  namePath: FieldPath,
  counters: CounterSet['counters'] | undefined,
  path: FieldPath,
): FieldError[] {
  const wrong = name ? dns1123Label(name, namePath) : [fieldErrors.required(namePath)];
  if (Object.keys(counters ?? {}).length === 0) return [...wrong, fieldErrors.required(path)];
  const rules = { max: maxCounters, keyBytes: labelBytes, key: dns1123Label, value: () => [] };
  return [...wrong, ...validateMap(counters, path, rules)];
}

const validateCounterSet = ({ name, counters }: CounterSet, path: FieldPath): FieldError[] =>
  validateCounters(name, path.child('name'), counters, path.child('counters'));

const validateConsumption = (
  { counterSet, counters }: DeviceCounterConsumption,
  path: FieldPath,
): FieldError[] => validateCounters(counterSet, path.child('counterSet'), counters, path.child('counters'));

function validateCounts(device: Device, path: FieldPath): FieldError[] {
  const attributes = Object.values(device.attributes ?? {});
  const count = attributes.length + Object.keys(device.capacity ?? {}).length;
  const values = attributes.reduce((sum, attribute) => sum + valuesIn(attribute), 0);
  const most = (total: number, what: string, max: number): FieldError[] =>
    total <= max
      ? []
      : [fieldErrors.invalid(path, total, `the total number of ${what} must not exceed ${max}`)];
  return [
    ...most(count, 'attributes and capacities', maxAttributesAndCapacities),
    ...most(values, 'attribute values', maxAttributeValues),
  ];
}

function validateDevice(
  device: Device,
  old: Device | undefined,
  isPerDevice: boolean,
  path: FieldPath,
): FieldError[] {
  const isShared = device.allowMultipleAllocations === true;
  const named = { keyBytes: maxQualifiedNameBytes, key: validateQualifiedName };
  return [
    ...dns1123Label(device.name ?? '', path.child('name')),
    ...validateCounts(device, path),
    ...validateMap(device.attributes, path.child('attributes'), { ...named, value: validateAttribute }),
    ...validateMap(device.capacity, path.child('capacity'), {
      ...named,
      value: (capacity, at) => validateCapacity(capacity, isShared, at),
    }),
    ...(old && semanticallyEqual(old.taints, device.taints)
      ? []
      : validateItems(device.taints, path.child('taints'), maxTaints, (taint, at) =>
          validateTaint(taint, undefined, at),
        )),
    ...validateItems(
      device.consumesCounters,
      path.child('consumesCounters'),
      maxConsumptions,
      validateConsumption,
      ({ counterSet }) => counterSet ?? '',
    ),
    ...validateDevicePlace(device, isPerDevice, path),
    ...validateBinding(device, path),
  ];
}

const isAdvanced = ({ taints, consumesCounters }: Device): boolean =>
  (taints?.length ?? 0) > 0 || (consumesCounters?.length ?? 0) > 0;

/** All that is wrong with a slice, and with what it changes of `old`. */
export function validateSlice(slice: ResourceSlice, old?: ResourceSlice): FieldError[] {
  const spec = slice.spec ?? { driver: '', pool: { name: '', generation: 0, resourceSliceCount: 0 } };
  const before = old?.spec;
  const devices = spec.devices ?? [];
  const changed = before
    ? [
        ...immutable(spec.pool?.name, before.pool?.name, specPath.child('pool', 'name')),
        ...immutable(spec.driver, before.driver, specPath.child('driver')),
        ...immutable(spec.nodeName, before.nodeName, specPath.child('nodeName')),
      ]
    : [];
  return [
    ...validateCsiDriverName(spec.driver, specPath.child('driver')),
    ...validatePool(spec.pool, specPath.child('pool')),
    ...changed,
    ...validatePlace(spec, specPath),
    ...(spec.sharedCounters && spec.devices
      ? [fieldErrors.invalid(specPath, '', 'only one of `sharedCounters` or `devices` is allowed')]
      : []),
    ...validateItems(
      devices,
      specPath.child('devices'),
      devices.some(isAdvanced) ? maxAdvancedDevices : maxDevices,
      (device, at) =>
        validateDevice(
          device,
          before?.devices?.find(({ name }) => name === device.name),
          spec.perDeviceNodeSelection === true,
          at,
        ),
      ({ name }) => name ?? '',
    ),
    ...validateItems(
      spec.sharedCounters,
      specPath.child('sharedCounters'),
      maxCounterSets,
      validateCounterSet,
      ({ name }) => name ?? '',
    ),
  ];
}
