import type { KubeClient } from '@cloudless/kube/client/client';
import type { ObjectMeta, OwnerReference } from '@cloudless/kube/types/meta-v1';
import { type KubeObject, type Resource, apiVersionOf } from '@cloudless/kube/object';
import type { Selector } from '@cloudless/kube/selector/selector';
import { errors, isInvalid, isNotFound } from '@cloudless/kube/status';

/** The reference of the one owner that controls an object (upstream: metav1.GetControllerOf). */
export function controllerOf(object: { metadata: ObjectMeta }): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((reference) => reference.controller === true);
}

/** A reference by which `owner` controls another object (upstream: metav1.NewControllerRef). */
export function controllerReference(
  resource: { group: string; version: string; kind: string },
  owner: { metadata: ObjectMeta },
): OwnerReference {
  return {
    apiVersion: apiVersionOf(resource),
    kind: resource.kind,
    name: owner.metadata.name ?? '',
    uid: owner.metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
}

/** Index by which objects are found by the UID of their controller; `''` holds those without. */
export const controllerUidIndex = 'controllerUid';

/** Indexes objects by their controller's UID, orphans by their namespace. */
export function controllerUid(object: KubeObject): string[] {
  const uid = controllerOf(object)?.uid;
  return [uid ?? orphansIn(object.metadata.namespace)];
}

/** The index value of orphans in a namespace. */
export function orphansIn(namespace: string | undefined): string {
  return `orphans/${namespace ?? ''}`;
}

export interface ClaimOptions<O extends KubeObject, T extends KubeObject> {
  client: KubeClient;
  ownerResource: Resource<O>;
  owner: O;
  selector: Selector;
  resource: Resource<T>;
  /** Objects the owner may take besides matching its selector. */
  accepts?: (object: T) => boolean;
  signal?: AbortSignal;
}

/**
 * Of `candidates` (those the owner controls, and orphans of its namespace), the ones that belong to it. Orphans
 * that match its selector are adopted, controlled objects that match no longer are released (upstream:
 * controller_ref_manager.go). Before the first adoption the owner is read live, so that a deleted owner adopts
 * nothing.
 */
export async function claim<O extends KubeObject, T extends KubeObject>(
  options: ClaimOptions<O, T>,
  candidates: readonly T[],
): Promise<T[]> {
  const { owner, selector } = options;
  const claimed: T[] = [];
  let mayAdopt: Promise<void> | undefined;
  for (const object of candidates) {
    const controller = controllerOf(object);
    const matches = selector.matches(object.metadata.labels) && (options.accepts?.(object) ?? true);
    if (controller) {
      if (controller.uid !== owner.metadata.uid) continue;
      if (matches) claimed.push(object);
      else if (owner.metadata.deletionTimestamp === undefined) await release(options, object);
      continue;
    }
    if (!matches || owner.metadata.deletionTimestamp !== undefined) continue;
    if (object.metadata.deletionTimestamp !== undefined) continue;
    await (mayAdopt ??= checkOwner(options));
    const adopted = await adopt(options, object);
    if (adopted) claimed.push(adopted);
  }
  return claimed;
}

async function checkOwner<O extends KubeObject, T extends KubeObject>(
  options: ClaimOptions<O, T>,
): Promise<void> {
  const { client, owner, ownerResource, signal } = options;
  const { namespace, name = '' } = owner.metadata;
  const live = await client.get(ownerResource, name, { namespace, signal });
  if (live.metadata.uid !== owner.metadata.uid) {
    throw errors.conflict(ownerResource, name, `original ${ownerResource.kind} is gone: got another UID`);
  }
  if (live.metadata.deletionTimestamp !== undefined) {
    throw errors.conflict(ownerResource, name, `${ownerResource.kind} has just been deleted`);
  }
}

async function adopt<O extends KubeObject, T extends KubeObject>(
  options: ClaimOptions<O, T>,
  object: T,
): Promise<T | undefined> {
  const { namespace, name = '', uid, ownerReferences = [] } = object.metadata;
  const reference = controllerReference(options.ownerResource, options.owner);
  return write(
    options,
    object,
    {
      metadata: {
        uid,
        resourceVersion: object.metadata.resourceVersion,
        ownerReferences: [...ownerReferences.filter((other) => other.uid !== reference.uid), reference],
      },
    },
    name,
    namespace,
  );
}

async function release<O extends KubeObject, T extends KubeObject>(
  options: ClaimOptions<O, T>,
  object: T,
): Promise<void> {
  const { namespace, name = '', uid, ownerReferences = [] } = object.metadata;
  const rest = ownerReferences.filter((other) => other.uid !== options.owner.metadata.uid);
  await write(
    options,
    object,
    {
      metadata: {
        uid,
        resourceVersion: object.metadata.resourceVersion,
        ownerReferences: rest.length === 0 ? null : rest,
      },
    },
    name,
    namespace,
  );
}

/** A merge patch bound to the object's version: ownership is never decided on stale sight. */
async function write<O extends KubeObject, T extends KubeObject>(
  options: ClaimOptions<O, T>,
  _object: T,
  patch: unknown,
  name: string,
  namespace: string | undefined,
): Promise<T | undefined> {
  try {
    return await options.client.patch(options.resource, name, 'merge', patch, {
      namespace,
      signal: options.signal,
    });
  } catch (error) {
    // Gone, or has been given another controller meanwhile: nothing to claim.
    if (isNotFound(error) || isInvalid(error)) return undefined;
    throw error;
  }
}
