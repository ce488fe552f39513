import type { Clock } from '@cloudless/kube/clock';
import type { EtcdStore } from '@cloudless/kube/etcd/store';
import type { Logger } from '@cloudless/kube/logger';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { errors } from '@cloudless/kube/status';
import type { AdmissionPlugin, AdmissionRequest } from '../admission/plugin.ts';
import type { Authorizer } from '../authz/authorizer.ts';
import { cachesOver } from '../cache/caches.ts';
import type { Caches } from '../cache/cache.ts';
import { Entry } from '../cache/entry.ts';
import { StorageCache } from '../cache/storage-cache.ts';
import { ObjectCodec, type ProtobufReader } from '../storage/codec.ts';
import { keyBytes, type ResourceKeys, resourceKeys } from '../storage/keys.ts';
import { LeasePool } from '../storage/lease-pool.ts';
import type { Transaction } from '../storage/transaction.ts';
import { FieldManagers } from '../managed-fields/field-managers.ts';
import { forbidden } from '../request/forbidden.ts';
import type { Catalogue, Served } from './catalogue.ts';
import type { WriteContext } from './context.ts';
import type { CustomKind } from './custom-kind.ts';
import { timestamp } from './metadata.ts';
import type { FurtherRight, Strategy, StrategyContext } from './strategy.ts';

export interface RegistryParts {
  store: EtcdStore;
  catalogue: Catalogue;
  /** By `group/Kind`. */
  strategies: ReadonlyMap<string, Strategy>;
  /** Defaults of a kind: those that types declare, then the strategy's. */
  defaultsOf(resource: Resource): (object: KubeObject) => void;
  readProtobuf: ProtobufReader;
  storagePrefix: string;
  eventTtlSeconds: number;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}

/** One resource as it is stored: its keys, values, strategy, and its cache once somebody asked for it. */
export class StoredResource {
  /** In the storage version. */
  readonly resource: Resource;
  readonly keys: ResourceKeys;
  readonly codec: ObjectCodec;
  /** Undefined for built-in kinds. */
  readonly custom: CustomKind | undefined;
  readonly #strategy: Strategy;
  readonly #parts: RegistryParts;
  readonly #retired = new AbortController();
  #cache: StorageCache | undefined;

  constructor(parts: RegistryParts, resource: Resource, custom: CustomKind | undefined) {
    this.#parts = parts;
    this.resource = resource;
    this.custom = custom;
    this.keys = resourceKeys(parts.storagePrefix, resource, custom !== undefined);
    this.codec =
      custom?.codec(parts.readProtobuf) ??
      new ObjectCodec(resource, parts.defaultsOf(resource), parts.readProtobuf);
    this.#strategy = parts.strategies.get(`${resource.group}/${resource.kind}`) ?? {};
  }

  /** What is particular to the kind, in the version of `resource`. */
  strategyOf(resource: Resource): Strategy {
    return this.custom?.strategyOf(resource.version) ?? this.#strategy;
  }

  /**
   * The version in which a write to `resource` is admitted, validated and compared: the stored one for built-in
   * kinds, that of the request for custom ones, whose versions have schemas of their own.
   */
  working(resource: Resource): Resource {
    return this.custom ? resource : this.resource;
  }

  /** Ends the cache and with it every watch, so that clients look again at what is served. */
  retire(): void {
    this.#retired.abort();
  }

  /** Aborted when the kind is served anew or no longer. */
  get retired(): AbortSignal {
    return this.#retired.signal;
  }

  /** Starts the cache on first use. */
  get cache(): StorageCache {
    const { store, clock, log } = this.#parts;
    const signal = this.custom
      ? AbortSignal.any([this.#parts.signal, this.#retired.signal])
      : this.#parts.signal;
    return (this.#cache ??= new StorageCache({
      store,
      keys: this.keys,
      codec: this.codec,
      clock,
      log,
      signal,
    }));
  }

  /** The cache if it runs. */
  get startedCache(): StorageCache | undefined {
    return this.#cache;
  }

  /** The object as it stands in the store now, sharing the cached entry when that is current. */
  async read(namespace: string, name: string): Promise<Entry | undefined> {
    const key = this.keys.of(namespace, name);
    const { kvs } = await this.#parts.store.range({ key: keyBytes(key) });
    return kvs[0] && this.entryOf(kvs[0]);
  }

  /** Whether an object of a custom kind still stands in another version than it is stored in today. */
  async isStale({ key }: Entry): Promise<boolean> {
    if (!this.custom) return false;
    const { kvs } = await this.#parts.store.range({ key: keyBytes(key) });
    return kvs[0] !== undefined && !this.codec.isCurrent(kvs[0].value);
  }

  entryOf(kv: { key: Uint8Array; value: Uint8Array; modRevision: number }): Entry | undefined {
    if (this.#cache) return this.#cache.entryOf(kv);
    const key = Buffer.from(kv.key.buffer, kv.key.byteOffset, kv.key.byteLength).toString('utf8');
    const at = this.keys.parse(key);
    return at && new Entry(this.codec, { key, ...at, revision: kv.modRevision }, kv.value);
  }
}

/**
 * The one generic store behind every kind: holds what all operations share; the operations
 * are functions over it in `create.ts`, `update.ts`, `delete.ts`, `list.ts` and `watch.ts`.
 */
export class Registry {
  readonly parts: RegistryParts;
  readonly catalogue: Catalogue;
  readonly caches: Caches;
  readonly eventLeases: LeasePool;
  /** Continue tokens of older revisions have expired, even while the cache could still serve them. */
  compactedRevision = 0;
  readonly fieldManagers: FieldManagers;
  #plugins: readonly AdmissionPlugin[] = [];
  #authorizer: Authorizer | undefined;
  readonly #stored = new Map<string, StoredResource>();
  /** By `group/plural`. */
  #custom: ReadonlyMap<string, CustomKind> = new Map();

  constructor(parts: RegistryParts) {
    this.parts = parts;
    this.catalogue = parts.catalogue;
    this.eventLeases = new LeasePool(parts.store, parts.clock, parts.eventTtlSeconds);
    this.fieldManagers = new FieldManagers(
      parts.catalogue,
      () => timestamp(parts.clock.nowMs()),
      (resource) => this.open(resource).codec.versions,
    );
    this.caches = cachesOver((resource) => this.open(resource).cache);
  }

  /** Admission is built from the registry's caches, so it comes after. */
  useAdmission(plugins: readonly AdmissionPlugin[]): void {
    this.#plugins = plugins;
  }

  /** What rights that a part of a write needs are asked of. */
  useAuthorizer(authorizer: Authorizer): void {
    this.#authorizer = authorizer;
  }

  /** The storage of a resource, whichever of its served versions is given. */
  open(resource: Resource): StoredResource {
    const served = this.catalogue.find(resource.group, resource.version, resource.plural);
    const storage = served?.storage ?? resource;
    const key = `${storage.group}/${storage.plural}`;
    let stored = this.#stored.get(key);
    if (!stored)
      this.#stored.set(key, (stored = new StoredResource(this.parts, storage, this.#custom.get(key))));
    return stored;
  }

  /** What serves a custom kind; undefined for built-in ones. */
  customKind({ group, plural }: { group: string; plural: string }): CustomKind | undefined {
    return this.#custom.get(`${group}/${plural}`);
  }

  /**
   * Serves exactly these custom kinds from now on, in this order in discovery. Watches of kinds that changed or went
   * are ended.
   */
  serveCustom(kinds: readonly CustomKind[]): void {
    const next = new Map(kinds.map((kind) => [`${kind.storage.group}/${kind.storage.plural}`, kind]));
    this.#custom = next;
    this.catalogue.replaceCustom(kinds.flatMap(({ served }) => served));
    for (const [key, stored] of this.#stored) {
      if (stored.custom === next.get(key)) continue;
      this.#stored.delete(key);
      stored.retire();
    }
  }

  /** Every resource whose cache runs, for metrics. */
  *opened(): Generator<StoredResource> {
    for (const stored of this.#stored.values()) if (stored.startedCache) yield stored;
  }

  strategyContext(context: WriteContext): StrategyContext {
    return {
      user: context.user,
      namespace: context.namespace,
      group: context.served.resource.group,
      subresource: context.subresource,
      verb: context.verb ?? 'update',
      refusalOf: (asked) => this.#refusalOf(context, asked),
      caches: this.caches,
      nowMs: this.parts.clock.nowMs(),
      dryRun: context.dryRun,
    };
  }

  #refusalOf({ user, served }: WriteContext, asked: FurtherRight): string | undefined {
    const { group, version, plural: resource } = served.resource;
    const apiPrefix = group === '' ? 'api' : 'apis';
    const attributes = { user, isResource: true, path: '', apiPrefix, group, version, resource, ...asked };
    if (!this.#authorizer) throw errors.internal('the registry has no authorizer');
    const { verdict, reason } = this.#authorizer.authorize(attributes);
    return verdict === 'allow' ? undefined : forbidden(attributes, reason).message;
  }

  /** Runs `admit` of every plugin that handles the request, in order, and all of them once more when one asks for it. */
  async admit(request: AdmissionRequest): Promise<void> {
    await this.#admitOnce(request);
    const { reinvocation } = request;
    if (!reinvocation?.needed) return;
    reinvocation.again = true;
    await this.#admitOnce(request);
  }

  async #admitOnce(request: AdmissionRequest): Promise<void> {
    for (const plugin of this.#plugins) {
      if (!plugin.admit || !plugin.handles(request.operation, request.resource, request.subresource))
        continue;
      const done = plugin.admit(request);
      if (done) await done;
    }
  }

  /** Runs `validate` of every plugin that handles the request, in order. */
  async validate(request: AdmissionRequest): Promise<void> {
    for (const plugin of this.#plugins) {
      if (!plugin.validate || !plugin.handles(request.operation, request.resource, request.subresource))
        continue;
      const done = plugin.validate(request);
      if (done) await done;
    }
  }

  /** The admission request of a write; `object` may be changed by `admit`. */
  admissionRequest(
    context: WriteContext,
    operation: AdmissionRequest['operation'],
    objects: {
      object: KubeObject | undefined;
      old: KubeObject | undefined;
      transaction: Transaction | undefined;
    },
  ): AdmissionRequest {
    const { served, subresource, namespace, user, options, dryRun } = context;
    return {
      operation,
      user,
      resource: served.resource,
      subresource,
      namespace,
      name: context.name !== '' ? context.name : (objects.object?.metadata?.name ?? ''),
      object: objects.object,
      oldObject: objects.old,
      options,
      dryRun,
      transaction: objects.transaction,
      warn: (text) => context.warn(text),
      annotate: context.annotate,
    };
  }

  /** What serves `resource`; throws for a resource that is not built in. */
  servedOf(resource: Resource): Served {
    const served = this.catalogue.find(resource.group, resource.version, resource.plural);
    if (!served) throw new Error(`${resource.plural} of ${resource.group}/${resource.version} is not served`);
    return served;
  }
}
