import { fieldErrors, FieldPath, goQuote } from '@cloudless/kube/field';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { errors, StatusError } from '@cloudless/kube/status';
import { Entry } from '../cache/entry.ts';
import { checkAdmittedFields, keepTimes, setManagedFields, trackFields } from '../managed-fields/track.ts';
import { cloneJson, equalJson } from '../storage/codec.ts';
import { withConversions } from '../storage/conversion-needed.ts';
import { newTransaction, type Transaction } from '../storage/transaction.ts';
import { commitObject, raceLost } from './commit.ts';
import { maxRaces, type WriteContext } from './context.ts';
import { createObject, invalid } from './create.ts';
import { matchNamespace } from './metadata.ts';
import type { Registry, StoredResource } from './registry.ts';
import {
  allowsCreateOnUpdate,
  allowsUnconditionalUpdate,
  countsUpdates,
  finalizersLeft,
  rechecksNames,
  statusRestores,
  type StatusRestores,
} from './rules.ts';
import { nameRuleOf, takesAnyFinalizer, validateObjectMetaUpdate } from './validation/metadata.ts';
import { inStorage, objectIn, prepareViews } from './view.ts';

/** The new object from the stored one: owned by the update, of the storage version, defaulted. */
export type NewObject = (old: Entry) => KubeObject | Promise<KubeObject>;

export interface UpdateOptions {
  /** Gives the object to create when there is none and the kind allows it. */
  create?: () => KubeObject;
  /** Whether any kind allows that (apply). */
  forceCreate?: boolean;
  /** Whether the object comes of a patch: a uid in it is a change, where that of a PUT is a precondition. */
  isPatch?: boolean;
  /** Whether a lost race is tried again although the client gave a resourceVersion (a patch of the newest). */
  retryConflicts?: boolean;
}

/** Attempts of a patch that loses races (apiserver/pkg/endpoints/handlers/patch.go). */
const maxConflictRetries = 5;

/**
 * Updates an object (upstream: registry.Store.Update): preconditions, admission, strategy, validation, then one
 * transaction on the revision that all of it saw. An update that changes nothing writes nothing.
 */
export async function updateObject(
  registry: Registry,
  context: WriteContext,
  change: NewObject,
  options: UpdateOptions = {},
): Promise<{ entry: Entry; created: boolean }> {
  const stored = registry.open(context.served.resource);
  const { resource } = context.served;
  let old = await stored.read(context.namespace, context.name);
  let conflicts = 0;
  for (let races = 0; races < maxRaces; races++) {
    if (!old) {
      if (!options.create || !(options.forceCreate || allowsCreateOnUpdate(stored.resource)))
        throw errors.notFound(resource, context.name);
      return {
        entry: await createObject(registry, context, options.create, { anyVersion: true }),
        created: true,
      };
    }
    const before = await ready(old, stored.working(resource));
    const entry = old;
    const object = await withConversions(() => change(entry));
    await withConversions(() => trackFields(registry, stored, context, object, entry));
    const conditional = checkPreconditions(context, stored, object, old, options.isPatch === true);
    const transaction = newTransaction();
    await prepareUpdate(registry, stored, context, object, old, transaction);
    keepTimes(object, before);
    const { deletionGracePeriodSeconds, deletionTimestamp } = before.metadata;
    const ends =
      Boolean(deletionTimestamp) && !deletionGracePeriodSeconds && !finalizersLeft(stored.resource, object);
    const idle = !ends && transaction.writes.length === 0 && equalJson(object, before);
    if (idle && !(await stored.isStale(old))) return { entry: old, created: false };
    const settled = await inStorage(stored, resource, object);
    const outcome = await commitObject(registry, stored, {
      namespace: context.namespace,
      name: context.name,
      expected: old.revision,
      object: ends ? undefined : settled,
      old,
      transaction,
      dryRun: context.dryRun,
    });
    if (outcome.done) {
      return { entry: ends ? endedEntry(stored, old, settled) : outcome.entry, created: false };
    }
    if (outcome.lost === 'transaction') {
      old = await stored.read(context.namespace, context.name);
      continue;
    }
    if (!outcome.current) throw errors.notFound(resource, context.name);
    if (conditional && (!options.retryConflicts || ++conflicts >= maxConflictRetries)) {
      throw errors.modified(resource, context.name);
    }
    races--;
    old = outcome.current;
  }
  throw raceLost(resource, context.name);
}

/** The object in the version that the update works with. */
async function ready(entry: Entry, resource: Resource): Promise<KubeObject> {
  await prepareViews([entry], resource);
  return objectIn(entry, resource);
}

/** An object that went with this write, as the write left it. */
export function endedEntry(stored: StoredResource, old: Entry, object: KubeObject): Entry {
  const { key, namespace, name, revision } = old;
  return new Entry(stored.codec, { key, namespace, name, revision }, stored.codec.encode(object));
}

/** uid and resourceVersion that the client gave; whether it gave a resourceVersion. */
function checkPreconditions(
  context: WriteContext,
  stored: StoredResource,
  object: KubeObject,
  old: Entry,
  isPatch: boolean,
): boolean {
  const { metadata } = object;
  const { resource } = context.served;
  const current = old.object.metadata;
  if (!isPatch && metadata.uid && metadata.uid !== current.uid) {
    // What upstream's storage says; a dry run does not get as far as its prefix.
    const key = stored.keys.of(context.namespace, context.name);
    const shown = context.dryRun ? key.slice(stored.keys.prefixLength) : key;
    const reason = `Precondition failed: UID in precondition: ${metadata.uid}, UID in object meta: ${current.uid ?? ''}`;
    const why = `StorageError: invalid object, Code: 4, Key: ${shown}, ResourceVersion: 0, AdditionalErrorMsg: ${reason}`;
    throw errors.conflict(resource, context.name, why);
  }
  const given = (metadata.resourceVersion ?? '') !== '' && metadata.resourceVersion !== '0';
  if (given) {
    if (!/^\d+$/.test(metadata.resourceVersion as string)) {
      const text = goQuote(metadata.resourceVersion as string);
      throw new StatusError(500, '', `strconv.ParseUint: parsing ${text}: invalid syntax`);
    }
    if (metadata.resourceVersion !== current.resourceVersion) throw errors.modified(resource, context.name);
    return true;
  }
  if (stored.custom || !allowsUnconditionalUpdate(stored.resource)) {
    const path = FieldPath.of('metadata', 'resourceVersion');
    throw errors.invalid({ group: resource.group, kind: resource.plural }, context.name, [
      fieldErrors.invalid(path, 0, 'must be specified for an update'),
    ]);
  }
  metadata.resourceVersion = current.resourceVersion as string;
  return false;
}

async function prepareUpdate(
  registry: Registry,
  stored: StoredResource,
  context: WriteContext,
  object: KubeObject,
  entry: Entry,
  transaction: Transaction,
): Promise<void> {
  const strategy = stored.strategyOf(context.served.resource);
  const old = objectIn(entry, stored.working(context.served.resource));
  const { metadata } = object;
  matchNamespace(metadata, stored.resource, context.namespace);
  const request = registry.admissionRequest(context, 'UPDATE', { object, old, transaction });
  const tracked = metadata.managedFields;
  if (!context.admitted) await registry.admit(request);
  checkAdmittedFields(object, tracked, (text) => context.warn(text));
  const { managedFields } = object.metadata;
  scopeToSubresource(context, stored, object, old);
  carrySystemFields(object, old);
  setManagedFields(object, managedFields);
  const strategyContext = registry.strategyContext(context);
  strategy.dropDisabledFields?.(object);
  strategy.prepareForUpdate?.(strategyContext, object, old);
  if (countsUpdates(stored.resource)) bumpGeneration(object, old);
  await strategy.allocate?.(strategyContext, { object, old, transaction });
  const status = context.subresource === 'status' && strategy.validateStatusUpdate !== undefined;
  const ofStrategy = status
    ? strategy.validateStatusUpdate?.(strategyContext, object, old)
    : strategy.validateUpdate?.(strategyContext, object, old);
  const found = [
    ...validateObjectMetaUpdate(object.metadata, old.metadata, {
      prefix:
        !stored.custom && rechecksNames(stored.resource, context.subresource)
          ? nameRuleOf(stored.resource)
          : undefined,
      anyFinalizer: takesAnyFinalizer(stored.resource, stored.custom !== undefined),
    }),
    ...(ofStrategy ?? []),
  ];
  if (found.length > 0) throw invalid(stored, context.name, found);
  // What is reported is written by machines: upstream's status strategies warn of nothing.
  const texts = context.subresource === 'status' ? [] : strategy.warnings?.(strategyContext, object, old);
  for (const text of texts ?? []) context.warn(text);
  strategy.canonicalize?.(object);
  if (!context.admitted) await registry.validate(request);
}

type Parts = KubeObject & { status?: unknown; spec?: Record<string, unknown> };

/** Takes over the old object's metadata, or some of its fields. */
function restoreMetadata(object: Parts, old: Parts, restores: StatusRestores): void {
  if (restores === 'all') {
    object.metadata = { ...cloneJson(old.metadata), resourceVersion: object.metadata.resourceVersion };
    return;
  }
  object.metadata = { ...object.metadata };
  for (const field of restores) {
    if (old.metadata[field] === undefined) delete object.metadata[field];
    else Object.assign(object.metadata, { [field]: cloneJson(old.metadata[field]) });
  }
}

/** Leaves of the new object what this (sub)resource may change, and takes the rest from the old one. */
function scopeToSubresource(context: WriteContext, stored: StoredResource, object: Parts, old: Parts): void {
  const restore = (): void => {
    const { metadata, status } = object;
    for (const key in object) delete (object as unknown as Record<string, unknown>)[key];
    Object.assign(object, cloneJson(old), { metadata });
    if (status !== undefined) object.status = status;
    else delete object.status;
  };
  switch (context.subresource) {
    case 'binding':
      return;
    case '':
    case 'scale':
      if (!context.served.subresources.has('status')) return;
      if (old.status === undefined) delete object.status;
      else object.status = cloneJson(old.status);
      return;
    case 'status':
    case 'approval':
      restore();
      restoreMetadata(object, old, stored.custom ? 'all' : statusRestores(stored.resource));
      return;
    case 'finalize': {
      const finalizers = object.spec?.['finalizers'];
      restore();
      object.status = cloneJson(old.status);
      object.spec = { ...object.spec, finalizers };
      if (finalizers === undefined) delete object.spec['finalizers'];
      return;
    }
    case 'ephemeralcontainers': {
      const added = object.spec?.['ephemeralContainers'];
      restore();
      object.status = cloneJson(old.status);
      object.metadata = { ...cloneJson(old.metadata), resourceVersion: object.metadata.resourceVersion };
      if (added !== undefined) object.spec = { ...object.spec, ephemeralContainers: added };
      return;
    }
    case 'resize': {
      const wanted = object.spec;
      restore();
      object.status = cloneJson(old.status);
      object.metadata = { ...cloneJson(old.metadata), resourceVersion: object.metadata.resourceVersion };
      takeResources(object.spec, wanted);
      return;
    }
  }
}

/** `pods/resize` changes containers' resources and resize policy, and nothing else. */
function takeResources(
  spec: Record<string, unknown> | undefined,
  wanted: Record<string, unknown> | undefined,
): void {
  type Container = { name: string; resources?: unknown; resizePolicy?: unknown };
  for (const list of ['containers', 'initContainers']) {
    const from = new Map(
      ((wanted?.[list] as Container[] | undefined) ?? []).map((each) => [each.name, each]),
    );
    for (const container of (spec?.[list] as Container[] | undefined) ?? []) {
      const source = from.get(container.name);
      if (source?.resources !== undefined) container.resources = source.resources;
      if (source?.resizePolicy !== undefined) container.resizePolicy = source.resizePolicy;
    }
  }
}

/** What an update can neither set nor remove. */
function carrySystemFields(object: KubeObject, old: KubeObject): void {
  const { metadata } = object;
  const before = old.metadata;
  metadata.uid ??= before.uid;
  if (metadata.uid === '') metadata.uid = before.uid;
  metadata.name ||= before.name;
  if (before.creationTimestamp) metadata.creationTimestamp = before.creationTimestamp;
  else delete metadata.creationTimestamp;
  if (before.deletionTimestamp) metadata.deletionTimestamp = before.deletionTimestamp;
  if (before.deletionGracePeriodSeconds !== undefined) {
    metadata.deletionGracePeriodSeconds ??= before.deletionGracePeriodSeconds;
  }
  if (before.generation === undefined) delete metadata.generation;
  else metadata.generation = before.generation;
  delete metadata.selfLink;
}

/** Generation counts changes of everything but metadata and status. */
function bumpGeneration(object: KubeObject, old: KubeObject): void {
  const { metadata: _m, status: _s, apiVersion: _a, kind: _k, ...after } = object as Parts;
  const { metadata: _om, status: _os, apiVersion: _oa, kind: _ok, ...before } = old as Parts;
  if (!equalJson(after, before)) object.metadata.generation = (old.metadata.generation ?? 0) + 1;
}
