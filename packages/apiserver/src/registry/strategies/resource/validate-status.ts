/** What allocates a ResourceClaim and what drivers report of its devices (upstream: pkg/apis/resource/validation). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type {
  AllocatedDeviceStatus,
  AllocationResult,
  DeviceAllocationConfiguration,
  DeviceRequestAllocationResult,
  NetworkDeviceData,
  ResourceClaim,
  ResourceClaimConsumerReference,
} from '@cloudless/kube/types/resource-v1';
import { validateInterfaceAddress } from '../../validation/addresses.ts';
import { dns1123Label, immutable, oneOf, required } from '../../validation/fields.ts';
import { validateConditions } from '../../validation/metadata.ts';
import { validateNodeSelector } from '../pod/validate-scheduling.ts';
import { validateCsiDriverName } from '../pod/validate-remote-volumes.ts';
import { validateItems, validatePoolName, validateUuid } from './names.ts';
import { validateBinding } from './taints.ts';
import {
  maxConfigs,
  requestNames,
  validateJsonObject,
  validateOpaque,
  validateReference,
  validateReferences,
} from './validate-devices.ts';

const maxReservations = 256;
const maxResults = 32;
const maxConditions = 8;
const maxInterfaceNameBytes = 256;
const maxHardwareAddressBytes = 128;
const maxAddresses = 16;
const statusPath = FieldPath.of('status');

interface Allocated {
  driver: string;
  pool: string;
  device: string;
  shareID?: string;
}

/** One device, or one share of it. */
const idOf = ({ driver = '', pool = '', device = '', shareID = '' }: Partial<Allocated>): object => ({
  Driver: driver,
  Pool: pool,
  Device: device,
  ShareID: shareID,
});
const keyOf = (device: Partial<Allocated>): string => JSON.stringify(idOf(device));

const allocatedKeys = (claim: ResourceClaim): Set<string> =>
  new Set((claim.status?.allocation?.devices?.results ?? []).map(keyOf));

/** Drops what is reported of devices that this update takes away from the claim. */
export function dropDeallocated(claim: ResourceClaim, old: ResourceClaim): void {
  const { status } = claim;
  if (!status?.devices) return;
  const kept = allocatedKeys(claim);
  const gone = allocatedKeys(old);
  status.devices = status.devices.filter((device) => kept.has(keyOf(device)) || !gone.has(keyOf(device)));
  if (status.devices.length === 0) delete status.devices;
}

const validateConsumer = (
  { resource, name, uid }: ResourceClaimConsumerReference,
  path: FieldPath,
): FieldError[] => [
  ...required(resource, path.child('resource')),
  ...required(name, path.child('name')),
  ...required(uid, path.child('uid')),
];

function validateNetwork(network: NetworkDeviceData | undefined, path: FieldPath): FieldError[] {
  const { interfaceName = '', hardwareAddress = '', ips } = network ?? {};
  const short = (text: string, max: number, at: FieldPath): FieldError[] =>
    Buffer.byteLength(text) > max ? [fieldErrors.tooLong(at, max)] : [];
  return [
    ...short(interfaceName, maxInterfaceNameBytes, path.child('interfaceName')),
    ...short(hardwareAddress, maxHardwareAddressBytes, path.child('hardwareAddress')),
    ...validateItems(ips, path.child('ips'), maxAddresses, validateInterfaceAddress, (ip) => ip),
  ];
}

function validateDevice(
  device: AllocatedDeviceStatus,
  path: FieldPath,
  allocated: ReadonlySet<string>,
): FieldError[] {
  const { driver, pool, device: name, shareID, conditions, networkData } = device;
  const { data } = device as { data?: unknown };
  const conditionsAt = path.child('conditions');
  const count = conditions?.length ?? 0;
  return [
    ...validateCsiDriverName(driver, path.child('driver')),
    ...validatePoolName(pool, path.child('pool')),
    ...dns1123Label(name, path.child('device')),
    ...(shareID == null ? [] : validateUuid(shareID, path.child('shareID'))),
    ...(allocated.has(keyOf(device))
      ? []
      : [fieldErrors.invalid(path, idOf(device), 'must be an allocated device in the claim')]),
    ...(count > maxConditions ? [fieldErrors.tooMany(conditionsAt, count, maxConditions)] : []),
    ...validateConditions(conditions, conditionsAt),
    ...(data == null ? [] : validateJsonObject(data, path.child('data'))),
    ...validateNetwork(networkData, path.child('networkData')),
  ];
}

function validateResult(
  result: DeviceRequestAllocationResult,
  path: FieldPath,
  names: ReadonlySet<string>,
): FieldError[] {
  return [
    ...validateReference(result.request ?? '', path.child('request'), names),
    ...validateCsiDriverName(result.driver, path.child('driver')),
    ...validatePoolName(result.pool, path.child('pool')),
    ...dns1123Label(result.device ?? '', path.child('device')),
    ...validateBinding(result, path),
    ...(result.shareID == null ? [] : validateUuid(result.shareID, path.child('shareID'))),
  ];
}

const validateConfig = (
  config: DeviceAllocationConfiguration,
  path: FieldPath,
  names: ReadonlySet<string>,
): FieldError[] => [
  ...oneOf(config.source, ['FromClaim', 'FromClass'], path.child('source')),
  ...validateReferences(config.requests, path.child('requests'), names),
  ...validateOpaque(config.opaque, path.child('opaque')),
];

function validateAllocation(
  { devices, nodeSelector }: AllocationResult,
  path: FieldPath,
  names: ReadonlySet<string>,
): FieldError[] {
  const at = path.child('devices');
  return [
    ...validateItems(devices?.results, at.child('results'), maxResults, (one, each) =>
      validateResult(one, each, names),
    ),
    // As many from the class as from the claim.
    ...validateItems(devices?.config, at.child('config'), 2 * maxConfigs, (one, each) =>
      validateConfig(one, each, names),
    ),
    ...(nodeSelector ? validateNodeSelector(nodeSelector, path.child('nodeSelector')) : []),
  ];
}

function validateReservations(claim: ResourceClaim, old: ResourceClaim): FieldError[] {
  const reservedFor = claim.status?.reservedFor ?? [];
  const at = statusPath.child('reservedFor');
  if (reservedFor.length === 0) return [];
  if (!claim.status?.allocation)
    return [fieldErrors.forbidden(at, 'may not be specified when `allocated` is not set')];
  if (!claim.metadata.deletionTimestamp) return [];
  const consumer = ({ apiGroup = '', resource, name, uid }: ResourceClaimConsumerReference): string =>
    JSON.stringify([apiGroup, resource, name, uid]);
  const before = new Set((old.status?.reservedFor ?? []).map(consumer));
  if (reservedFor.every((each) => before.has(consumer(each)))) return [];
  const why = 'new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set';
  return [fieldErrors.forbidden(at, why)];
}

/** A new status; an allocation that was there stays as it is. */
export function validateClaimStatus(claim: ResourceClaim, old: ResourceClaim): FieldError[] {
  const { allocation, reservedFor, devices = [] } = claim.status ?? {};
  const names = requestNames(claim.spec?.devices ?? {});
  const allocated = allocatedKeys(claim);
  const allocationAt = statusPath.child('allocation');
  const devicesAt = statusPath.child('devices');
  const keys = devices.map(keyOf);
  return [
    ...validateItems(
      reservedFor,
      statusPath.child('reservedFor'),
      maxReservations,
      validateConsumer,
      ({ uid }) => uid ?? '',
    ),
    ...devices.flatMap((device, i) => validateDevice(device, devicesAt.index(i), allocated)),
    ...devices.flatMap((device, i) =>
      keys.indexOf(keys[i] as string) < i ? [fieldErrors.duplicate(devicesAt.index(i), idOf(device))] : [],
    ),
    ...validateReservations(claim, old),
    ...(!allocation
      ? []
      : old.status?.allocation
        ? immutable(allocation, old.status.allocation, allocationAt)
        : validateAllocation(allocation, allocationAt, names)),
  ];
}
