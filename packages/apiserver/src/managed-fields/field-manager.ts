/**
 * The field manager of one resource or subresource in one version: what apimachinery/pkg/util/managedfields puts
 * together as a chain, in one class each way. Objects are plain JSON of the version, and are not changed.
 */
import type { KubeObject } from '@cloudless/kube/object';
import { errors, StatusError } from '@cloudless/kube/status';
import { ConflictError } from '@cloudless/kube/structured-merge/conflict';
import type { MergeType } from '@cloudless/kube/structured-merge/merge-type';
import { PathSet } from '@cloudless/kube/structured-merge/path-set';
import {
  type TypedObject,
  Updater,
  type UpdaterParts,
  type VersionedSet,
} from '@cloudless/kube/structured-merge/updater';
import { MergeTypeError } from '@cloudless/kube/structured-merge/validation-error';
import { validateValue } from '@cloudless/kube/structured-merge/validate';
import type { ManagedFieldsEntry } from '@cloudless/kube/types/meta-v1';
import { equalJson } from '../storage/codec.ts';
import { capUpdaters } from './cap-updaters.ts';
import { applyConflict } from './conflict-status.ts';
import { identityText, type ManagedOperation } from './identity.ts';
import { allowedByLastApplied, withLastApplied } from './last-applied.ts';
import { decodeManaged, encodeManaged, type Managed, ManagedFieldsError, noManaged } from './managed.ts';

export interface FieldManagerParts extends UpdaterParts {
  readonly apiVersion: string;
  readonly kind: string;
  /** `apps/v1, Kind=Deployment`: as Go prints the kind. */
  readonly shownKind: string;
  readonly subresource: string;
  readonly type: MergeType;
  /** An object of which nothing is set, as Go writes one. Frozen. */
  readonly empty: KubeObject;
  /** RFC 3339, whole seconds. */
  now(): string;
}

/** Never owned by anybody. */
const neverOwned = PathSet.of(
  ['apiVersion'],
  ['kind'],
  ['metadata'],
  ...[
    'name',
    'namespace',
    'creationTimestamp',
    'selfLink',
    'uid',
    'clusterName',
    'generation',
    'managedFields',
    'resourceVersion',
  ].map((name) => ['metadata', name]),
);

/** The manager of an update while it runs, so that its changes can be told from what it owned before. */
const self = 'current-operation';
const beforeFirstApply = 'before-first-apply';
/** The manager of `kubectl apply --server-side`, which takes over from client-side apply. */
const kubectl = 'kubectl';

export interface AppliedObject {
  /** Without managedFields; may share parts with the live object. */
  readonly object: KubeObject;
  readonly managedFields: ManagedFieldsEntry[] | undefined;
}

/** A list that is empty, or has one empty entry: the client wants everything forgotten. */
function isReset(given: readonly ManagedFieldsEntry[] | undefined): boolean {
  if (!given) return false;
  const [only] = given;
  return given.length === 0 || (given.length === 1 && only !== undefined && Object.keys(only).length === 0);
}

/** The object without managedFields, sharing all else. */
export function withoutManagedFields(object: KubeObject): KubeObject {
  if (!object.metadata || object.metadata.managedFields === undefined) return object;
  const { managedFields: _fields, ...metadata } = object.metadata;
  return { ...object, metadata };
}

export class FieldManager {
  readonly #parts: FieldManagerParts;
  readonly #updater: Updater;

  constructor(parts: FieldManagerParts) {
    this.#parts = parts;
    this.#updater = new Updater(parts);
  }

  #typed(object: KubeObject): TypedObject {
    return { version: this.#parts.apiVersion, type: this.#parts.type, value: object };
  }

  #identity(manager: string, operation: ManagedOperation): string {
    const { apiVersion, subresource } = this.#parts;
    return identityText({
      manager: manager === '' ? 'unknown' : manager,
      operation,
      apiVersion,
      subresource,
    });
  }

  /**
   * managedFields of `next` after an update by `manager`; `live`: the object before, undefined for a create. Never
   * fails: an object that cannot be told apart goes untracked, as upstream does it.
   */
  update(live: KubeObject | undefined, next: KubeObject, manager: string): ManagedFieldsEntry[] | undefined {
    const before = live?.metadata.managedFields;
    try {
      const managed = this.#decodeLiveOrNew(before, next.metadata.managedFields);
      // Objects from before tracking stay untracked until somebody applies them.
      if (live && managed.sets.size === 0) return undefined;
      return encodeManaged(this.#updated(live ?? this.#parts.empty, next, managed, manager), before);
    } catch {
      return undefined;
    }
  }

  /** What the client sends back counts, if it makes sense: so may managers be changed. Not through subresources. */
  #decodeLiveOrNew(
    live: readonly ManagedFieldsEntry[] | undefined,
    given: readonly ManagedFieldsEntry[] | undefined,
  ): Managed {
    // Most clients send back what they got.
    if (this.#parts.subresource === '' && given !== undefined && !equalJson(given, live)) {
      if (isReset(given)) return noManaged;
      const managed = decodeOrNone(given);
      if (managed.sets.size > 0) return managed;
    }
    return decodeOrNone(live);
  }

  #updated(live: KubeObject, next: KubeObject, managed: Managed, manager: string): Managed {
    const object = withoutManagedFields(next);
    const sets = new Map(
      this.#updater.update(this.#typed(withoutManagedFields(live)), this.#typed(object), managed.sets, self),
    );
    const changed = sets.get(self);
    sets.delete(self);
    const set = changed?.set.difference(neverOwned);
    if (!changed || !set || set.isEmpty) return { ...managed, sets };
    const identity = this.#identity(manager, 'Update');
    const previous = sets.get(identity);
    sets.set(identity, { ...changed, set: previous ? set.union(previous.set) : set });
    const times = new Map(managed.times).set(identity, this.#parts.now());
    return capUpdaters({ sets, times, entries: managed.entries });
  }

  /**
   * Merges what `manager` applies into the object; `live` undefined: there is none yet. Throws StatusError: 409 with
   * every conflict, 400 for what cannot be applied, 500 (upstream's code) for fields that do not fit the schema.
   */
  apply(live: KubeObject | undefined, patch: KubeObject, manager: string, force: boolean): AppliedObject {
    this.#check(patch);
    try {
      return this.#apply(live ?? this.#parts.empty, patch, manager, force);
    } catch (error) {
      if (error instanceof ConflictError) throw applyConflict(error.conflicts);
      if (error instanceof MergeTypeError) throw plain(error.message);
      if (error instanceof ManagedFieldsError)
        throw plain(`failed to decode managed fields: ${error.message}`);
      throw error;
    }
  }

  #check(patch: KubeObject): void {
    const { apiVersion, kind } = this.#parts;
    if (patch.apiVersion !== apiVersion || patch.kind !== kind) {
      throw errors.badRequest(`invalid object type: ${shownKind(patch)}`);
    }
    const given: unknown = patch.metadata?.managedFields;
    if (given !== undefined && given !== null) {
      throw errors.badRequest('metadata.managedFields must be nil');
    }
    this.#validate(patch, 'patch', false);
  }

  #validate(object: KubeObject, what: 'patch' | 'live', allowDuplicates: boolean): void {
    try {
      validateValue(this.#parts.type, object, allowDuplicates);
    } catch (error) {
      const { name, namespace } = object.metadata ?? {};
      const shown = `${textOr(namespace)}/${textOr(name)}`;
      const why = error instanceof Error ? error.message : String(error);
      throw plain(`failed to create typed ${what} object (${shown}; ${this.#parts.shownKind}): ${why}`);
    }
  }

  #apply(liveObject: KubeObject, patch: KubeObject, manager: string, force: boolean): AppliedObject {
    const live = withoutManagedFields(liveObject);
    this.#validate(live, 'live', true);
    let managed = decodeManaged(liveObject.metadata.managedFields);
    if (managed.sets.size === 0) managed = this.#updated(this.#parts.empty, live, managed, beforeFirstApply);
    const identity = this.#identity(manager, 'Apply');
    const run = (forced: boolean) =>
      this.#updater.apply(this.#typed(live), this.#typed(patch), managed.sets, identity, forced);
    let applied: ReturnType<typeof run>;
    try {
      applied = run(force);
    } catch (error) {
      if (!(error instanceof ConflictError) || manager !== kubectl) throw error;
      const left = allowedByLastApplied(this.#typed(live), error.conflicts);
      if (left.length > 0) throw new ConflictError(left);
      applied = run(true);
    }
    const sets = new Map(applied.managers);
    stripApplied(sets, identity);
    const times = applied.object ? new Map(managed.times).set(identity, this.#parts.now()) : managed.times;
    let object = (applied.object?.value ?? live) as KubeObject;
    if (manager === kubectl) object = withLastApplied(object, patch);
    const managedFields = encodeManaged(
      { sets, times, entries: managed.entries },
      liveObject.metadata.managedFields,
    );
    return { object, managedFields };
  }
}

function decodeOrNone(list: readonly ManagedFieldsEntry[] | undefined): Managed {
  try {
    return decodeManaged(list);
  } catch (error) {
    if (error instanceof ManagedFieldsError) return noManaged;
    throw error;
  }
}

function stripApplied(sets: Map<string, VersionedSet>, identity: string): void {
  const owned = sets.get(identity);
  if (!owned) return;
  const set = owned.set.difference(neverOwned);
  if (set.isEmpty) sets.delete(identity);
  else sets.set(identity, { ...owned, set });
}

const textOr = (value: unknown): string => (typeof value === 'string' ? value : '');

/** An error without a reason, as upstream answers what it did not foresee. */
const plain = (message: string): StatusError => new StatusError(500, '', message);

function shownKind({ apiVersion = '', kind = '' }: KubeObject): string {
  return `${apiVersion.includes('/') ? apiVersion : `/${apiVersion}`}, Kind=${kind}`;
}
