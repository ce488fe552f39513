import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { type Clock, systemClock } from '../clock.ts';
import type { KubeClient } from '../client/client.ts';
import * as resources from '../generated/resources.ts';
import type { DeleteOptions } from '../generated/types/meta-v1.ts';
import { type KubeObject, type Resource, apiVersionOf, groupResourceOf } from '../object.ts';
import { StatusError, errors } from '../status.ts';
import { FakeClient } from './fake-client.ts';
import { FakeStore, type Stored, freeze, keyOf } from './fake-store.ts';

export interface FakeCall {
  user: string;
  verb: 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection';
  resource: Resource;
  subresource?: string | undefined;
  namespace?: string | undefined;
  name?: string | undefined;
  body?: unknown;
}

/** Returns an error to fail the call with; may wait. */
export type Interceptor = (call: FakeCall) => Error | undefined | Promise<Error | undefined>;

const podsTable = 'pods';

const seconds = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');

export class FakeCluster extends FakeStore {
  /** As a cluster administrator. */
  readonly client: KubeClient;
  /** Every call, in order, faults included. */
  readonly calls: FakeCall[] = [];
  readonly #clock: Clock;
  readonly #interceptors = new Set<Interceptor>();

  constructor(options: { clock?: Clock } = {}) {
    super();
    this.#clock = options.clock ?? systemClock;
    this.client = this.clientFor('admin');
  }

  clientFor(user: string): KubeClient {
    return new FakeClient(this, user);
  }

  /** Fails calls; returns the function that takes the interceptor out. */
  intercept(interceptor: Interceptor): () => void {
    this.#interceptors.add(interceptor);
    return () => this.#interceptors.delete(interceptor);
  }

  /** Creates objects past interceptors, with status as given. Returns them as stored. */
  seed<T extends KubeObject>(resource: Resource<T>, ...objects: T[]): T[] {
    return objects.map((object) => this.put(resource, undefined, this.#prepare(resource, object)) as T);
  }

  /** Changes an object in place as a kubelet or a user would (status included), past interceptors. */
  change<T extends KubeObject>(
    resource: Resource<T>,
    name: string,
    namespace: string | undefined,
    edit: (copy: T) => void,
  ): T {
    const old = this.object(resource, name, namespace);
    if (!old) throw errors.notFound(resource, name);
    const copy = structuredClone(old);
    edit(copy);
    return this.put(resource, old, copy) as T;
  }

  /** Removes an object at once, past finalizers and grace. */
  remove<T extends KubeObject>(resource: Resource<T>, name: string, namespace?: string): void {
    const old = this.object(resource, name, namespace);
    if (old) this.erase(resource, old);
  }

  // What follows is for FakeClient.

  async before(call: FakeCall): Promise<void> {
    this.calls.push(call);
    await Promise.resolve();
    for (const interceptor of this.#interceptors) {
      // oxlint-disable-next-line no-await-in-loop -- in order
      const error = await interceptor(call);
      if (error) throw error;
    }
  }

  now(): string {
    return seconds(this.#clock.nowMs());
  }

  #prepare<T extends KubeObject>(resource: Resource<T>, object: T): Stored {
    const copy = structuredClone(object) as Stored;
    copy.apiVersion = apiVersionOf(resource);
    copy.kind = resource.kind;
    const meta = copy.metadata;
    if (!meta.name && meta.generateName) meta.name = `${meta.generateName}${randomUUID().slice(0, 5)}`;
    meta.uid ??= randomUUID();
    meta.creationTimestamp ??= this.now();
    meta.generation ??= 1;
    if (!resource.namespaced) delete meta.namespace;
    if (resource.kind === 'Namespace') {
      copy.spec ??= {};
      copy.spec.finalizers ??= ['kubernetes'];
      copy.status = { phase: 'Active', ...copy.status };
      meta.labels = { ...meta.labels, 'kubernetes.io/metadata.name': meta.name ?? '' };
    }
    return copy;
  }

  create<T extends KubeObject>(resource: Resource<T>, object: T, namespace: string | undefined): T {
    const copy = this.#prepare(resource, object);
    if (resource.namespaced) copy.metadata.namespace ??= namespace ?? '';
    const name = copy.metadata.name ?? '';
    if (name === '') throw errors.badRequest('name or generateName is required');
    if (this.table(resource).has(keyOf(copy.metadata.namespace, name)))
      throw errors.alreadyExists(resource, name);
    const within = copy.metadata.namespace;
    if (resource.namespaced && within) {
      const home = this.table(resources.core.namespaces).get(keyOf(undefined, within));
      if (home?.metadata.deletionTimestamp !== undefined) {
        throw new StatusError(
          403,
          'Forbidden',
          `${groupResourceOf(resource)} "${name}" is forbidden: unable to create new content in namespace ${within} because it is being terminated`,
          {
            causes: [
              {
                reason: 'NamespaceTerminating',
                field: 'metadata.namespace',
                message: 'namespace is being terminated',
              },
            ],
          },
        );
      }
    }
    if (resource.kind === 'Pod') copy.status = { phase: 'Pending', ...copy.status };
    else if (resource.kind !== 'Namespace' && resource.kind !== 'Node') delete copy.status;
    return this.put(resource, undefined, copy) as T;
  }

  /** Writes an update through the main resource or a subresource. */
  write<T extends KubeObject>(
    resource: Resource<T>,
    old: Stored,
    next: Stored,
    subresource: string | undefined,
  ): T {
    const meta = next.metadata;
    if (meta.resourceVersion && meta.resourceVersion !== old.metadata.resourceVersion) {
      throw errors.modified(resource, meta.name ?? '');
    }
    if (meta.uid !== undefined && meta.uid !== old.metadata.uid) {
      throw errors.conflict(
        resource,
        meta.name ?? '',
        `Precondition failed: UID in precondition: ${meta.uid}, UID in object meta: ${old.metadata.uid}`,
      );
    }
    const copy = structuredClone(next);
    let merged: Stored;
    if (subresource === 'status' || subresource === 'approval') {
      merged = { ...structuredClone(old), status: copy.status };
      if (copy.metadata.annotations) merged.metadata.annotations = copy.metadata.annotations;
      if (copy.metadata.labels) merged.metadata.labels = copy.metadata.labels;
    } else if (subresource === 'finalize') {
      merged = { ...structuredClone(old), spec: { ...old.spec, finalizers: copy.spec?.finalizers } };
    } else {
      merged = copy;
      if (old.status !== undefined && 'spec' in old) merged.status = old.status;
    }
    const fixed = [
      'uid',
      'creationTimestamp',
      'generation',
      'deletionTimestamp',
      'deletionGracePeriodSeconds',
    ] as const;
    for (const field of fixed) {
      if (old.metadata[field] === undefined) delete merged.metadata[field];
      else Object.assign(merged.metadata, { [field]: old.metadata[field] });
    }
    merged.apiVersion = old.apiVersion;
    merged.kind = old.kind;
    if (JSON.stringify(old.spec) !== JSON.stringify(merged.spec) && resource.kind !== 'Namespace') {
      merged.metadata.generation = (old.metadata.generation ?? 0) + 1;
    }
    if (this.#finished(merged)) {
      this.erase(resource, merged);
      return freeze(merged) as unknown as T;
    }
    // As in storage: a write that changes nothing makes no version and no event.
    merged.metadata.resourceVersion = old.metadata.resourceVersion ?? '';
    if (isDeepStrictEqual(merged, old)) return old as unknown as T;
    return this.put(resource, old, merged) as T;
  }

  #finished(object: Stored): boolean {
    if (object.metadata.deletionTimestamp === undefined) return false;
    if ((object.metadata.finalizers ?? []).length > 0) return false;
    if (object.kind === 'Namespace') return (object.spec?.finalizers ?? []).length === 0;
    return (
      object.metadata.deletionGracePeriodSeconds === undefined ||
      object.metadata.deletionGracePeriodSeconds === 0
    );
  }

  delete(resource: Resource, name: string, namespace: string | undefined, options: DeleteOptions): unknown {
    const old = this.table(resource).get(keyOf(namespace, name));
    if (!old) throw errors.notFound(resource, name);
    const { uid, resourceVersion } = options.preconditions ?? {};
    if (uid !== undefined && uid !== old.metadata.uid) {
      throw errors.conflict(
        resource,
        name,
        `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid}`,
      );
    }
    if (resourceVersion !== undefined && resourceVersion !== old.metadata.resourceVersion) {
      throw errors.conflict(
        resource,
        name,
        `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${old.metadata.resourceVersion}`,
      );
    }
    const next = structuredClone(old);
    const finalizers = new Set(next.metadata.finalizers ?? []);
    if (options.propagationPolicy !== undefined) {
      finalizers.delete('orphan');
      finalizers.delete('foregroundDeletion');
      if (options.propagationPolicy === 'Orphan') finalizers.add('orphan');
      if (options.propagationPolicy === 'Foreground') finalizers.add('foregroundDeletion');
    }
    if (finalizers.size > 0) next.metadata.finalizers = [...finalizers];
    else delete next.metadata.finalizers;
    let graceSeconds = 0;
    if (groupResourceOf(resource) === podsTable && old.spec?.nodeName) {
      const ended = old.status?.phase === 'Succeeded' || old.status?.phase === 'Failed';
      graceSeconds = ended ? 0 : (options.gracePeriodSeconds ?? old.spec.terminationGracePeriodSeconds ?? 30);
    }
    const already = old.metadata.deletionTimestamp !== undefined;
    if (already) graceSeconds = Math.min(graceSeconds, old.metadata.deletionGracePeriodSeconds ?? 0);
    else next.metadata.deletionTimestamp = seconds(this.#clock.nowMs() + graceSeconds * 1000);
    next.metadata.deletionGracePeriodSeconds = graceSeconds;
    if (resource.kind === 'Namespace') next.status = { ...next.status, phase: 'Terminating' };
    if (this.#finished(next)) {
      this.erase(resource, next);
      return {
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Success',
        details: { name, kind: resource.plural, uid: old.metadata.uid },
      };
    }
    if (JSON.stringify(next) === JSON.stringify(old)) return old;
    return this.put(resource, old, next);
  }
}
