import { setImmediate as turn } from 'node:timers/promises';
import type { ListOptions, ObjectEvent, WatchOptions } from '../client/client.ts';
import { type KubeObject, type Resource, apiVersionOf, groupResourceOf } from '../object.ts';
import { everyField, parseFieldSelector, parseLabelSelector } from '../selector/selector.ts';
import { errors } from '../status.ts';

interface LogEntry {
  version: number;
  table: string;
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  object: KubeObject;
  previous: KubeObject | undefined;
}

/** An object whose spec and status are looked into without knowing its kind. */
export interface Stored extends KubeObject {
  spec?: { nodeName?: string; finalizers?: string[]; terminationGracePeriodSeconds?: number };
  status?: { phase?: string; conditions?: Array<{ type: string; status: string }> };
}

export function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) freeze(inner);
  }
  return value;
}

export const keyOf = (namespace: string | undefined, name: string): string => `${namespace ?? ''}/${name}`;

/** A field's value by its path, as field selectors name it. */
function fieldOf(object: KubeObject, path: string): string {
  let at: unknown = object;
  for (const part of path.split('.')) at = (at as Record<string, unknown> | undefined)?.[part];
  return typeof at === 'string' ? at : at === undefined || at === null ? '' : JSON.stringify(at);
}

/** Versioned tables of frozen objects, and watches over their history. */
export class FakeStore {
  /** Whether watches with `sendInitialEvents` are served. */
  watchList = true;
  readonly #tables = new Map<string, Map<string, Stored>>();
  #log: LogEntry[] = [];
  #version = 100;
  /** Watches and lists from before this version answer 410. */
  #compactedAt = 0;
  #epoch = 0;
  readonly #waiting = new Set<() => void>();

  get resourceVersion(): string {
    return String(this.#version);
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

  table(resource: { group: string; plural: string }): Map<string, Stored> {
    const name = groupResourceOf(resource);
    let table = this.#tables.get(name);
    if (!table) this.#tables.set(name, (table = new Map()));
    return table;
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
    for (const wake of Array.from(this.#waiting)) wake();
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
