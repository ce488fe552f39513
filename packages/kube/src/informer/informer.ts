import type { Clock } from '../clock.ts';
import type { KubeClient } from '../client/client.ts';
import { type Running, running } from '../lifecycle.ts';
import type { Logger } from '../logger.ts';
import { type KubeObject, type Resource, groupResourceOf } from '../object.ts';
import { type ReflectorSink, startReflector } from './reflector.ts';
import { type Indexer, type Lister, Store, keyOf } from './store.ts';

export { type ReflectorOptions, type ReflectorSink, startReflector } from './reflector.ts';
export { type Indexer, type Lister, keyOf, namespaceIndex, splitKey } from './store.ts';

/** What to do when objects change. Calls come in the order of the changes, after the store has the new state. */
export interface Handler<T> {
  /** `initial`: the object was there when the informer (or the handler) began. */
  add?(object: T, initial: boolean): void;
  update?(object: T, old: T): void;
  /** The last state known; after a gap it may be older than the deletion. */
  delete?(object: T): void;
}

export interface InformerOptions<T extends KubeObject> {
  client: KubeClient;
  resource: Resource<T>;
  namespace?: string | undefined;
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
  indexers?: Record<string, Indexer<T>> | undefined;
  signal?: AbortSignal | undefined;
  clock?: Clock | undefined;
  log?: Pick<Logger, 'warn' | 'debug' | 'error'> | undefined;
  onError?: ((error: unknown) => void) | undefined;
}

/** A copy of a resource that is kept up to date, and tells handlers what changed. No resync: only changes count. */
export interface Informer<T extends KubeObject> extends Running {
  readonly resource: Resource<T>;
  /** Read-only; objects are shared, copy before changing. */
  readonly store: Lister<T>;
  /** The first whole state is there and every handler has been told of it. */
  readonly hasSynced: boolean;
  /** Resolves when `hasSynced`; rejects when the informer is stopped before. */
  readonly synced: Promise<void>;
  /** Version up to which the store is complete. */
  readonly resourceVersion: string;
  /** Why the last try failed, until the next success. */
  readonly lastError: unknown;
  /** Tells `handler` of everything there now, and of every change. Returns the function that ends that. */
  addHandler(handler: Handler<T>): () => void;
  addIndex(name: string, indexer: Indexer<T>): void;
}

/** Starts an informer. It lists and watches until it is stopped or the signal aborts. */
export function startInformer<T extends KubeObject>(options: InformerOptions<T>): Informer<T> {
  return new SharedInformer(options);
}

class SharedInformer<T extends KubeObject> implements Informer<T>, ReflectorSink<T> {
  readonly resource: Resource<T>;
  readonly synced: Promise<void>;
  readonly #store = new Store<T>();
  readonly #handlers = new Set<Handler<T>>();
  readonly #options: InformerOptions<T>;
  readonly #running: Running;
  #resolveSynced: () => void = () => undefined;
  #hasSynced = false;
  #version = '';
  #lastError: unknown;

  constructor(options: InformerOptions<T>) {
    this.#options = options;
    this.resource = options.resource;
    for (const [name, indexer] of Object.entries(options.indexers ?? {})) this.#store.addIndex(name, indexer);
    let rejectSynced: (error: Error) => void = () => undefined;
    this.synced = new Promise((resolve, reject) => {
      this.#resolveSynced = resolve;
      rejectSynced = reject;
    });
    this.synced.catch(() => undefined);
    const reflector = startReflector(
      {
        ...options,
        onError: (error) => {
          this.#lastError = error;
          options.onError?.(error);
        },
      },
      this,
    );
    const unsynced = (): void =>
      rejectSynced(new Error(`stopped before the first list of ${groupResourceOf(options.resource)}`));
    options.signal?.addEventListener('abort', unsynced, { once: true });
    if (options.signal?.aborted) unsynced();
    this.#running = running(async () => {
      unsynced();
      options.signal?.removeEventListener('abort', unsynced);
      await reflector.stop();
    });
  }

  get store(): Lister<T> {
    return this.#store;
  }

  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  get resourceVersion(): string {
    return this.#version;
  }

  get lastError(): unknown {
    return this.#lastError;
  }

  stop(): Promise<void> {
    return this.#running.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#running.stop();
  }

  addIndex(name: string, indexer: Indexer<T>): void {
    this.#store.addIndex(name, indexer);
  }

  addHandler(handler: Handler<T>): () => void {
    this.#handlers.add(handler);
    for (const object of this.#store.list()) this.#call(() => handler.add?.(object, true));
    return () => this.#handlers.delete(handler);
  }

  replace(items: T[], resourceVersion: string): void {
    const initial = !this.#hasSynced;
    const gone = new Set(this.#store.keys());
    for (const item of items) gone.delete(keyOf(item));
    for (const key of gone) this.#removed(key);
    for (const item of items) this.#present(item, initial);
    this.#version = resourceVersion;
    this.#lastError = undefined;
    if (initial) {
      this.#hasSynced = true;
      this.#resolveSynced();
    }
  }

  apply(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: T): void {
    if (type === 'DELETED') this.#removed(keyOf(object), object);
    else this.#present(object, false);
    this.#version = object.metadata.resourceVersion ?? this.#version;
    this.#lastError = undefined;
  }

  progress(resourceVersion: string): void {
    this.#version = resourceVersion;
    this.#lastError = undefined;
  }

  #present(object: T, initial: boolean): void {
    const key = keyOf(object);
    const old = this.#store.get(key);
    if (old && old.metadata.uid !== object.metadata.uid) {
      // Deleted and made anew while nobody watched: two objects, so two calls.
      this.#removed(key);
    } else if (old) {
      if (old.metadata.resourceVersion === object.metadata.resourceVersion) return;
      this.#store.set(key, object);
      for (const handler of this.#handlers) this.#call(() => handler.update?.(object, old));
      return;
    }
    this.#store.set(key, object);
    for (const handler of this.#handlers) this.#call(() => handler.add?.(object, initial));
  }

  #removed(key: string, last?: T): void {
    const old = this.#store.delete(key);
    if (!old) return;
    for (const handler of this.#handlers) this.#call(() => handler.delete?.(last ?? old));
  }

  /** A handler that throws harms neither the store nor the other handlers. */
  #call(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#options.log?.error({ resource: groupResourceOf(this.resource), err: error }, 'a handler threw');
    }
  }
}

/** One informer per resource, shared by all who ask; started on first use. */
export class InformerSet implements Running {
  readonly #options: Omit<InformerOptions<KubeObject>, 'resource' | 'indexers'>;
  readonly #informers = new Map<string, Informer<KubeObject>>();

  constructor(options: Omit<InformerOptions<KubeObject>, 'resource' | 'indexers'>) {
    this.#options = options;
  }

  /** The informer of a resource. */
  of<T extends KubeObject>(resource: Resource<T>): Informer<T> {
    const name = `${groupResourceOf(resource)}/${resource.version}`;
    let informer = this.#informers.get(name) as Informer<T> | undefined;
    if (!informer) {
      informer = startInformer<T>({ ...this.#options, resource });
      this.#informers.set(name, informer);
    }
    return informer;
  }

  /** Stops the informer of a resource that is no longer served. */
  async drop(resource: Resource): Promise<void> {
    const name = `${groupResourceOf(resource)}/${resource.version}`;
    const informer = this.#informers.get(name);
    this.#informers.delete(name);
    await informer?.stop();
  }

  /** Resolves when every informer that has been asked for has synced. */
  async synced(): Promise<void> {
    await Promise.all([...this.#informers.values()].map((informer) => informer.synced));
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#informers.values()].map((informer) => informer.stop()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
