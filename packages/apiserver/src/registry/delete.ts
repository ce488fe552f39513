import type { KubeObject, Resource } from '@cloudless/kube/object';
import { errors, isNotFound } from '@cloudless/kube/status';
import type { DeleteOptions } from '@cloudless/kube/types/meta-v1';
import type { Entry } from '../cache/entry.ts';
import { cloneJson, equalJson } from '../storage/codec.ts';
import { newTransaction } from '../storage/transaction.ts';
import { commitObject, raceLost } from './commit.ts';
import { maxRaces, type WriteContext } from './context.ts';
import { type ListParameters, type ListResult, listObjects } from './list.ts';
import { timestamp } from './metadata.ts';
import type { Registry, StoredResource } from './registry.ts';
import { defaultPropagation, finalizersLeft } from './rules.ts';
import { selectionOf } from './selection.ts';
import { endedEntry } from './update.ts';
import { validateDeleteOptions } from './validation/metadata.ts';
import { objectIn, prepareViews } from './view.ts';

/** `gone`: the key is deleted; otherwise finalizers or grace are pending and `entry` says so. */
export interface Deletion {
  gone: boolean;
  entry: Entry;
}

const orphanFinalizer = 'orphan';
const foregroundFinalizer = 'foregroundDeletion';

/** Throws 422 as upstream's ValidateDeleteOptions. */
function checkDeleteOptions(options: DeleteOptions): void {
  const wrong = validateDeleteOptions(options);
  if (wrong.length > 0) throw errors.invalid({ group: 'meta.k8s.io', kind: 'DeleteOptions' }, '', wrong);
}

/** The finalizers an object gets for the garbage collector (deletionFinalizersForGarbageCollection). */
function collectorFinalizers(stored: StoredResource, object: KubeObject, options: DeleteOptions): string[] {
  const finalizers = object.metadata.finalizers ?? [];
  const policy = defaultPropagation(stored.resource);
  if (policy === 'unsupported')
    return finalizers.filter((name) => name !== orphanFinalizer && name !== foregroundFinalizer);
  let wanted: string | undefined;
  if (options.orphanDependents !== undefined) wanted = options.orphanDependents ? orphanFinalizer : undefined;
  else if (options.propagationPolicy === 'Orphan') wanted = orphanFinalizer;
  else if (options.propagationPolicy === 'Foreground') wanted = foregroundFinalizer;
  else if (options.propagationPolicy === 'Background') wanted = undefined;
  else if (finalizers.includes(orphanFinalizer)) wanted = orphanFinalizer;
  else if (finalizers.includes(foregroundFinalizer)) wanted = foregroundFinalizer;
  else if (policy === 'orphan') wanted = orphanFinalizer;
  const rest = finalizers.filter((name) => name !== orphanFinalizer && name !== foregroundFinalizer);
  return wanted === undefined ? rest : [...rest, wanted];
}

/** Kinds whose storage judges preconditions itself, before the common one does. */
const checksItself: ReadonlySet<string> = new Set([
  '/Namespace',
  'apiextensions.k8s.io/CustomResourceDefinition',
]);

function checkOwnPreconditions(resource: Resource, { metadata }: KubeObject, options: DeleteOptions): void {
  const { uid, resourceVersion } = options.preconditions ?? {};
  const refuse = (what: string, given: string, real: string | undefined): never => {
    const why = `Precondition failed: ${what} in precondition: ${given}, ${what} in object meta: ${real ?? ''}`;
    throw errors.conflict(resource, metadata.name ?? '', why);
  };
  if (uid != null && uid !== metadata.uid) refuse('UID', uid, metadata.uid);
  if (resourceVersion != null && resourceVersion !== metadata.resourceVersion)
    refuse('ResourceVersion', resourceVersion, metadata.resourceVersion);
}

function checkPreconditions(stored: StoredResource, object: KubeObject, options: DeleteOptions): void {
  const { preconditions } = options;
  const { group, kind } = stored.resource;
  const { uid, resourceVersion, name = '' } = object.metadata;
  if (checksItself.has(`${group}/${kind}`)) return checkOwnPreconditions(stored.resource, object, options);
  const resource = { group, plural: kind };
  if (preconditions?.uid !== undefined && preconditions.uid !== uid) {
    const why = `the UID in the precondition (${preconditions.uid}) does not match the UID in record (${uid ?? ''}). The object might have been deleted and then recreated`;
    throw errors.conflict(resource, name, why);
  }
  if (preconditions?.resourceVersion !== undefined && preconditions.resourceVersion !== resourceVersion) {
    const why = `the ResourceVersion in the precondition (${preconditions.resourceVersion}) does not match the ResourceVersion in record (${resourceVersion ?? ''}). The object might have been modified`;
    throw errors.conflict(resource, name, why);
  }
}

const orphansText =
  'child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning';

/** Jobs are the kind whose dependents stay unless the deletion says so. */
function warnOfOrphans(context: WriteContext, options: DeleteOptions): void {
  const { resource } = context.served;
  const isSaid = options.propagationPolicy != null || options.orphanDependents != null;
  if (!isSaid && resource.kind === 'Job' && defaultPropagation(resource) === 'orphan')
    context.warn(orphansText);
}

type Plan =
  | { type: 'remove'; last?: KubeObject }
  | { type: 'pending' }
  | { type: 'mark'; object: KubeObject };

/** What a deletion does to the object as it stands (rest.BeforeDelete, updateForGracefulDeletionAndFinalizers). */
function planDeletion(stored: StoredResource, old: KubeObject, options: DeleteOptions, nowMs: number): Plan {
  const graceful = planGrace(stored, old, options, nowMs);
  if (graceful === 'pending') return { type: 'pending' };
  const finalizers = collectorFinalizers(stored, old, options);
  const object = cloneJson(old);
  if (finalizers.length > 0) object.metadata.finalizers = finalizers;
  else delete object.metadata.finalizers;
  const { beginDeletion } = stored.strategyOf(stored.resource);
  const begins = beginDeletion !== undefined && !old.metadata.deletionTimestamp;
  if (begins) {
    beginDeletion(object, nowMs);
    // Upstream's storage marks these itself, and neither counts that as a change nor gives it grace.
    object.metadata.deletionTimestamp = timestamp(nowMs);
    return { type: 'mark', object };
  }
  if (isNamespace(stored) && contentFinalizers(object).length > 0) {
    // Its own storage marks it, without grace, and lets it be until the content is gone.
    if (old.metadata.deletionTimestamp) return { type: 'pending' };
    object.metadata.deletionTimestamp = timestamp(nowMs);
    terminate(object);
    return { type: 'mark', object };
  }
  const held = finalizersLeft(stored.resource, object);
  if (graceful && graceful.seconds > 0) {
    markDeleted(object, old, graceful.deletionMs, graceful.seconds);
    return { type: 'mark', object };
  }
  if (!held) {
    if (!graceful || old.metadata.deletionTimestamp) return { type: 'remove' };
    // What the answer shows of an object that had no grace, and no watch ever sees.
    markDeleted(object, old, nowMs, 0);
    return { type: 'remove', last: object };
  }
  const before = old.metadata.deletionTimestamp;
  const deletionMs = before && Date.parse(before) <= nowMs ? Date.parse(before) : nowMs;
  markDeleted(object, old, deletionMs, 0);
  if (isNamespace(stored)) terminate(object);
  return { type: 'mark', object };
}

const isNamespace = ({ resource }: StoredResource): boolean =>
  resource.kind === 'Namespace' && resource.group === '';
const contentFinalizers = (object: KubeObject): readonly string[] =>
  (object as KubeObject & { spec?: { finalizers?: string[] } }).spec?.finalizers ?? [];

function terminate(namespace: KubeObject & { status?: Record<string, unknown> }): void {
  namespace.status = { ...namespace.status, phase: 'Terminating' };
}

function markDeleted(object: KubeObject, old: KubeObject, deletionMs: number, seconds: number): void {
  const { metadata } = object;
  metadata.deletionTimestamp = timestamp(deletionMs);
  metadata.deletionGracePeriodSeconds = seconds;
  if (!old.metadata.deletionTimestamp && (metadata.generation ?? 0) > 0) {
    metadata.generation = (metadata.generation ?? 0) + 1;
  }
}

/** Grace of kinds that have it (pods); `pending`: already being deleted, and not faster now. */
function planGrace(
  stored: StoredResource,
  old: KubeObject,
  options: DeleteOptions,
  nowMs: number,
): 'pending' | { seconds: number; deletionMs: number } | undefined {
  const strategy = stored.strategyOf(stored.resource);
  if (!strategy.gracePeriodSeconds) return undefined;
  // Negative values count as one second.
  const asked = options.gracePeriodSeconds;
  const requested = asked !== undefined && asked < 0 ? 1 : asked;
  const { deletionTimestamp, deletionGracePeriodSeconds } = old.metadata;
  if (!deletionTimestamp) {
    const seconds = strategy.gracePeriodSeconds(old, requested);
    return { seconds, deletionMs: nowMs + seconds * 1_000 };
  }
  const current = deletionGracePeriodSeconds ?? 0;
  if (current === 0) return undefined;
  if (requested === undefined || requested >= current) return 'pending';
  let deletionMs = Date.parse(deletionTimestamp) - current * 1_000 + requested * 1_000;
  let seconds = requested;
  if (deletionMs < nowMs) {
    deletionMs = nowMs;
    // The grace asked for is over, but whoever ends the object must still see the change.
    if (seconds !== 0) seconds = 1;
  }
  return { seconds, deletionMs };
}

/**
 * Deletes an object, or marks it deleted while finalizers or grace hold it. Throws 404, 409 for preconditions that
 * do not hold.
 */
export async function deleteObject(
  registry: Registry,
  context: WriteContext,
  options: DeleteOptions,
): Promise<Deletion> {
  checkDeleteOptions(options);
  warnOfOrphans(context, options);
  const stored = registry.open(context.served.resource);
  const { resource } = context.served;
  const { namespace, name } = context;
  let old = await stored.read(namespace, name);
  for (let races = 0; races < maxRaces; races++) {
    if (!old) throw errors.notFound(resource, name);
    await prepareViews([old], stored.resource);
    const before = objectIn(old, stored.resource);
    checkPreconditions(stored, before, options);
    const transaction = newTransaction();
    const request = registry.admissionRequest(context, 'DELETE', {
      object: undefined,
      old: before,
      transaction,
    });
    if (!context.admitted) await registry.admit(request);
    if (!context.admitted) await registry.validate(request);
    const plan = planDeletion(stored, before, options, registry.parts.clock.nowMs());
    if (plan.type === 'pending') return { gone: false, entry: old };
    const object = plan.type === 'mark' ? plan.object : undefined;
    if (object && equalJson(object, before)) return { gone: false, entry: old };
    if (!object) {
      const strategyContext = registry.strategyContext(context);
      await stored
        .strategyOf(stored.resource)
        .allocate?.(strategyContext, { object: undefined, old: before, transaction });
    }
    const outcome = await commitObject(registry, stored, {
      namespace,
      name,
      expected: old.revision,
      object,
      old,
      transaction,
      dryRun: context.dryRun,
    });
    if (outcome.done) {
      const { entry } = outcome;
      const last = plan.type === 'remove' ? plan.last : undefined;
      return { gone: object === undefined, entry: last ? endedEntry(stored, entry, last) : entry };
    }
    if (outcome.lost === 'object') {
      races--;
      old = outcome.current;
    } else old = await stored.read(namespace, name);
  }
  throw raceLost(resource, name);
}

/** Objects deleted at a time by a deletecollection. */
const deletionWorkers = 8;

/**
 * Deletes every object a list would give, and gives that list; not atomic. Objects already gone are no error; after
 * another error no further deletion begins.
 */
export async function deleteCollection(
  registry: Registry,
  context: WriteContext,
  parameters: ListParameters,
  options: DeleteOptions,
): Promise<ListResult> {
  checkDeleteOptions(options);
  // Selectors are judged before anybody is warned, versions after.
  selectionOf(context.served.resource, registry.open(context.served.resource), parameters);
  warnOfOrphans(context, options);
  const list = await listObjects(registry, context.served, parameters);
  const waiting = list.entries.values();
  let failed = false;
  const work = async (): Promise<void> => {
    for (const { namespace, name } of waiting) {
      if (failed) return;
      try {
        // oxlint-disable-next-line no-await-in-loop -- as many at a time as there are workers
        await deleteObject(registry, { ...context, namespace, name }, options);
      } catch (error) {
        if (isNotFound(error)) continue;
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: deletionWorkers }, work));
  return list;
}
