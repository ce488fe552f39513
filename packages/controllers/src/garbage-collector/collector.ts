import type { KubeClient } from '@cloudless/kube/client/client';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { isConflict, isNotFound } from '@cloudless/kube/status';
import type { ObjectMeta, OwnerReference } from '@cloudless/kube/types/meta-v1';
import { semanticEqual } from '../runtime/compare.ts';
import { type GraphNode, type OwnerGraph, foregroundFinalizer, orphanFinalizer } from './graph.ts';

/** A reference whose kind the server does not serve: it may yet. */
export class UnknownKindError extends Error {
  constructor(reference: OwnerReference) {
    super(`unable to get REST mapping for ${reference.apiVersion}/${reference.kind}.`);
    this.name = 'UnknownKindError';
  }
}

/** The resource of an owner reference's kind, or undefined when it is not served. */
export type FindKind = (apiVersion: string, kind: string) => Resource | undefined;

/** Owners known to be absent; as many as upstream keeps. */
const maxAbsent = 500;
const maxConflicts = 5;

interface Classified {
  /** The owner is there. */
  solid: OwnerReference[];
  /** There is no such owner. */
  dangling: OwnerReference[];
  /** The owner is there and waits for its dependents to go. */
  waiting: OwnerReference[];
}

/**
 * Deletes what has no owner left, and orphans what its owner leaves (upstream: garbagecollector/garbagecollector.go).
 * The graph only says what to look at: each decision is made on the live object and its live owners.
 */
export class Collector {
  readonly #client: KubeClient;
  readonly #graph: OwnerGraph;
  readonly #findKind: FindKind;
  readonly #absent = new Set<string>();
  readonly #requeue: (uid: string) => void;

  constructor(client: KubeClient, graph: OwnerGraph, findKind: FindKind, requeue: (uid: string) => void) {
    this.#client = client;
    this.#graph = graph;
    this.#findKind = findKind;
    this.#requeue = requeue;
  }

  async attemptToDelete(uid: string, signal: AbortSignal): Promise<void> {
    const node = this.#graph.get(uid);
    if (!node) return;
    // Deletion is a one-way trip: its end will come as an event.
    if (node.beingDeleted && !node.deletingDependents) return;
    const live = await this.#live(node, signal);
    if (!live) {
      this.#graph.remove(uid);
      return;
    }
    if (node.deletingDependents) {
      await this.#finishForeground(node, signal);
      return;
    }
    const references = live.metadata.ownerReferences ?? [];
    if (references.length === 0) return;
    const owners = await this.#classify(node, references, signal);
    if (!owners) return;
    if (owners.solid.length > 0) {
      const gone = [...owners.dangling, ...owners.waiting];
      if (gone.length > 0) await this.#dropOwners(node, live, gone, signal);
    } else if (owners.waiting.length > 0 && this.#graph.dependents(uid).length > 0) {
      await this.#deleteForeground(node, live, signal);
    } else {
      await this.#delete(node, live, policyOf(live.metadata), signal);
    }
  }

  /** Takes the object out of its dependents' references, and lets it go. */
  async attemptToOrphan(uid: string, signal: AbortSignal): Promise<void> {
    const node = this.#graph.get(uid);
    if (!node) return;
    await Promise.all(
      this.#graph.dependents(uid).map(async (dependent) => {
        const live = await this.#live(dependent, signal);
        const references = live?.metadata.ownerReferences?.filter((one) => one.uid === uid) ?? [];
        if (live && references.length > 0) await this.#dropOwners(dependent, live, references, signal);
      }),
    );
    await this.#removeFinalizer(node, orphanFinalizer, signal);
  }

  async #live(node: GraphNode, signal: AbortSignal): Promise<KubeObject | undefined> {
    try {
      const live = await this.#client.get(node.resource, node.name, { namespace: node.namespace, signal });
      return live.metadata.uid === node.uid ? live : undefined;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** Undefined when a reference can never be right, so that trying again is in vain. */
  async #classify(
    node: GraphNode,
    references: readonly OwnerReference[],
    signal: AbortSignal,
  ): Promise<Classified | undefined> {
    const result: Classified = { solid: [], dangling: [], waiting: [] };
    for (const reference of references) {
      const key = (namespace: string): string =>
        [reference.apiVersion, reference.kind, reference.name, reference.uid, namespace].join(' ');
      if (this.#absent.has(key('')) || this.#absent.has(key(node.namespace))) {
        result.dangling.push(reference);
        continue;
      }
      const resource = this.#findKind(reference.apiVersion, reference.kind);
      if (!resource) throw new UnknownKindError(reference);
      // A cluster-scoped object cannot have a namespaced owner: nothing is decided on such a reference.
      if (resource.namespaced && node.namespace === '') return undefined;
      const namespace = resource.namespaced ? node.namespace : '';
      const owner = await this.#owner(resource, reference, namespace, signal);
      if (!owner) {
        this.#noteAbsent(key(namespace));
        result.dangling.push(reference);
      } else if (
        owner.metadata.deletionTimestamp !== undefined &&
        owner.metadata.finalizers?.includes(foregroundFinalizer)
      ) {
        result.waiting.push(reference);
      } else result.solid.push(reference);
    }
    return result;
  }

  async #owner(
    resource: Resource,
    reference: OwnerReference,
    namespace: string,
    signal: AbortSignal,
  ): Promise<KubeObject | undefined> {
    try {
      const owner = await this.#client.get(resource, reference.name, { namespace, signal });
      return owner.metadata.uid === reference.uid ? owner : undefined;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** A UID never comes again: once absent, always absent. */
  #noteAbsent(key: string): void {
    this.#absent.add(key);
    if (this.#absent.size <= maxAbsent) return;
    for (const oldest of this.#absent) {
      this.#absent.delete(oldest);
      return;
    }
  }

  async #finishForeground(node: GraphNode, signal: AbortSignal): Promise<void> {
    const blocking = this.#graph.blockingDependents(node.uid);
    if (blocking.length === 0) {
      await this.#removeFinalizer(node, foregroundFinalizer, signal);
      return;
    }
    for (const dependent of blocking) if (!dependent.deletingDependents) this.#requeue(dependent.uid);
  }

  async #deleteForeground(node: GraphNode, live: KubeObject, signal: AbortSignal): Promise<void> {
    let latest: KubeObject | undefined = live;
    const cycle = this.#graph.dependents(node.uid).some((dependent) => dependent.deletingDependents);
    if (cycle) {
      // It may be among its own owners' owners: if it blocked them, all would wait for each other.
      const ownerReferences = (live.metadata.ownerReferences ?? []).map((one) => ({
        ...one,
        blockOwnerDeletion: false,
      }));
      latest = await this.#patch(node, live, { ownerReferences }, signal);
    }
    if (latest) await this.#delete(node, latest, 'Foreground', signal);
  }

  async #delete(
    node: GraphNode,
    live: KubeObject,
    propagationPolicy: 'Background' | 'Foreground' | 'Orphan',
    signal: AbortSignal,
  ): Promise<void> {
    let latest = live;
    for (let conflicts = 0; ; conflicts++) {
      const { resourceVersion } = latest.metadata;
      try {
        await this.#client.delete(node.resource, node.name, {
          namespace: node.namespace,
          propagationPolicy,
          preconditions: { uid: node.uid, ...(resourceVersion === undefined ? {} : { resourceVersion }) },
          signal,
        });
        return;
      } catch (error) {
        if (isNotFound(error)) {
          this.#graph.remove(node.uid);
          return;
        }
        if (!isConflict(error) || conflicts >= maxConflicts) throw error;
      }
      // It changed since its owners were judged: go on only if they are the same.
      const again = await this.#live(node, signal);
      if (!again) continue;
      if (!semanticEqual(again.metadata.ownerReferences, live.metadata.ownerReferences)) {
        this.#requeue(node.uid);
        return;
      }
      latest = again;
    }
  }

  async #dropOwners(
    node: GraphNode,
    live: KubeObject,
    gone: readonly OwnerReference[],
    signal: AbortSignal,
  ): Promise<void> {
    const uids = new Set(gone.map((one) => one.uid));
    const rest = (live.metadata.ownerReferences ?? []).filter((one) => !uids.has(one.uid));
    await this.#patch(node, live, { ownerReferences: rest.length === 0 ? null : rest }, signal);
  }

  async #removeFinalizer(node: GraphNode, finalizer: string, signal: AbortSignal): Promise<void> {
    for (let conflicts = 0; ; conflicts++) {
      const live = await this.#live(node, signal);
      const finalizers = live?.metadata.finalizers;
      if (!live || !finalizers?.includes(finalizer)) return;
      const rest = finalizers.filter((one) => one !== finalizer);
      try {
        await this.#patch(node, live, { finalizers: rest.length === 0 ? null : rest }, signal);
        return;
      } catch (error) {
        if (!isConflict(error) || conflicts >= maxConflicts) throw error;
      }
    }
  }

  /** A merge patch of metadata, bound to the version it was judged at. Undefined when the object is gone. */
  async #patch(
    node: GraphNode,
    live: KubeObject,
    metadata: Record<string, unknown>,
    signal: AbortSignal,
  ): Promise<KubeObject | undefined> {
    const { uid, resourceVersion } = live.metadata;
    const patch = { metadata: { uid, resourceVersion, ...metadata } };
    try {
      return await this.#client.patch(node.resource, node.name, 'merge', patch, {
        namespace: node.namespace,
        signal,
      });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }
}

/** What its finalizers already say of its dependents is honoured. */
function policyOf(metadata: ObjectMeta): 'Background' | 'Foreground' | 'Orphan' {
  if (metadata.finalizers?.includes(orphanFinalizer)) return 'Orphan';
  if (metadata.finalizers?.includes(foregroundFinalizer)) return 'Foreground';
  return 'Background';
}
