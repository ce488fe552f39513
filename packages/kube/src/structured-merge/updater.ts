/**
 * Who owns which fields, before and after a write (structured-merge-diff v6, merge/update.go). Pure: objects are
 * plain JSON and not changed, managers are opaque names.
 */
import { type Comparison, compareObjects } from './compare.ts';
import { ConflictError } from './conflict.ts';
import { mergeObjects } from './merge.ts';
import type { MergeType } from './merge-type.ts';
import { PathSet } from './path-set.ts';
import { reconcileSet } from './reconcile.ts';
import { removeItems } from './remove.ts';
import { toFieldSet } from './to-field-set.ts';
import { equalValues } from './value.ts';

/** An object of one version, with the type that it merges by. */
export interface TypedObject {
  readonly version: string;
  readonly type: MergeType;
  readonly value: unknown;
}

/** What one manager owns, in the version that it last wrote. */
export interface VersionedSet {
  readonly set: PathSet;
  readonly version: string;
  /** By apply; otherwise by update. */
  readonly applied: boolean;
}

export type ManagedSets = ReadonlyMap<string, VersionedSet>;

/** Takes paths out of a set that the request cannot set. */
export type SetFilter = (set: PathSet) => PathSet;

export interface UpdaterParts {
  /** The object in another version; undefined: that version is not known any more. */
  convert(object: TypedObject, version: string): TypedObject | undefined;
  /** Of a version; undefined: every path counts. */
  filterOf(version: string): SetFilter | undefined;
}

export interface Applied {
  /** Undefined: nothing changed. */
  readonly object: TypedObject | undefined;
  readonly managers: ManagedSets;
}

export class Updater {
  readonly #parts: UpdaterParts;
  /** Sets that were found to fit a type; those of objects that are written often are asked about again and again. */
  readonly #fitting = new WeakMap<VersionedSet, MergeType>();

  constructor(parts: UpdaterParts) {
    this.#parts = parts;
  }

  /**
   * After an object was written whole (create, update, patch): what changed belongs to `manager`, and to nobody else
   * any more. `live` is the object before, an empty one for a create. Sets that did not change are the same objects.
   */
  update(live: TypedObject, next: TypedObject, managers: ManagedSets, manager: string): ManagedSets {
    const { version } = next;
    const reconciled = this.#reconciled(live, managers);
    const { left, comparison } = this.#disown(live, next, reconciled, manager, true);
    const before = left.get(manager)?.set ?? PathSet.empty;
    const changed = before.difference(comparison.removed).union(comparison.modified).union(comparison.added);
    const filter = this.#parts.filterOf(version);
    const set = filter ? filter(changed) : changed;
    if (set.isEmpty) left.delete(manager);
    else left.set(manager, { set, version, applied: false });
    return left;
  }

  /**
   * Merges `config`, all that `manager` wants, into the object. What it wanted before and does not any more goes,
   * unless somebody else owns it. Throws ConflictError where it would change what others own, unless `force`, and
   * MergeTypeError.
   */
  apply(
    live: TypedObject,
    config: TypedObject,
    managers: ManagedSets,
    manager: string,
    force: boolean,
  ): Applied {
    const { version, type } = config;
    const sets = new Map(this.#reconciled(live, managers));
    const last = sets.get(manager);
    const merged: TypedObject = { version, type, value: mergeObjects(type, live.value, config.value) };
    const wanted = toFieldSet(type, config.value);
    const filter = this.#parts.filterOf(version);
    sets.set(manager, { set: filter ? filter(wanted) : wanted, version, applied: true });
    const next = this.#prune(merged, sets, version, last);
    const { left } = this.#disown(live, next, sets, manager, force);
    const object = equalValues(live.value, next.value) ? undefined : next;
    return { object, managers: left };
  }

  #reconciled(live: TypedObject, managers: ManagedSets): ManagedSets {
    const result = new Map<string, VersionedSet>();
    const types = new Map<string, MergeType | undefined>([[live.version, live.type]]);
    for (const [manager, owned] of managers) {
      if (!types.has(owned.version)) types.set(owned.version, this.#parts.convert(live, owned.version)?.type);
      const type = types.get(owned.version);
      // Sets of versions that are gone go with them.
      if (!type) continue;
      result.set(manager, this.#fit(owned, type));
    }
    return result;
  }

  #fit(owned: VersionedSet, type: MergeType): VersionedSet {
    if (this.#fitting.get(owned) === type) return owned;
    const set = reconcileSet(type, owned.set);
    const fitting = set === owned.set ? owned : { ...owned, set };
    this.#fitting.set(fitting, type);
    return fitting;
  }

  /** Takes from the other managers what changed, or refuses to. */
  #disown(
    live: TypedObject,
    next: TypedObject,
    managers: ManagedSets,
    manager: string,
    force: boolean,
  ): { left: Map<string, VersionedSet>; comparison: Comparison } {
    const comparison = this.#compare(live, next);
    const byVersion = new Map<string, Comparison | undefined>([[next.version, comparison]]);
    const left = new Map<string, VersionedSet>();
    const unchanged = comparison.removed.isEmpty && comparison.modified.isEmpty && comparison.added.isEmpty;
    const conflicts = new Map<string, VersionedSet>();
    for (const [name, owned] of managers) {
      if (name === manager) {
        if (!owned.set.isEmpty) left.set(name, owned);
        continue;
      }
      const { version } = owned;
      if (!byVersion.has(version)) byVersion.set(version, this.#compareIn(version, live, next));
      const changes = byVersion.get(version);
      if (!changes) continue;
      if (unchanged && version === next.version) {
        if (!owned.set.isEmpty) left.set(name, owned);
        continue;
      }
      const taken = owned.set.intersection(changes.modified.union(changes.added));
      if (!taken.isEmpty) conflicts.set(name, { ...owned, set: taken });
      const set = owned.set.difference(taken).difference(changes.removed);
      if (!set.isEmpty) left.set(name, set === owned.set ? owned : { ...owned, set });
    }
    if (!force && conflicts.size > 0) throw ConflictError.of(conflicts);
    return { left, comparison };
  }

  #compareIn(version: string, live: TypedObject, next: TypedObject): Comparison | undefined {
    const before = this.#parts.convert(live, version);
    const after = before && this.#parts.convert(next, version);
    return after && this.#compare(before, after);
  }

  #compare(live: TypedObject, next: TypedObject): Comparison {
    const { removed, modified, added } = compareObjects(next.type, live.value, next.value);
    const filter = this.#parts.filterOf(next.version);
    if (!filter) return { removed, modified, added };
    return { removed: filter(removed), modified: filter(modified), added: filter(added) };
  }

  /**
   * Takes out of the merged object what the manager applied last time and not now, unless another one owns it, or
   * it is owned in the new configuration.
   */
  #prune(
    merged: TypedObject,
    managers: ManagedSets,
    version: string,
    last: VersionedSet | undefined,
  ): TypedObject {
    if (!last || last.set.isEmpty) return merged;
    const before = this.#parts.convert(merged, last.version);
    if (!before) return merged;
    const { type } = before;
    const mine = last.set.withNamedFields(type);
    const removed = { ...before, value: removeItems(type, before.value, mine) };
    const owned = this.#withOwned(before, removed, managers);
    // Only what this manager owned may go: items that others put beside, unowned, stay.
    const present = (object: TypedObject): PathSet =>
      toFieldSet(object.type, object.value).withNamedFields(type);
    const current = this.#parts.convert(owned, last.version);
    if (!current) return merged;
    const dangling = present(before).difference(present(current)).intersection(mine);
    const pruned = { ...before, value: removeItems(type, before.value, dangling) };
    return this.#parts.convert(pruned, version) ?? merged;
  }

  /** `pruned` with what any manager owns put back, in each manager's version. */
  #withOwned(merged: TypedObject, pruned: TypedObject, managers: ManagedSets): TypedObject {
    const byVersion = new Map<string, PathSet>([[pruned.version, PathSet.empty]]);
    for (const { version, set } of managers.values()) {
      byVersion.set(version, (byVersion.get(version) ?? PathSet.empty).union(set));
    }
    let result = pruned;
    // The version at hand first: conversion to others may need what it puts back.
    for (const [version, owned] of byVersion) {
      if (owned.isEmpty) continue;
      const whole = this.#parts.convert(merged, version);
      const part = whole && this.#parts.convert(result, version);
      if (!part) continue;
      const { type } = whole;
      const named = (set: PathSet): PathSet => set.withNamedFields(type);
      const kept = named(toFieldSet(type, part.value)).union(named(owned));
      const gone = named(toFieldSet(type, whole.value)).difference(kept);
      result = { ...whole, value: removeItems(type, whole.value, gone) };
    }
    return result;
  }
}
