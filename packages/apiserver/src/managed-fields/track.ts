import type { KubeObject } from '@cloudless/kube/object';
import type { ManagedFieldsEntry } from '@cloudless/kube/types/meta-v1';
import type { Entry } from '../cache/entry.ts';
import type { WriteContext } from '../registry/context.ts';
import { convert } from '../registry/conversion.ts';
import type { Registry, StoredResource } from '../registry/registry.ts';
import { objectIn } from '../registry/view.ts';
import { cloneJson, equalJson } from '../storage/codec.ts';
import { decodeManaged, ManagedFieldsError } from './managed.ts';

/**
 * Gives what the write changes to its field manager. `object` is of the working version, and about to go through
 * admission, whose changes belong to nobody (as upstream).
 */
export function trackFields(
  registry: Registry,
  stored: StoredResource,
  context: WriteContext,
  object: KubeObject,
  old: Entry | undefined,
): void {
  const { served, subresource, fieldManager } = context;
  if (fieldManager === undefined) return;
  const { resource } = served;
  const working = stored.working(resource);
  const isWorking = resource.group === working.group && resource.version === working.version;
  const next = isWorking ? object : convert(cloneJson(object), working, resource);
  const live = old && objectIn(old, resource);
  setManagedFields(object, registry.fieldManagers.of(served, subresource).update(live, next, fieldManager));
}

export function setManagedFields(object: KubeObject, list: ManagedFieldsEntry[] | undefined): void {
  if (list === undefined) delete object.metadata.managedFields;
  else object.metadata.managedFields = list;
}

/** Puts managedFields back that admission left in a state that makes no sense, and says so. */
export function checkAdmittedFields(
  object: KubeObject,
  before: ManagedFieldsEntry[] | undefined,
  warn: (text: string) => void,
): void {
  const after = object.metadata.managedFields;
  if (after === before) return;
  try {
    decodeManaged(after);
  } catch (error) {
    if (!(error instanceof ManagedFieldsError)) throw error;
    setManagedFields(object, before);
    warn(
      `.metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating admission controller; please fix your requests: ${error.message}`,
    );
  }
}

/**
 * Takes the old times where nothing but times would change: such a write is none
 * (apiserver: IgnoreManagedFieldsTimestampsTransformer).
 */
export function keepTimes(object: KubeObject, old: KubeObject): void {
  const before = old.metadata.managedFields;
  const after = object.metadata.managedFields;
  if (!before || !after || before === after || before.length !== after.length) return;
  for (const [index, entry] of after.entries()) {
    const other = before[index];
    if (entry !== other && !equalJson({ ...entry, time: undefined }, { ...other, time: undefined })) return;
  }
  object.metadata.managedFields = before;
  if (!equalJson(object, old)) object.metadata.managedFields = after;
}
