import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { type Informer, type InformerSet, keyOf, namespaceIndex } from '@cloudless/kube/informer/informer';
import { groupResourceOf, type KubeObject } from '@cloudless/kube/object';
import { concerns, isChargedTo, usageOf } from '@cloudless/kube/quota/usage';
import { apiextensions, core } from '@cloudless/kube/resources';
import type { ResourceQuota } from '@cloudless/kube/types/core-v1';
import type { WorkQueue } from '@cloudless/kube/workqueue/workqueue';
import { canonicalJson } from '../runtime/compare.ts';
import { type Controller, type ControllerContext, startQueue } from '../runtime/context.ts';
import { discover, type ServedResource } from '../runtime/discovery.ts';
import { freedAtMs, quotaStatus, sameQuotaStatus } from './quota-usage.ts';

const workers = 5;
/** The key that stands for what is served; no quota has such a name. */
const served = '/resources';
/** Changes of what is served come in bursts. */
const rediscoverAfterMs = 300;
const rediscoverFailedAfterMs = 5_000;

/**
 * Keeps `status.used` of ResourceQuotas true as objects go and change (upstream: pkg/controller/resourcequota). What
 * comes is charged by admission, in the transaction that creates it; this controller decides nothing.
 */
export function startResourceQuotaController(context: ControllerContext): Controller {
  const quotas = context.informers.of(core.resourcequotas);
  const definitions = context.informers.of(apiextensions.customresourcedefinitions);
  const client = context.clientFor('resourcequota-controller');
  const controller = new ResourceQuotaController(client, context.clock, context.informers, quotas);
  return startQueue(
    context,
    {
      name: 'resourcequota_primary',
      workers,
      waitFor: [quotas, definitions],
      sync: (key, signal) => controller.sync(key, signal),
      owns: [{ stop: () => controller.stop(), [Symbol.asyncDispose]: () => controller.stop() }],
    },
    (queue) => controller.wire(queue, definitions),
  );
}

interface Tracked {
  resource: ServedResource;
  informer: Informer<KubeObject>;
  unwatch: () => void;
}

class ResourceQuotaController {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #informers: InformerSet;
  readonly #quotas: Informer<ResourceQuota>;
  readonly #unwatch: Array<() => void> = [];
  /** Resources that some quota limits, by `plural.group`. */
  readonly #tracked = new Map<string, Tracked>();
  /** Resources that could be limited; undefined before the first look. */
  #served: ServedResource[] | undefined;
  #queue: WorkQueue | undefined;

  constructor(client: KubeClient, clock: Clock, informers: InformerSet, quotas: Informer<ResourceQuota>) {
    this.#client = client;
    this.#clock = clock;
    this.#informers = informers;
    this.#quotas = quotas;
  }

  wire(queue: WorkQueue, definitions: Informer<KubeObject>): void {
    this.#queue = queue;
    const changed = (): void => queue.addAfter(served, rediscoverAfterMs);
    this.#unwatch.push(
      this.#quotas.addHandler({
        add: (quota) => queue.add(keyOf(quota)),
        update: (quota, old) => {
          // Admission writes the status all the time; what it writes is right.
          if (canonicalJson(quota.spec) !== canonicalJson(old.spec)) queue.add(keyOf(quota));
        },
      }),
      definitions.addHandler({
        add: (_, initial) => !initial && changed(),
        update: changed,
        delete: changed,
      }),
    );
  }

  stop(): Promise<void> {
    for (const unwatch of this.#unwatch) unwatch();
    for (const { unwatch } of this.#tracked.values()) unwatch();
    this.#tracked.clear();
    return Promise.resolve();
  }

  async sync(key: string, signal: AbortSignal): Promise<void | { requeueAfterMs: number }> {
    if (key === served) return this.#rediscover(signal);
    const quota = this.#quotas.store.get(key);
    if (!quota) return;
    // The first quota of the cluster pays for finding out what is served.
    if (!this.#served) await this.#discover(signal);
    const tracked = this.#track(quota);
    await Promise.all(tracked.map(({ informer }) => informer.synced));
    const { namespace = '' } = quota.metadata;
    const counted = tracked.map(({ resource, informer }) => ({
      resource,
      objects: informer.store.byIndex(namespaceIndex, namespace),
    }));
    const status = quotaStatus(quota, counted, this.#clock.nowMs());
    if (sameQuotaStatus(quota.status, status)) return;
    await this.#client.update(core.resourcequotas, { ...quota, status }, { subresource: 'status', signal });
  }

  async #discover(signal: AbortSignal): Promise<boolean> {
    const { resources, failures } = await discover(this.#client, signal);
    this.#served = resources.filter(
      ({ namespaced, verbs }) =>
        namespaced && ['create', 'list', 'watch', 'delete'].every((verb) => verbs.includes(verb)),
    );
    return failures.size === 0;
  }

  /** Drops what is gone, and counts every quota again that names what may have come. */
  async #rediscover(signal: AbortSignal): Promise<void | { requeueAfterMs: number }> {
    // Without a quota nothing is known of what is served, and nothing need be.
    if (!this.#served) return;
    const complete = await this.#discover(signal);
    const names = new Set((this.#served ?? []).map(groupResourceOf));
    if (complete)
      for (const [name, { unwatch }] of this.#tracked) {
        if (names.has(name)) continue;
        unwatch();
        this.#tracked.delete(name);
      }
    for (const quota of this.#quotas.store.list()) this.#queue?.add(keyOf(quota));
    if (!complete) return { requeueAfterMs: rediscoverFailedAfterMs };
  }

  /** The resources that a quota limits, watched. */
  #track(quota: ResourceQuota): Tracked[] {
    const limits = Object.keys(quota.spec?.hard ?? {});
    const limited = (this.#served ?? []).filter((resource) =>
      limits.some((name) => isChargedTo(resource, name)),
    );
    return limited.map((resource) => {
      const name = groupResourceOf(resource);
      const informer = this.#informers.of<KubeObject>(resource);
      const known = this.#tracked.get(name);
      if (known?.informer === informer) return known;
      known?.unwatch();
      const tracked = { resource, informer, unwatch: this.#watch(resource, informer) };
      this.#tracked.set(name, tracked);
      return tracked;
    });
  }

  #watch(resource: ServedResource, informer: Informer<KubeObject>): () => void {
    const recount = (object: KubeObject, delayMs = 0): void => {
      for (const quota of this.#quotas.store.byIndex(namespaceIndex, object.metadata.namespace ?? '')) {
        if (!concerns(quota, resource, object)) continue;
        if (delayMs > 0) this.#queue?.addAfter(keyOf(quota), delayMs);
        else this.#queue?.add(keyOf(quota));
      }
    };
    const isLimited = ({ metadata }: KubeObject): boolean =>
      this.#quotas.store.byIndex(namespaceIndex, metadata.namespace ?? '').length > 0;
    return informer.addHandler({
      update: (object, old) => {
        if (!isLimited(object)) return;
        const nowMs = this.#clock.nowMs();
        const freedMs = freedAtMs(object);
        if (freedMs !== undefined && freedMs > nowMs) recount(object, freedMs - nowMs + 1);
        if (this.#counts(resource, object, nowMs) === this.#counts(resource, old, nowMs)) return;
        recount(object);
        recount(old);
      },
      delete: (object) => recount(object),
    });
  }

  /** What an object is charged for and by which quotas, as a text to compare. */
  #counts(resource: ServedResource, object: KubeObject, nowMs: number): string {
    const usage = [...usageOf(resource, object, nowMs)].map(
      ([name, amount]) => `${name}=${amount.toString()}`,
    );
    const quotas = this.#quotas.store
      .byIndex(namespaceIndex, object.metadata.namespace ?? '')
      .filter((quota) => concerns(quota, resource, object));
    return `${usage.join()} ${quotas.map(keyOf).join()}`;
  }
}
