import type { Informer } from '@cloudless/kube/informer/informer';
import { running } from '@cloudless/kube/lifecycle';
import { type KubeObject, type Resource, groupResourceOf } from '@cloudless/kube/object';
import { apiextensions, apiregistration } from '@cloudless/kube/resources';
import { WorkQueue, runWorkers } from '@cloudless/kube/workqueue/workqueue';
import { type Controller, type ControllerContext, recorderFor } from '../runtime/context.ts';
import { type Discovered, type ServedResource, discover } from '../runtime/discovery.ts';
import { Collector } from './collector.ts';
import { OwnerGraph } from './graph.ts';

const workers = 20;
/** Kinds without dependents, of which there are many (upstream: DefaultIgnoredResources). */
const ignored = new Set(['events', 'events.events.k8s.io']);
/** An owner's event may come after its dependent's, from another watch. */
const lateOwnerMs = 1_000;
/** Changes of what is served come in bursts. */
const rediscoverAfterMs = 200;
const rediscoverFailedAfterMs = 5_000;
/** Collecting begins without resources that cannot be listed by then. */
const syncTimeoutMs = 30_000;

/** Collects garbage: all watchable resources make one graph of owners (upstream: pkg/controller/garbagecollector). */
export function startGarbageCollector(context: ControllerContext): Controller {
  const collector = new GarbageCollector(context);
  return { ...running(() => collector.stop()), ready: collector.ready };
}

interface Monitor {
  resource: ServedResource;
  informer: Informer<KubeObject>;
  unwatch: () => void;
}

class GarbageCollector {
  readonly ready: Promise<void>;
  readonly #context: ControllerContext;
  readonly #stopping = new AbortController();
  readonly #signal: AbortSignal;
  readonly #client;
  readonly #events;
  readonly #graph: OwnerGraph;
  readonly #collector: Collector;
  readonly #toDelete: WorkQueue;
  readonly #toOrphan: WorkQueue;
  /** One key: looks at what is served. */
  readonly #toDiscover: WorkQueue;
  readonly #monitors = new Map<string, Monitor>();
  readonly #unverified = new Set<string>();
  #discovered: Discovered | undefined;
  #collecting = false;
  #parts: Array<{ stop(): Promise<void> }> = [];

  constructor(context: ControllerContext) {
    this.#context = context;
    this.#signal = AbortSignal.any([context.signal, this.#stopping.signal]);
    this.#client = context.clientFor('generic-garbage-collector');
    this.#events = recorderFor(context, 'garbage-collector-controller', this.#client);
    const queue = (name: string): WorkQueue =>
      new WorkQueue({
        name,
        clock: context.clock,
        ...(context.metrics ? { metrics: context.metrics } : {}),
      });
    this.#toDelete = queue('garbage_collector_attempt_to_delete');
    this.#toOrphan = queue('garbage_collector_attempt_to_orphan');
    this.#toDiscover = queue('garbage_collector_discovery');
    this.#graph = new OwnerGraph({
      attemptToDelete: (uid) => this.#toDelete.add(uid),
      attemptToOrphan: (uid) => this.#toOrphan.add(uid),
      verifyOwners: (uid) => {
        // While the first lists come in, owners are merely not there yet.
        if (this.#collecting) this.#toDelete.addAfter(uid, lateOwnerMs);
        else this.#unverified.add(uid);
      },
      invalidOwner: (node, owner) => {
        const { kind, group, version } = node.resource;
        this.#events.event(
          {
            kind,
            apiVersion: group === '' ? version : `${group}/${version}`,
            namespace: node.namespace,
            name: node.name,
            uid: node.uid,
          },
          'Warning',
          'OwnerRefInvalidNamespace',
          `ownerRef [${owner.apiVersion}/${owner.kind}, namespace: ${node.namespace}, name: ${owner.name}, uid: ${owner.uid}] does not exist in namespace ${JSON.stringify(node.namespace)}`,
        );
      },
    });
    this.#collector = new Collector(
      this.#client,
      this.#graph,
      (apiVersion, kind) => this.#findKind(apiVersion, kind),
      (uid) => this.#toDelete.add(uid),
    );
    this.ready = this.#start();
    this.ready.catch(() => undefined);
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the garbage collector is stopped'));
    for (const queue of [this.#toDelete, this.#toOrphan, this.#toDiscover]) queue.shutDown();
    for (const monitor of this.#monitors.values()) monitor.unwatch();
    await Promise.all(this.#parts.map((part) => part.stop()));
    await this.#events.stop();
  }

  async #start(): Promise<void> {
    const options = { signal: this.#signal, log: this.#context.log };
    const first = new Promise<void>((resolve, reject) => {
      this.#signal.addEventListener('abort', () => reject(new Error('stopped before discovery')), {
        once: true,
      });
      this.#parts.push(
        runWorkers(
          this.#toDiscover,
          1,
          async () => {
            const again = await this.#rediscover();
            resolve();
            return again;
          },
          options,
        ),
      );
    });
    this.#toDiscover.add('resources');
    await first;
    await this.#synced();
    if (this.#signal.aborted) return;
    this.#collecting = true;
    for (const uid of this.#unverified) {
      const node = this.#graph.get(uid);
      // Most owners have come meanwhile.
      if (node?.owners.some((owner) => !this.#graph.get(owner.uid))) this.#toDelete.add(uid);
    }
    this.#unverified.clear();
    this.#parts.push(
      runWorkers(this.#toDelete, workers, (uid, signal) => this.#attemptToDelete(uid, signal), options),
      runWorkers(
        this.#toOrphan,
        workers,
        (uid, signal) => this.#collector.attemptToOrphan(uid, signal),
        options,
      ),
    );
  }

  async #attemptToDelete(uid: string, signal: AbortSignal): Promise<void> {
    const node = this.#graph.get(uid);
    if (!node) return;
    await this.#collector.attemptToDelete(uid, signal);
  }

  /** All first lists, as far as they can be had in time. */
  async #synced(): Promise<void> {
    const all = Promise.allSettled([...this.#monitors.values()].map(({ informer }) => informer.synced));
    let cancel = (): void => undefined;
    const late = new Promise<void>((resolve) => {
      const timer = this.#context.clock.setTimeout(() => {
        this.#context.log.warn('garbage collection begins although not all resources could be listed');
        resolve();
      }, syncTimeoutMs);
      cancel = () => timer.cancel();
      this.#signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race([all, late]);
    cancel();
  }

  #findKind(apiVersion: string, kind: string): Resource | undefined {
    const found = this.#discovered?.byKind.get(`${apiVersion}/${kind}`);
    // A kind that came a moment ago, or is no longer there.
    if (!found) this.#toDiscover.addAfter('resources', rediscoverFailedAfterMs);
    return found;
  }

  /** Watches what is served and only that. */
  async #rediscover(): Promise<void | { requeueAfterMs: number }> {
    const found = await discover(this.#client, this.#signal);
    this.#discovered = found;
    const wanted = new Map<string, ServedResource>();
    for (const resource of found.resources) {
      const name = groupResourceOf(resource);
      const watchable = ['delete', 'list', 'watch'].every((verb) => resource.verbs.includes(verb));
      if (watchable && !ignored.has(name)) wanted.set(name, resource);
    }
    for (const [name, monitor] of this.#monitors) {
      if (wanted.has(name) || failed(found, monitor.resource)) continue;
      this.#monitors.delete(name);
      monitor.unwatch();
      await this.#context.informers.drop(monitor.resource);
    }
    for (const [name, resource] of wanted) {
      if (!this.#monitors.has(name)) this.#monitors.set(name, this.#monitor(resource));
    }
    if (found.failures.size > 0) return { requeueAfterMs: rediscoverFailedAfterMs };
  }

  #monitor(resource: ServedResource): Monitor {
    const informer = this.#context.informers.of<KubeObject>(resource);
    const observe = (object: KubeObject): void => this.#graph.observe(resource, object);
    const stopGraph = informer.addHandler({
      add: observe,
      update: observe,
      delete: (object) => this.#graph.remove(object.metadata.uid ?? ''),
    });
    const stopKinds = servesKinds(resource) ? this.#watchKinds(informer) : undefined;
    return {
      resource,
      informer,
      unwatch: () => {
        stopGraph();
        stopKinds?.();
      },
    };
  }

  /** Definitions and aggregated servers change what is served. */
  #watchKinds(informer: Informer<KubeObject>): () => void {
    const changed = (): void => this.#toDiscover.addAfter('resources', rediscoverAfterMs);
    return informer.addHandler({
      add: (_, initial) => {
        if (!initial) changed();
      },
      update: changed,
      delete: changed,
    });
  }
}

function servesKinds(resource: Resource): boolean {
  return [apiextensions.customresourcedefinitions, apiregistration.apiservices].some(
    (one) => groupResourceOf(one) === groupResourceOf(resource),
  );
}

/** The resource's group did not answer: nothing is known of it, so it stays. */
function failed(found: Discovered, resource: Resource): boolean {
  const version = resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
  return found.failures.has(version);
}
