import type { ManagedFieldsEntry } from '@cloudless/kube/types/meta-v1';
import { type FieldsV1, fromFieldsV1, toFieldsV1 } from '@cloudless/kube/structured-merge/fields-v1';
import { compareTexts } from '@cloudless/kube/structured-merge/value';
import type { ManagedSets, VersionedSet } from '@cloudless/kube/structured-merge/updater';
import { deepFreeze } from '../storage/codec.ts';
import { type Identity, identityText, readIdentity } from './identity.ts';

/** managedFields, decoded: sets and times by identity, with the entries that they came from. */
export interface Managed {
  readonly sets: ManagedSets;
  /** RFC 3339; absent: none. */
  readonly times: ReadonlyMap<string, string | undefined>;
  /** The entry of each set as it was decoded or encoded last. */
  readonly entries: ReadonlyMap<VersionedSet, ManagedFieldsEntry>;
}

export const noManaged: Managed = { sets: new Map(), times: new Map(), entries: new Map() };

/** managedFields that cannot be understood. */
export class ManagedFieldsError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ManagedFieldsError';
  }
}

/**
 * Decoded lists, by the list, which is frozen and shared with the cache: objects that are written again and again
 * (nodes, leases, pods that start) are decoded once. Bounded, for sets take a multiple of the memory of entries.
 */
const decoded = new Map<readonly ManagedFieldsEntry[], Managed>();
const maxDecoded = 500;

function remember(list: readonly ManagedFieldsEntry[], managed: Managed): void {
  if (decoded.size >= maxDecoded) {
    // The oldest: maps keep the order of insertion.
    for (const [oldest] of decoded) {
      decoded.delete(oldest);
      break;
    }
  }
  decoded.set(list, managed);
}

/** Throws ManagedFieldsError in upstream's words. */
export function decodeManaged(list: readonly ManagedFieldsEntry[] | undefined): Managed {
  if (!list || list.length === 0) return noManaged;
  let managed = decoded.get(list);
  if (!managed) {
    managed = decodeAll(list);
    // A list that may still change must not be taken for what it was.
    if (Object.isFrozen(list)) remember(list, managed);
  }
  return managed;
}

function decodeAll(list: readonly ManagedFieldsEntry[]): Managed {
  const sets = new Map<string, VersionedSet>();
  const times = new Map<string, string | undefined>();
  const entries = new Map<VersionedSet, ManagedFieldsEntry>();
  for (const [index, entry] of list.entries()) {
    const identity = identityOf(entry, index);
    const text = identityText(identity);
    const owned: VersionedSet = {
      set: setOf(entry, index),
      version: identity.apiVersion,
      applied: identity.operation === 'Apply',
    };
    sets.set(text, owned);
    times.set(text, entry.time);
    entries.set(owned, entry);
  }
  return { sets, times, entries };
}

function identityOf(entry: ManagedFieldsEntry, index: number): Identity {
  const { operation, apiVersion = '', fieldsType = '', manager = '', subresource = '' } = entry;
  if (operation !== 'Apply' && operation !== 'Update') {
    throw new ManagedFieldsError('operation must be `Apply` or `Update`');
  }
  if (apiVersion === '') throw new ManagedFieldsError('apiVersion must not be empty');
  if (fieldsType === '') {
    throw new ManagedFieldsError(`missing fieldsType in managed fields entry ${index}`);
  }
  if (fieldsType !== 'FieldsV1') {
    throw new ManagedFieldsError(
      `invalid fieldsType ${JSON.stringify(fieldsType)} in managed fields entry ${index}`,
    );
  }
  return { manager, operation, apiVersion, subresource };
}

function setOf(entry: ManagedFieldsEntry, index: number) {
  try {
    return fromFieldsV1(entry.fieldsV1);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ManagedFieldsError(
      `error decoding versioned set from managed fields entry ${index}: error decoding set: ${why}`,
    );
  }
}

/** Appliers first, each kind by time (whole seconds), then name, version, subresource. */
function compareEntries(a: ManagedFieldsEntry, b: ManagedFieldsEntry): number {
  return (
    compareTexts(a.operation ?? '', b.operation ?? '') ||
    secondsOf(a) - secondsOf(b) ||
    compareTexts(a.manager ?? '', b.manager ?? '') ||
    compareTexts(a.apiVersion ?? '', b.apiVersion ?? '') ||
    compareTexts(a.subresource ?? '', b.subresource ?? '')
  );
}

const secondsOf = ({ time }: ManagedFieldsEntry): number =>
  time === undefined ? 0 : Math.floor(Date.parse(time) / 1000);

/**
 * Trees by their text. Objects made from one template (pods of a set, nodes, leases) have the same fields, and each
 * tree is many times its text in memory.
 */
const shared = new Map<string, FieldsV1>();
const maxShared = 2_000;

function sharedFields(fields: FieldsV1): FieldsV1 {
  const text = JSON.stringify(fields);
  const known = shared.get(text);
  if (known) return known;
  if (shared.size >= maxShared) shared.clear();
  shared.set(text, deepFreeze(fields));
  return fields;
}

function encodeEntry(
  text: string,
  { set, version }: VersionedSet,
  time: string | undefined,
): ManagedFieldsEntry {
  const { manager, operation, subresource } = readIdentity(text);
  return {
    ...(manager === '' ? {} : { manager }),
    operation,
    apiVersion: version,
    ...(time === undefined ? {} : { time }),
    fieldsType: 'FieldsV1',
    fieldsV1: sharedFields(toFieldsV1(set)),
    ...(subresource === '' ? {} : { subresource }),
  };
}

/**
 * The list for metadata.managedFields, in upstream's order; undefined: nobody manages anything. Entries that did not
 * change are those of before, and so is the list (`before`) if none did. Frozen by whoever stores it.
 */
export function encodeManaged(
  { sets, times, entries }: Managed,
  before: readonly ManagedFieldsEntry[] | undefined,
): ManagedFieldsEntry[] | undefined {
  if (sets.size === 0) return undefined;
  const list: ManagedFieldsEntry[] = [];
  const bySet = new Map<VersionedSet, ManagedFieldsEntry>();
  for (const [text, owned] of sets) {
    const time = times.get(text);
    const known = entries.get(owned);
    const entry = known && known.time === time ? known : encodeEntry(text, owned, time);
    list.push(entry);
    bySet.set(owned, entry);
  }
  if (list.length > 1) list.sort(compareEntries);
  if (before && before.length === list.length && list.every((entry, i) => entry === before[i])) {
    return before as ManagedFieldsEntry[];
  }
  // What was only created may never be written again.
  if (before) remember(list, { sets, times, entries: bySet });
  return list;
}
