import type { ManagedFieldsEntry } from '@cloudless/kube/types/meta-v1';
import { fieldElement, type PathElement } from '@cloudless/kube/structured-merge/path-element';
import { PathSet } from '@cloudless/kube/structured-merge/path-set';
import type { VersionedSet } from '@cloudless/kube/structured-merge/updater';
import { decodeManaged, encodeManaged } from './managed.ts';

/** Where a kind keeps its replicas, by version; versions without a scale subresource have none. */
export type ReplicasPaths = ReadonlyMap<string, readonly string[] | undefined>;

const scaleVersion = 'autoscaling/v1';
const replicas = ['spec', 'replicas'].map(fieldElement);
const ofReplicas = PathSet.of(['spec', 'replicas']);

/** Who manages `spec.replicas` of the Scale, from who manages the replicas of the object. */
export function scaleManagedFields(
  parent: readonly ManagedFieldsEntry[] | undefined,
  paths: ReplicasPaths,
): ManagedFieldsEntry[] | undefined {
  const { sets, times } = decodeManaged(parent);
  const scale = new Map<string, VersionedSet>();
  for (const [identity, { set, version, applied }] of sets) {
    const path = paths.get(version)?.map(fieldElement);
    if (path && set.has(path)) scale.set(identity, { set: ofReplicas, version: scaleVersion, applied });
  }
  return encodeManaged({ sets: scale, times, entries: new Map() }, undefined);
}

/**
 * Who manages what of the object after its Scale was written: whoever lost the replicas of the Scale loses them
 * here, and whoever came to own them does so in `version` (apimachinery: managedfields/scalehandler.go).
 */
export function parentManagedFields(
  parent: readonly ManagedFieldsEntry[] | undefined,
  scale: readonly ManagedFieldsEntry[] | undefined,
  version: string,
  paths: ReplicasPaths,
): ManagedFieldsEntry[] | undefined {
  const before = decodeManaged(parent);
  const left = new Map(decodeManaged(scale).sets);
  const sets = new Map<string, VersionedSet>();
  const times = new Map<string, string | undefined>();
  for (const [identity, owned] of before.sets) {
    // Of a version that is served no more.
    if (!paths.has(owned.version)) continue;
    const path: readonly PathElement[] | undefined = paths.get(owned.version)?.map(fieldElement);
    let kept = owned;
    if (path && owned.set.has(path)) {
      if (left.has(identity)) left.delete(identity);
      else kept = { ...owned, set: owned.set.difference(pathSet(path)) };
    }
    if (kept.set.isEmpty) continue;
    sets.set(identity, kept);
    times.set(identity, before.times.get(identity));
  }
  const path = paths.get(version)?.map(fieldElement);
  for (const [identity, { set, applied }] of left) {
    if (!path || !set.has(replicas)) continue;
    sets.set(identity, { set: pathSet(path), version, applied });
    times.set(identity, before.times.get(identity));
  }
  // Identities here are of two versions: once written, they are to be read anew. An updater that had the replicas
  // gets a second entry by it, as upstream's does.
  return encodeManaged({ sets, times, entries: before.entries }, undefined);
}

function pathSet(path: readonly PathElement[]): PathSet {
  const set = new PathSet();
  set.addPath(path);
  return set;
}
