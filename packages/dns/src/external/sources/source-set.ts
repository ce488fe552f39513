import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { type Informer, keyOf, type Lister, startInformer } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { apiVersionOf, groupResourceOf, type KubeObject, type Resource } from '@cloudless/kube/object';
import { parseLabelSelector, type Selector } from '@cloudless/kube/selector/selector';
import type { ExternalDnsConfig } from '../config.ts';
import type { RevisionTracker } from '../revisions.ts';
import { referenceOf, type Wish, wishOf } from '../wanted.ts';
import { isForUs } from './annotations.ts';
import { watchDefinition } from './defined-kind.ts';
import type { Endpoint } from './endpoint.ts';

export type SourceSettings = Pick<
  ExternalDnsConfig,
  'sources' | 'policy' | 'managedRecordTypes' | 'annotationFilter' | 'labelFilter' | 'defaultTtlSeconds'
>;

export interface SourceSetOptions {
  client: KubeClient;
  settings: SourceSettings;
  tracker: RevisionTracker;
  log: Logger;
  clock?: Clock | undefined;
  /** There is something to {@link SourceSet.take}, or more is synced than before. */
  onChange: () => void;
  /** An object was looked at for {@link SourceSet.take}, `RESOURCE KEY`; undefined: it is gone. */
  onTake?: ((id: string, object: KubeObject | undefined) => void) | undefined;
}

export interface SourceStatus {
  readonly resource: string;
  readonly synced: boolean;
  readonly objects: number;
  readonly error: string | undefined;
}

/** How records come from one kind of objects. */
export interface Derivation<T extends KubeObject> {
  endpoints(object: T): readonly Endpoint[];
  /** Whether filters and managed types count for the object; not given: they do. */
  isFiltered?(object: T): boolean;
  /** The object passed the filters and was read. */
  read?(object: T): void;
}

interface Kind {
  readonly resource: Resource;
  readonly informer: Informer<KubeObject>;
  derivation: Derivation<KubeObject> | undefined;
}

/** Kinds of a cluster and what their objects ask for, kept up to date. */
export class SourceSet implements Running {
  readonly options: SourceSetOptions;
  readonly #labels: Selector;
  readonly #annotations: Selector;
  readonly #managed: ReadonlySet<string>;
  readonly #kinds = new Map<string, Kind>();
  readonly #definitions = new Map<string, Informer<KubeObject>>();
  /** `RESOURCE KEY` of objects to look at again. */
  readonly #dirty = new Set<string>();
  /** Those that asked for something the last time. */
  readonly #asking = new Set<string>();
  readonly #running: Running;
  #isStopped = false;

  /** Throws SelectorError for a filter that is none. */
  constructor(options: SourceSetOptions) {
    this.options = options;
    this.#labels = parseLabelSelector(options.settings.labelFilter ?? '');
    this.#annotations = parseLabelSelector(options.settings.annotationFilter ?? '');
    this.#managed = new Set(options.settings.managedRecordTypes);
    this.#running = running(async () => {
      this.#isStopped = true;
      const informers = new Map(this.#definitions);
      for (const [name, { informer }] of this.#kinds) informers.set(name, informer);
      for (const [name, informer] of informers) options.tracker.forget(name, informer);
      await Promise.all([...informers.values()].map((informer) => informer.stop()));
    });
  }

  stop(): Promise<void> {
    return this.#running.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#running.stop();
  }

  /** The first resource that is waited for; undefined: all that counts has been seen. */
  get waitingFor(): string | undefined {
    for (const [name, informer] of this.#definitions) if (!informer.hasSynced) return name;
    for (const [name, { informer }] of this.#kinds) if (!informer.hasSynced) return name;
    return undefined;
  }

  status(): SourceStatus[] {
    return Array.from(this.#kinds, ([resource, { informer }]) => ({
      resource,
      synced: informer.hasSynced,
      objects: informer.store.size,
      error: errorText(informer.lastError),
    }));
  }

  /**
   * What changed since the last call, by object; undefined: it asks for nothing any more. Not whole while
   * {@link SourceSet.waitingFor} names something.
   */
  take(): Map<string, Wish | undefined> {
    const changes = new Map<string, Wish | undefined>();
    // Deriving may find that more has to be watched, never that another object changed.
    for (const id of this.#dirty) {
      const wish = this.#wish(id);
      this.options.onTake?.(id, this.object(id));
      if (wish && wish.wanted.length + wish.lost.length > 0) this.#asking.add(id);
      else if (!this.#asking.delete(id)) continue;
      changes.set(id, wish);
    }
    this.#dirty.clear();
    return changes;
  }

  /** The object behind an id of {@link SourceSet.take}. */
  object(id: string): KubeObject | undefined {
    const space = id.indexOf(' ');
    return this.#kinds.get(id.slice(0, space))?.informer.store.get(id.slice(space + 1));
  }

  /** Looks at an object again at the next {@link SourceSet.take}. */
  touch(resource: Resource, key: string): void {
    this.#dirty.add(`${groupResourceOf(resource)} ${key}`);
    this.options.onChange();
  }

  /** What is known of a kind now; nothing of one that is not watched. */
  store<T extends KubeObject>(resource: Resource<T>): Lister<T> | undefined {
    return this.#kinds.get(groupResourceOf(resource))?.informer.store as Lister<T> | undefined;
  }

  /** Watches a kind; once, however often it is asked for. */
  watch<T extends KubeObject>(resource: Resource<T>, namespace?: string): Informer<T> {
    const name = groupResourceOf(resource);
    const there = this.#kinds.get(name);
    if (there) return there.informer as unknown as Informer<T>;
    const { client, log, clock, tracker, onChange } = this.options;
    const informer = startInformer<T>({ client, resource, log, clock, namespace });
    if (this.#isStopped) void informer.stop();
    const plain = informer as unknown as Informer<KubeObject>;
    this.#kinds.set(name, { resource, informer: plain, derivation: undefined });
    tracker.track(name, plain);
    informer.synced.then(onChange, () => {});
    return informer;
  }

  /** Derives records of the objects of a kind. */
  derive<T extends KubeObject>(
    resource: Resource<T>,
    derivation: Derivation<T>,
    namespace?: string,
  ): Informer<T> {
    const informer = this.watch(resource, namespace);
    const kind = this.#kinds.get(groupResourceOf(resource)) as Kind;
    kind.derivation = derivation as unknown as Derivation<KubeObject>;
    const touch = (object: T): void => this.touch(resource, keyOf(object));
    informer.addHandler({ add: touch, update: touch, delete: touch });
    return informer;
  }

  /** Calls `begin` with the resource when the cluster has the kind, and stops watching it when it no longer has. */
  whenDefined<T extends KubeObject>(resource: Resource<T>, begin: (resource: Resource<T>) => void): void {
    const { client, log, clock, tracker, onChange } = this.options;
    const name = `customresourcedefinitions/${groupResourceOf(resource)}`;
    if (this.#definitions.has(name)) return;
    const informer = watchDefinition({
      client,
      resource,
      log,
      clock,
      onChange: (served) => {
        this.#drop(resource);
        if (served && !this.#isStopped) begin(served);
        onChange();
      },
    });
    this.#definitions.set(name, informer);
    tracker.track(name, informer);
    informer.synced.then(onChange, () => {});
  }

  #drop(resource: Resource): void {
    const name = groupResourceOf(resource);
    const kind = this.#kinds.get(name);
    if (!kind) return;
    for (const object of kind.informer.store.list()) this.touch(resource, keyOf(object));
    this.#kinds.delete(name);
    this.options.tracker.forget(name, kind.informer);
    void kind.informer.stop();
  }

  #wish(id: string): Wish | undefined {
    const kind = this.#kinds.get(id.slice(0, id.indexOf(' ')));
    const object = this.object(id);
    if (!kind?.derivation || !object || !isForUs(object)) return undefined;
    const { derivation, resource } = kind;
    const isFiltered = derivation.isFiltered?.(object) ?? true;
    const { labels, annotations } = object.metadata;
    if (isFiltered && !(this.#labels.matches(labels) && this.#annotations.matches(annotations)))
      return undefined;
    derivation.read?.(object);
    const from = referenceOf(object, apiVersionOf(resource), resource.kind);
    return wishOf(object, from, derivation.endpoints(object), {
      defaultTtlSeconds: this.options.settings.defaultTtlSeconds,
      isManaged: (type) => !isFiltered || this.#managed.has(type),
    });
  }
}

function errorText(error: unknown): string | undefined {
  if (error === undefined) return undefined;
  return error instanceof Error ? error.message : JSON.stringify(error);
}
