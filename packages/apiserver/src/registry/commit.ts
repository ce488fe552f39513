import type { KubeObject, Resource } from '@cloudless/kube/object';
import { errors } from '@cloudless/kube/status';
import { Entry } from '../cache/entry.ts';
import { commit, holds, type KeyWrite } from '../storage/commit.ts';
import { freezeInterned } from '../storage/intern.ts';
import type { AuxiliaryWrite, Transaction } from '../storage/transaction.ts';
import { convert } from './conversion.ts';
import { fillSystemFields } from './metadata.ts';
import type { Registry, StoredResource } from './registry.ts';

/** What became of a write: done, or what stood in its way. */
export type Outcome =
  | { done: true; entry: Entry }
  /** The object is not at the expected revision; `current` is what stands there. */
  | { done: false; lost: 'object'; current: Entry | undefined }
  /** A condition of the transaction's further writes does not hold. */
  | { done: false; lost: 'transaction' };

interface Prepared {
  stored: StoredResource;
  write: KeyWrite;
  object: KubeObject | undefined;
}

const revisionOf = (text: string | undefined): number => Number(text ?? 0);

/** Prepares the write of an allocation or quota: system fields, defaults, encoding. */
function prepareAuxiliary(registry: Registry, auxiliary: AuxiliaryWrite): Prepared {
  const stored = registry.open(auxiliary.resource);
  if (auxiliary.type === 'delete' || auxiliary.type === 'require') {
    const key = stored.keys.of(auxiliary.namespace, auxiliary.name);
    const expected = auxiliary.resourceVersion === undefined ? 'any' : revisionOf(auxiliary.resourceVersion);
    return {
      stored,
      write: { key, expected, value: auxiliary.type === 'require' ? null : undefined },
      object: undefined,
    };
  }
  const resource: Resource = auxiliary.resource;
  const object = convert(auxiliary.object, resource, stored.resource);
  const { metadata } = object;
  let expected = 0;
  if (auxiliary.type === 'create') {
    fillSystemFields(metadata, registry.parts.clock.nowMs());
    registry.parts.defaultsOf(stored.resource)(object);
  } else expected = revisionOf(metadata.resourceVersion);
  const key = stored.keys.of(metadata.namespace ?? '', metadata.name ?? '');
  return {
    stored,
    write: { key, expected, value: stored.codec.encode(object) },
    object: freezeInterned(object),
  };
}

/**
 * Writes the object (`undefined`: deletes it) and the transaction's further writes at one revision, if the object
 * is still at `expected` (0: absent). `object` is frozen. With `dryRun` nothing is written.
 */
export async function commitObject(
  registry: Registry,
  stored: StoredResource,
  change: {
    namespace: string;
    name: string;
    expected: number;
    object: KubeObject | undefined;
    /** Of a deletion: what is deleted, for the answer. */
    old?: Entry;
    transaction: Transaction;
    dryRun: boolean;
  },
): Promise<Outcome> {
  const key = stored.keys.of(change.namespace, change.name);
  const value = change.object && stored.codec.encode(change.object);
  const at = { key, namespace: change.namespace, name: change.name };
  if (change.dryRun) {
    const revision = change.expected;
    const entry =
      change.object && value
        ? new Entry(stored.codec, { ...at, revision }, value, freezeInterned(change.object))
        : (change.old as Entry);
    return { done: true, entry };
  }
  const main: Prepared = {
    stored,
    write: { key, expected: change.expected, value },
    object: change.object && freezeInterned(change.object),
  };
  if (value && stored.resource.kind === 'Event') main.write.lease = await registry.eventLeases.next();
  const all = [main, ...change.transaction.writes.map((write) => prepareAuxiliary(registry, write))];
  const result = await commitAll(registry, all);
  if (result.committed) {
    const { revision } = result;
    if (!main.object || !value) return { done: true, entry: (change.old as Entry).at(revision) };
    const cached = stored.startedCache?.get(change.namespace, change.name);
    if (cached?.revision === revision) return { done: true, entry: cached };
    return {
      done: true,
      entry: new Entry(stored.codec, { ...at, revision }, value, main.object),
    };
  }
  const [current] = result.current;
  if (!holds(main.write, current)) {
    return { done: false, lost: 'object', current: current && stored.entryOf(current) };
  }
  return { done: false, lost: 'transaction' };
}

async function commitAll(registry: Registry, all: readonly Prepared[]) {
  for (const { stored, write, object } of all) {
    if (write.value && object) stored.startedCache?.expect(write.key, write.value, object);
  }
  const forget = (): void => {
    for (const { stored, write } of all)
      if (write.value) stored.startedCache?.unexpect(write.key, write.value);
  };
  try {
    const result = await commit(
      registry.parts.store,
      all.map(({ write }) => write),
    );
    if (!result.committed) forget();
    return result;
  } catch (error) {
    forget();
    throw error;
  }
}

/** A write gave up after too many lost races for what it allocates. */
export const raceLost = (resource: Resource, name: string): Error =>
  errors.conflict(
    resource,
    name,
    'further objects that this change depends on (allocated addresses, quota) kept changing; please try again',
  );
