import { running, type Running } from '@cloudless/kube/lifecycle';
import { apiextensions } from '@cloudless/kube/resources';
import { isConflict, isNotFound } from '@cloudless/kube/status';
import type { CustomResourceDefinition } from '@cloudless/kube/types/apiextensions-v1';
import type { UserInfo } from '@cloudless/kube/user';
import type { ResourceCache } from '../cache/cache.ts';
import type { Registry } from '../registry/registry.ts';
import type { PartContext } from '../server/options.ts';
import type { WebhookClients } from '../webhook-client/client.ts';
import type { ConversionClients } from './conversion/webhook-converter.ts';
import type { DefinedKind } from './kind/custom-kind.ts';

/** Loaded when the first definition is met: a cluster without any pays nothing for them. */
type Serving = typeof import('./serving.ts');

const retryMs = 1_000;
const crds = apiextensions.customresourcedefinitions;

/** Custom kinds follow their definitions from here on. */
export interface Definitions extends Running {
  /** Resolves when the kinds of all definitions that were stored before the start are served. */
  readonly synced: Promise<void>;
  readonly isSynced: boolean;
}

/**
 * Follows CustomResourceDefinitions: gives each its status (names, conditions), serves the kinds of the established
 * ones, and empties those being deleted. Whoever wrote a definition, this server or another on the same store, what
 * is served changes with the cache in which the change is seen. `user` is who the server itself acts as.
 */
export function startDefinitions(registry: Registry, context: PartContext, user: UserInfo): Definitions {
  const follower = new Follower(registry, context, user);
  return {
    ...running(() => follower.stop()),
    synced: follower.synced,
    get isSynced() {
      return follower.isSynced;
    },
  };
}

/** Connections to conversion webhooks, which end with `signal`; loaded when the first is called. */
function conversionClients({ caches }: Registry, signal: AbortSignal): ConversionClients {
  let made: Promise<WebhookClients> | undefined;
  const make = async (): Promise<WebhookClients> => {
    const [{ WebhookClients: Clients }, { serviceResolver }] = await Promise.all([
      import('../webhook-client/client.ts'),
      import('../webhook-client/service-resolver.ts'),
    ]);
    return new Clients({ resolve: serviceResolver(caches), userAgent: 'kube-apiserver', signal });
  };
  return () => (made ??= make());
}

class Follower {
  readonly synced: Promise<void>;
  isSynced = false;
  readonly #registry: Registry;
  readonly #context: PartContext;
  readonly #user: UserInfo;
  readonly #cache: ResourceCache<CustomResourceDefinition>;
  readonly #unsubscribe: () => void;
  /** By the definition's name. */
  #kinds = new Map<string, DefinedKind>();
  readonly #queue = new Set<string>();
  readonly #finalizing = new Map<string, Promise<void>>();
  readonly #retries = new Set<{ cancel(): void }>();
  #serving: Serving | undefined;
  #working: Promise<void> | undefined;
  /** Whether the last round could load what it needs; else the retry begins the next one. */
  #loaded = false;
  readonly #conversions: ConversionClients;

  constructor(registry: Registry, context: PartContext, user: UserInfo) {
    this.#registry = registry;
    this.#user = user;
    this.#context = context;
    this.#conversions = conversionClients(registry, context.signal);
    this.#cache = registry.caches.of(crds);
    this.#unsubscribe = this.#cache.subscribe(({ object, type }) => {
      this.#enqueue(object.metadata.name ?? '');
      // A name that is given up may be what another definition waits for.
      if (type === 'deleted') this.#enqueueGroup(object.spec.group);
    });
    this.synced = this.#start();
    this.synced.catch(() => {});
  }

  async #start(): Promise<void> {
    await this.#cache.ready;
    const names = [...this.#cache.list()].map(({ metadata }) => metadata.name ?? '');
    if (names.length > 0) {
      while (!(await this.#served()) && !this.#context.signal.aborted) await this.#pause();
      for (const name of names) this.#enqueue(name);
    }
    this.isSynced = true;
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    this.#queue.clear();
    for (const retry of this.#retries) retry.cancel();
    await this.#working;
    await Promise.all(this.#finalizing.values());
  }

  async #load(): Promise<Serving> {
    return (this.#serving ??= await import('./serving.ts'));
  }

  #enqueueGroup(group: string): void {
    for (const { metadata, spec } of this.#cache.list())
      if (spec.group === group) this.#enqueue(metadata.name ?? '');
  }

  #enqueue(name: string): void {
    if (this.#context.signal.aborted) return;
    this.#queue.add(name);
    // Before anybody else hears of the change, what it means is served.
    if (this.#serving) void this.#served();
    this.#working ??= this.#drain();
  }

  /** Works until nothing is queued. What comes between the last look and the end must not be left lying. */
  async #drain(): Promise<void> {
    do await this.#work();
    while (this.#queue.size > 0 && this.#loaded && !this.#context.signal.aborted);
    this.#working = undefined;
  }

  async #work(): Promise<void> {
    this.#loaded = await this.#served();
    if (!this.#loaded) {
      // All others of the queue come with the first.
      const [name] = this.#queue;
      if (name !== undefined) this.#retry(name);
      return;
    }
    for (const name of this.#queue) {
      this.#queue.delete(name);
      try {
        await this.#settle(name);
      } catch (error) {
        if (this.#context.signal.aborted) return;
        // The cache brings what won.
        if (isConflict(error) || isNotFound(error)) continue;
        this.#context.log.warn({ err: error, definition: name }, 'cannot settle a definition, trying again');
        this.#retry(name);
      }
    }
  }

  #retry(name: string): void {
    const timer = this.#context.clock.setTimeout(() => {
      this.#retries.delete(timer);
      this.#enqueue(name);
    }, retryMs);
    this.#retries.add(timer);
  }

  /** As {@link #refresh}; false, and a line in the log, when what it needs cannot be loaded. */
  async #served(): Promise<boolean> {
    try {
      if (!this.#serving) await this.#load();
      await this.#refresh();
      return true;
    } catch (error) {
      this.#context.log.error({ err: error }, 'custom kinds cannot be served, trying again');
      return false;
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#context.clock.setTimeout(resolve, retryMs);
      this.#context.signal.addEventListener('abort', () => (timer.cancel(), resolve()), { once: true });
    });
  }

  /** Serves the kinds of the definitions as they stand in the cache; at once unless rules must be loaded first. */
  #refresh(): Promise<void> | undefined {
    const { kinds, changed, missing } = (this.#serving as Serving).servedKinds(
      this.#cache.list(),
      this.#kinds,
      this.#conversions,
    );
    if (changed) {
      this.#kinds = kinds;
      this.#registry.serveCustom((this.#serving as Serving).inDiscoveryOrder(kinds.values()));
    }
    return missing?.then(() => this.#refresh());
  }

  /** Gives one definition the status it should have, or begins to empty its kind. */
  async #settle(name: string): Promise<void> {
    const definition = this.#cache.get('', name);
    if (!definition) return;
    const { clock, client } = this.#context;
    const serving = await this.#load();
    if (definition.metadata.deletionTimestamp) return this.#finalize(definition);
    const status = serving.statusOf(definition, this.#cache.list(), clock.nowMs());
    if (!status) return;
    await client.update(crds, { ...definition, status }, { subresource: 'status' });
    // The next one must see the names that this one took, and whoever waited for names this one gave up.
    await this.#cache.fresh();
    if (serving.gaveUpNames(definition, status)) this.#enqueueGroup(definition.spec.group);
  }

  #finalize(definition: CustomResourceDefinition): void {
    const name = definition.metadata.name ?? '';
    if (this.#finalizing.has(name)) return;
    const { finalizeDefinition } = this.#serving as Serving;
    const parts = { registry: this.#registry, context: this.#context, user: this.#user };
    const task = finalizeDefinition(parts, definition, () => this.#kinds.get(name))
      .catch((error: unknown) => {
        if (this.#context.signal.aborted || isNotFound(error)) return;
        if (!isConflict(error))
          this.#context.log.warn(
            { err: error, definition: name },
            'cannot remove the objects of a deleted definition yet, trying again',
          );
        this.#retry(name);
      })
      .finally(() => this.#finalizing.delete(name));
    this.#finalizing.set(name, task);
  }
}
