import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { keyOf, namespaceIndex } from '@cloudless/kube/informer/informer';
import { core } from '@cloudless/kube/resources';
import { isConflict, isNotFound } from '@cloudless/kube/status';
import { formatTime } from '@cloudless/kube/time';
import type { Namespace, NamespaceCondition, Pod } from '@cloudless/kube/types/core-v1';
import { ExponentialBackoff } from '@cloudless/kube/workqueue/workqueue';
import { semanticEqual } from '../runtime/compare.ts';
import { type Controller, type ControllerContext, startQueue } from '../runtime/context.ts';
import { type ServedResource, discover } from '../runtime/discovery.ts';
import { type Remaining, contentConditions } from './conditions.ts';

const workers = 10;
const kubernetesFinalizer = 'kubernetes';

/** Empties namespaces that are being deleted (upstream: pkg/controller/namespace). */
export function startNamespaceController(context: ControllerContext): Controller {
  const client = context.clientFor('namespace-controller');
  const namespaces = context.informers.of(core.namespaces);
  const pods = context.informers.of(core.pods);
  const terminating = (name: string): boolean =>
    namespaces.store.get(name)?.metadata.deletionTimestamp !== undefined;
  return startQueue(
    context,
    {
      name: 'namespace',
      workers,
      waitFor: [namespaces, pods],
      // Upstream: 5 ms doubling to a minute.
      rateLimiter: new ExponentialBackoff<string>(5, 60_000),
      sync: async (name, signal) => {
        const namespace = namespaces.store.get(name);
        if (!namespace || namespace.metadata.deletionTimestamp === undefined) return;
        return new Emptying(client, context.clock, name, signal).run(
          pods.store.byIndex(namespaceIndex, name),
        );
      },
    },
    (queue) => {
      namespaces.addHandler({
        add: (object) => queue.add(keyOf(object)),
        update: (object) => queue.add(keyOf(object)),
      });
      // What mostly keeps a namespace from going: the moment the last pod is gone, go on.
      pods.addHandler({
        delete: (pod) => {
          const name = pod.metadata.namespace ?? '';
          if (terminating(name) && pods.store.byIndex(namespaceIndex, name).length === 0) queue.add(name);
        },
      });
    },
  );
}

/** One pass over a namespace that is being deleted. */
class Emptying {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #name: string;
  readonly #signal: AbortSignal;

  constructor(client: KubeClient, clock: Clock, name: string, signal: AbortSignal) {
    this.#client = client;
    this.#clock = clock;
    this.#name = name;
    this.#signal = signal;
  }

  /** Answers when to look again while something is left. `pods` are those known to be in it. */
  async run(pods: readonly Pod[]): Promise<void | { requeueAfterMs: number }> {
    let live: Namespace;
    try {
      live = await this.#client.get(core.namespaces, this.#name, { signal: this.#signal });
    } catch (error) {
      if (isNotFound(error)) return;
      throw error;
    }
    if (live.metadata.deletionTimestamp === undefined) return;
    if (!(live.spec?.finalizers ?? []).includes(kubernetesFinalizer)) return;
    const remaining = await this.#deleteContent();
    const settled = await this.#writeConditions(live, remaining);
    if (remaining.failures.length > 0) throw remaining.failures[0];
    if (remaining.objects.size === 0) {
      await this.#finalize(settled);
      return;
    }
    // Pods take their grace; they come back as events, the rest is asked for again.
    const graceSeconds = Math.max(0, ...pods.map((pod) => pod.metadata.deletionGracePeriodSeconds ?? 0));
    return { requeueAfterMs: Math.max(1, Math.min(graceSeconds / 2 + 1, 15)) * 1000 };
  }

  /**
   * Deletes every deletable object: pods first, so that nothing they use goes before them (KEP-5080).
   */
  async #deleteContent(): Promise<Remaining> {
    const remaining: Remaining = { objects: new Map(), finalizers: new Map(), failures: [], discovery: [] };
    const { resources, failures } = await discover(this.#client, this.#signal);
    for (const [group, error] of failures) {
      remaining.discovery.push(`${group}: ${error.message}`);
      remaining.failures.push(error);
    }
    const deletable = resources.filter((one) => one.namespaced && one.verbs.includes('delete'));
    const isPods = (one: ServedResource): boolean => one.group === '' && one.plural === 'pods';
    await this.#deleteAll(deletable.filter(isPods), remaining);
    if (remaining.objects.size === 0) {
      await this.#deleteAll(
        deletable.filter((one) => !isPods(one)),
        remaining,
      );
    }
    return remaining;
  }

  async #deleteAll(resources: readonly ServedResource[], remaining: Remaining): Promise<void> {
    await Promise.all(
      resources.map(async (resource) => {
        try {
          await this.#deleteResource(resource, remaining);
        } catch (error) {
          if (this.#signal.aborted) throw error;
          // Not served any more, or never to be deleted: nothing to do here.
          if (isNotFound(error) || (error as { code?: number }).code === 405) return;
          remaining.failures.push(error as Error);
        }
      }),
    );
  }

  async #deleteResource(resource: ServedResource, remaining: Remaining): Promise<void> {
    const where = { namespace: this.#name, signal: this.#signal };
    const name = resource.group === '' ? resource.plural : `${resource.plural}.${resource.group}`;
    let list = resource.verbs.includes('list') ? await this.#client.list(resource, where) : undefined;
    if (list?.items.length === 0) return;
    if (resource.verbs.includes('deletecollection')) {
      await this.#client.deleteCollection(resource, { ...where, propagationPolicy: 'Background' });
    } else {
      for (const item of list?.items ?? []) await this.#deleteOne(resource, item.metadata.name ?? '');
    }
    list = list && (await this.#client.list(resource, where));
    if (!list || list.items.length === 0) return;
    remaining.objects.set(`${name} has`, list.items.length);
    for (const item of list.items) {
      for (const finalizer of item.metadata.finalizers ?? []) {
        remaining.finalizers.set(finalizer, (remaining.finalizers.get(finalizer) ?? 0) + 1);
      }
    }
  }

  async #deleteOne(resource: ServedResource, name: string): Promise<void> {
    try {
      await this.#client.delete(resource, name, {
        namespace: this.#name,
        signal: this.#signal,
        propagationPolicy: 'Background',
      });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** Says in the status what keeps the namespace, with upstream's conditions. */
  async #writeConditions(live: Namespace, remaining: Remaining): Promise<Namespace> {
    const now = formatTime(this.#clock.nowMs());
    const current = new Map((live.status?.conditions ?? []).map((one) => [one.type, one]));
    const trouble = remaining.failures.length > 0 || remaining.objects.size > 0;
    // A namespace that is empty at once needs no words.
    if (!trouble && current.size === 0) return live;
    for (const next of contentConditions(remaining)) {
      const old = current.get(next.type);
      if (old && old.status === next.status && old.message === next.message) continue;
      const since = old?.status === next.status ? (old.lastTransitionTime ?? now) : now;
      current.set(next.type, { ...next, lastTransitionTime: since } satisfies NamespaceCondition);
    }
    const conditions = [...current.values()];
    if (semanticEqual(conditions, live.status?.conditions)) return live;
    try {
      return await this.#client.update(
        core.namespaces,
        { ...live, status: { ...live.status, conditions } },
        { subresource: 'status', signal: this.#signal },
      );
    } catch (error) {
      // Only words: the next pass writes them.
      if (isConflict(error) || isNotFound(error)) return live;
      throw error;
    }
  }

  async #finalize(namespace: Namespace): Promise<void> {
    const finalizers = (namespace.spec?.finalizers ?? []).filter((one) => one !== kubernetesFinalizer);
    try {
      await this.#client.update(
        core.namespaces,
        { ...namespace, spec: { ...namespace.spec, finalizers } },
        { subresource: 'finalize', signal: this.#signal },
      );
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}
