import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { setImmediate as turn } from 'node:timers/promises';
import { type Clock, systemClock } from '../clock.ts';
import type { KubeClient, ListOptions, ObjectEvent, WatchOptions } from '../client/client.ts';
import * as resources from '../generated/resources.ts';
import type { DeleteOptions } from '../generated/types/meta-v1.ts';
import { type KubeObject, type Resource, apiVersionOf, groupResourceOf } from '../object.ts';
import { everyField, parseFieldSelector, parseLabelSelector } from '../selector/selector.ts';
import { StatusError, errors } from '../status.ts';
import { FakeClient } from './fake-client.ts';

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

interface LogEntry {
  version: number;
  table: string;
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  object: KubeObject;
  previous: KubeObject | undefined;
}

/** An object whose spec and status are looked into without knowing its kind. */
export type Stored = KubeObject & { spec?: any; status?: any };

const podsTable = 'pods';

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) freeze(inner);
  }
  return value;
}

export const keyOf = (namespace: string | undefined, name: string): string => `${namespace ?? ''}/${name}`;
const seconds = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');

/** A field's value by its path, as field selectors name it. */
function fieldOf(object: KubeObject, path: string): string {
  let at: unknown = object;
  for (const part of path.split('.')) at = (at as Record<string, unknown> | undefined)?.[part];
  return at === undefined || at === null ? '' : String(at as string);
}

export class FakeCluster {
  /** As a cluster administrator. */
  readonly client: KubeClient;
  /** Every call, in order, faults included. */
  readonly calls: FakeCall[] = [];
  /** Whether watches with `sendInitialEvents` are served. */
  watchList = true;
  readonly #clock: Clock;
  readonly #tables = new Map<string, Map<string, Stored>>();
  #log: LogEntry[] = [];
  #version = 100;
  /** Watches and lists from before this version answer 410. */
  #compactedAt = 0;
  #epoch = 0;
  readonly #waiting = new Set<() => void>();
  readonly #interceptors = new Set<Interceptor>();

  constructor(options: { clock?: Clock } = {}) {
    this.#clock = options.clock ?? systemClock;
    this.client = this.clientFor('admin');
  }

  clientFor(user: string): KubeClient {
    return new FakeClient(this, user);
  }

  get resourceVersion(): string {
    return String(this.#version);
  }

  /** Fails calls; returns the function that takes the interceptor out. */
  intercept(interceptor: Interceptor): () => void {
    this.#interceptors.add(interceptor);
    return () => this.#interceptors.delete(interceptor);
  }

  /** Forgets history: watches from an older version answer 410. */
  compact(): void {
    this.#compactedAt = this.#version;
    this.#log = [];
  }

  /** Ends every watch that is open, as a restart of the server does. */
  breakWatches(): void {
    this.#epoch++;
    this.#wake();
  }

  /** Creates objects past interceptors, with status as given. Returns them as stored. */
  seed<T extends KubeObject>(resource: Resource<T>, ...objects: T[]): T[] {
    return objects.map((object) => this.put(resource, undefined, this.#prepare(resource, object)) as T);
  }

  /** Every object of a resource, in the order of namespace and name. */
  objects<T extends KubeObject>(resource: Resource<T>, namespace?: string): T[] {
    const all = [...this.table(resource).values()].filter(
      (object) => namespace === undefined || object.metadata.namespace === namespace,
    );
    const key = (object: KubeObject): string => keyOf(object.metadata.namespace, object.metadata.name ?? '');
    return all.sort((a, b) => (key(a) < key(b) ? -1 : 1)) as unknown as T[];
  }

  /** One object, or undefined. */
  object<T extends KubeObject>(resource: Resource<T>, name: string, namespace?: string): T | undefined {
    return this.table(resource).get(keyOf(namespace, name)) as T | undefined;
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

  /** Resolves as soon as `condition` holds (checked after every change), or rejects after `timeoutMs`. */
  async until(condition: () => boolean, what = 'the condition', timeoutMs = 5_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (!condition()) {
      if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
      // oxlint-disable-next-line no-await-in-loop -- each turn lets the parts under test run
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 10);
        const wake = (): void => {
          clearTimeout(timer);
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
        timer.unref();
        setTimeout(wake, 10);
      });
      // oxlint-disable-next-line no-await-in-loop
      await turn();
    }
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

  table(resource: { group: string; plural: string }): Map<string, Stored> {
    const name = groupResourceOf(resource);
    let table = this.#tables.get(name);
    if (!table) this.#tables.set(name, (table = new Map()));
    return table;
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

  /** Stores a new state under a new version. */
  put(resource: Resource, old: KubeObject | undefined, next: KubeObject): KubeObject {
    const version = ++this.#version;
    next.metadata.resourceVersion = String(version);
    freeze(next);
    this.table(resource).set(keyOf(next.metadata.namespace, next.metadata.name ?? ''), next);
    this.#append({
      version,
      table: groupResourceOf(resource),
      type: old ? 'MODIFIED' : 'ADDED',
      object: next,
      previous: old,
    });
    return next;
  }

  erase(resource: Resource, last: KubeObject): void {
    const version = ++this.#version;
    const key = keyOf(last.metadata.namespace, last.metadata.name ?? '');
    const previous = this.table(resource).get(key);
    this.table(resource).delete(key);
    const object = structuredClone(last);
    object.metadata.resourceVersion = String(version);
    this.#append({
      version,
      table: groupResourceOf(resource),
      type: 'DELETED',
      object: freeze(object),
      previous,
    });
  }

  #append(entry: LogEntry): void {
    this.#log.push(entry);
    this.#wake();
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  matcher(options: ListOptions | WatchOptions): (object: KubeObject | undefined) => boolean {
    const labels = parseLabelSelector(options.labelSelector ?? '');
    const fields = options.fieldSelector ? parseFieldSelector(options.fieldSelector) : everyField;
    return (object) =>
      object !== undefined &&
      (!options.namespace || object.metadata.namespace === options.namespace) &&
      labels.matches(object.metadata.labels) &&
      fields.matches((field) => fieldOf(object, field));
  }

  async *watch<T extends KubeObject>(
    resource: Resource<T>,
    options: WatchOptions,
  ): AsyncGenerator<ObjectEvent<T>> {
    if (options.sendInitialEvents && !this.watchList) {
      throw errors.invalid({ group: 'meta.k8s.io', kind: 'ListOptions' }, '', [
        {
          reason: 'FieldValueForbidden',
          field: 'sendInitialEvents',
          message:
            'Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled',
        },
      ]);
    }
    const matches = this.matcher(options);
    const table = groupResourceOf(resource);
    const epoch = this.#epoch;
    const initial =
      options.sendInitialEvents === true || !options.resourceVersion || options.resourceVersion === '0';
    let at = initial ? this.#version : Number(options.resourceVersion);
    if (at < this.#compactedAt) {
      throw errors.expired(`too old resource version: ${at} (${this.#compactedAt})`);
    }
    if (initial) {
      const snapshot = this.objects(resource);
      for (const object of snapshot) if (matches(object)) yield { type: 'ADDED', object };
      if (options.sendInitialEvents) yield this.#bookmark(resource, at, true);
    }
    for (;;) {
      if (options.signal?.aborted) throw options.signal.reason;
      if (epoch !== this.#epoch) return;
      if (at < this.#compactedAt)
        throw errors.expired(`too old resource version: ${at} (${this.#compactedAt})`);
      const before = at;
      for (const entry of this.#log.slice(this.#firstAfter(at))) {
        at = entry.version;
        if (entry.table !== table) continue;
        const event = selected(entry, matches);
        if (event) yield event as ObjectEvent<T>;
        if (epoch !== this.#epoch) return;
      }
      if (before !== at && options.allowWatchBookmarks && this.#version === at)
        yield this.#bookmark(resource, at, false);
      // oxlint-disable-next-line no-await-in-loop -- waits for the next change
      if (this.#version === at && epoch === this.#epoch) await this.#changed(options.signal);
    }
  }

  #firstAfter(version: number): number {
    let low = 0;
    let high = this.#log.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#log[middle] as LogEntry).version > version) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #changed(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal?.addEventListener('abort', wake, { once: true });
      if (signal?.aborted) wake();
    });
  }

  #bookmark<T extends KubeObject>(
    resource: Resource<T>,
    version: number,
    initialEnd: boolean,
  ): ObjectEvent<T> {
    return {
      type: 'BOOKMARK',
      object: {
        apiVersion: apiVersionOf(resource),
        kind: resource.kind,
        metadata: {
          resourceVersion: String(version),
          ...(initialEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
        },
      } as unknown as T,
    };
  }
}

/** The event as a watcher with a selector sees it: objects appear and vanish as they come to match or cease to. */
function selected(
  entry: LogEntry,
  matches: (object: KubeObject | undefined) => boolean,
): ObjectEvent<KubeObject> | undefined {
  const now = entry.type !== 'DELETED' && matches(entry.object);
  const before = matches(entry.previous);
  if (now) return { type: before ? 'MODIFIED' : 'ADDED', object: entry.object };
  if (before) return { type: 'DELETED', object: entry.object };
  return undefined;
}
