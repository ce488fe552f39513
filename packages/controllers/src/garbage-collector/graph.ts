import type { KubeObject, Resource } from '@cloudless/kube/object';
import type { OwnerReference } from '@cloudless/kube/types/meta-v1';

/** Finalizers by which a deletion says what becomes of dependents (metav1). */
export const foregroundFinalizer = 'foregroundDeletion';
export const orphanFinalizer = 'orphan';

/** An object as the graph knows it. */
export interface GraphNode {
  readonly uid: string;
  readonly resource: Resource;
  readonly namespace: string;
  readonly name: string;
  owners: readonly OwnerReference[];
  beingDeleted: boolean;
  /** Being deleted in the foreground: it goes after its dependents. */
  deletingDependents: boolean;
}

/** What the graph asks for as it changes. */
export interface GraphSink {
  /** The object may have to go: its owner went, goes, or is not known. */
  attemptToDelete(uid: string): void;
  /** An owner that is not known yet may only be late: look again shortly. */
  verifyOwners(uid: string): void;
  /** The object's dependents are to be set free. */
  attemptToOrphan(uid: string): void;
  /** A namespaced owner in another namespace than its dependent. */
  invalidOwner(node: GraphNode, owner: OwnerReference): void;
}

const none: readonly OwnerReference[] = [];

/** Who owns whom, by UID, from the events of all resources (upstream: garbagecollector/graph_builder.go). */
export class OwnerGraph {
  readonly #nodes = new Map<string, GraphNode>();
  /** By the owner's UID, known or not. */
  readonly #dependents = new Map<string, Set<GraphNode>>();
  readonly #sink: GraphSink;

  constructor(sink: GraphSink) {
    this.#sink = sink;
  }

  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid);
  }

  get size(): number {
    return this.#nodes.size;
  }

  dependents(uid: string): GraphNode[] {
    return [...(this.#dependents.get(uid) ?? [])];
  }

  /** Dependents without whose end the owner may not go. */
  blockingDependents(uid: string): GraphNode[] {
    return this.dependents(uid).filter((node) =>
      node.owners.some((owner) => owner.uid === uid && owner.blockOwnerDeletion === true),
    );
  }

  /** An object appeared or changed. */
  observe(resource: Resource, object: KubeObject): void {
    const {
      uid = '',
      namespace = '',
      name = '',
      ownerReferences,
      deletionTimestamp,
      finalizers,
    } = object.metadata;
    const beingDeleted = deletionTimestamp !== undefined;
    const startsForeground = beingDeleted && (finalizers?.includes(foregroundFinalizer) ?? false);
    const startsOrphaning = beingDeleted && (finalizers?.includes(orphanFinalizer) ?? false);
    const owners = ownerReferences ?? none;
    const known = this.#nodes.get(uid);
    const before = known?.deletingDependents ?? false;
    const wasDeleted = known?.beingDeleted ?? false;
    const node: GraphNode = known ?? {
      uid,
      resource,
      namespace,
      name,
      owners: none,
      beingDeleted,
      deletingDependents: false,
    };
    if (!known) {
      this.#nodes.set(uid, node);
      this.#checkDependents(node);
    }
    this.#setOwners(node, owners);
    node.beingDeleted = beingDeleted;
    node.deletingDependents = startsForeground;
    if (startsOrphaning && !wasDeleted) this.#sink.attemptToOrphan(uid);
    else if (startsForeground && !before) {
      for (const dependent of this.dependents(uid)) this.#sink.attemptToDelete(dependent.uid);
      this.#sink.attemptToDelete(uid);
    }
  }

  /** An object is gone. */
  remove(uid: string): void {
    const node = this.#nodes.get(uid);
    if (!node) return;
    this.#nodes.delete(uid);
    for (const owner of node.owners) {
      this.#unlink(owner.uid, node);
      // Its owner may have waited for it.
      if (this.#nodes.get(owner.uid)?.deletingDependents) this.#sink.attemptToDelete(owner.uid);
    }
    for (const dependent of this.dependents(uid)) this.#sink.attemptToDelete(dependent.uid);
  }

  #setOwners(node: GraphNode, owners: readonly OwnerReference[]): void {
    const old = node.owners;
    if (old === owners) return;
    node.owners = owners;
    for (const owner of owners) {
      if (old.some((one) => one.uid === owner.uid)) continue;
      let dependents = this.#dependents.get(owner.uid);
      if (!dependents) this.#dependents.set(owner.uid, (dependents = new Set()));
      dependents.add(node);
      this.#checkOwner(node, owner);
    }
    for (const owner of old) {
      const now = owners.find((one) => one.uid === owner.uid);
      if (!now) this.#unlink(owner.uid, node);
      // An owner that waited for this one need not any more.
      if (owner.blockOwnerDeletion && !now?.blockOwnerDeletion) {
        if (this.#nodes.get(owner.uid)?.deletingDependents) this.#sink.attemptToDelete(owner.uid);
      }
    }
  }

  #checkOwner(node: GraphNode, reference: OwnerReference): void {
    const owner = this.#nodes.get(reference.uid);
    if (!owner) this.#sink.verifyOwners(node.uid);
    else if (!matches(owner, reference, node.namespace)) this.#mismatch(owner, reference, node);
    else if (owner.deletingDependents) this.#sink.attemptToDelete(node.uid);
  }

  /** Dependents that came before their owner: do they name it rightly? */
  #checkDependents(owner: GraphNode): void {
    for (const dependent of this.dependents(owner.uid)) {
      const reference = dependent.owners.find((one) => one.uid === owner.uid);
      if (reference && !matches(owner, reference, dependent.namespace))
        this.#mismatch(owner, reference, dependent);
    }
  }

  #mismatch(owner: GraphNode, reference: OwnerReference, dependent: GraphNode): void {
    if (owner.namespace !== '' && owner.namespace !== dependent.namespace) {
      this.#sink.invalidOwner(dependent, reference);
    }
    // The reference names no object, whatever the UID: the live check decides.
    this.#sink.attemptToDelete(dependent.uid);
  }

  #unlink(ownerUid: string, node: GraphNode): void {
    const dependents = this.#dependents.get(ownerUid);
    dependents?.delete(node);
    if (dependents?.size === 0) this.#dependents.delete(ownerUid);
  }
}

/** Whether a reference names this owner: kind, name and, if it has one, namespace. Versions of a group are one. */
function matches(owner: GraphNode, reference: OwnerReference, namespace: string): boolean {
  const group = reference.apiVersion.includes('/') ? reference.apiVersion.split('/')[0] : '';
  return (
    owner.resource.kind === reference.kind &&
    owner.resource.group === group &&
    owner.name === reference.name &&
    (owner.namespace === '' || owner.namespace === namespace)
  );
}
