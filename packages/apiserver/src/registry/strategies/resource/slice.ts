/** ResourceSlice (upstream: pkg/registry/resource/resourceslice). */
import type { Device, ResourceSlice } from '@cloudless/kube/types/resource-v1';
import type { Strategy } from '../../strategy.ts';
import { ageColumn, ageOf, table, text } from '../table/table.ts';
import { defaultTaint } from './taints.ts';
import { validateSlice } from './validate-slice.ts';

const listed = ['bools', 'ints', 'strings', 'versions'] as const;

const attributesOf = (device: Device) => Object.values(device.attributes ?? {});
const hasLists = (slice: ResourceSlice | undefined): boolean =>
  slice?.spec?.devices?.some((device) =>
    attributesOf(device).some((attribute) => listed.some((name) => attribute[name] != null)),
  ) ?? false;
const hasMappings = (slice: ResourceSlice | undefined): boolean =>
  slice?.spec?.devices?.some(
    (device) => Object.keys(device.nodeAllocatableResourceMappings ?? {}).length > 0,
  ) ?? false;

/** Features that are off in 1.36 (DRAListTypeAttributes, DRANodeAllocatableResources), unless they were in use. */
function dropDisabled(slice: ResourceSlice, old: ResourceSlice | undefined): void {
  const keepsLists = hasLists(old);
  const keepsMappings = hasMappings(old);
  for (const device of slice.spec?.devices ?? []) {
    if (!keepsMappings) delete device.nodeAllocatableResourceMappings;
    if (keepsLists) continue;
    for (const attribute of attributesOf(device)) for (const name of listed) delete attribute[name];
  }
}

function prepare(nowMs: number, slice: ResourceSlice, old?: ResourceSlice): void {
  dropDisabled(slice, old);
  for (const device of slice.spec?.devices ?? [])
    for (const taint of device.taints ?? []) defaultTaint(taint, nowMs);
}

function warnings({ spec }: ResourceSlice): string[] {
  const driver = spec?.driver ?? '';
  if (driver === driver.toLowerCase()) return [];
  const name = JSON.stringify(driver);
  return [`spec.driver: driver names should be lowercase; ${name} contains uppercase characters`];
}

export const resourceSlice: Strategy<ResourceSlice> = {
  defaults(object) {
    for (const device of object.spec?.devices ?? [])
      for (const mapping of Object.values(device.nodeAllocatableResourceMappings ?? {}))
        mapping.allocationMultiplier ??= '1';
  },
  prepareForCreate: ({ nowMs }, object) => prepare(nowMs, object),
  prepareForUpdate: ({ nowMs }, object, old) => prepare(nowMs, object, old),
  validate: (_context, object) => validateSlice(object),
  validateUpdate: (_context, object, old) => validateSlice(object, old),
  warnings: (_context, object) => warnings(object),
  selectableFields: {
    'spec.nodeName': (object) => object.spec?.nodeName ?? '',
    'spec.driver': (object) => object.spec?.driver ?? '',
  },
  table: table<ResourceSlice>(
    [
      text('Node', 'Where the devices are.'),
      text('Driver', 'Whose they are.'),
      text('Pool', 'Their pool.'),
      ageColumn,
    ],
    (object, nowMs) => [
      object.spec?.nodeName ?? '',
      object.spec?.driver ?? '',
      object.spec?.pool?.name ?? '',
      ageOf(object, nowMs),
    ],
  ),
};
