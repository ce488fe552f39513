/**
 * An API server in memory for tests of controllers, informers and schedulers: resource versions, conflicts,
 * generations, status subresources, finalizers, graceful deletion of bound pods, watches with history and 410,
 * bookmarks, selectors, discovery, injected faults. No validation, no defaults, no authorization.
 *
 * ```ts
 * const cluster = new FakeCluster();
 * cluster.seed(core.nodes, { metadata: { name: 'a' } });
 * await cluster.client.create(core.pods, pod);
 * cluster.intercept((call) => call.verb === 'update' ? errors.unavailable('later') : undefined);
 * ```
 */
import type {
  GetOptions,
  KubeClient,
  ListOptions,
  ObjectEvent,
  PatchType,
  WatchOptions,
  WriteOptions,
} from '../client/client.ts';
import type { DeleteOptions } from '../generated/types/meta-v1.ts';
import { type KubeList, type KubeObject, type Resource, apiVersionOf } from '../object.ts';
import { StatusError, errors } from '../status.ts';
import type { FakeCall, FakeCluster } from './fake-cluster.ts';
import { discovery } from './fake-discovery.ts';
import { fakePatch } from './fake-patch.ts';
import { type Stored, keyOf } from './fake-store.ts';

export { FakeCluster, type FakeCall, type Interceptor } from './fake-cluster.ts';

/** One user's view of a {@link FakeCluster}. */
export class FakeClient implements KubeClient {
  readonly #cluster: FakeCluster;
  readonly #user: string;

  constructor(cluster: FakeCluster, user: string) {
    this.#cluster = cluster;
    this.#user = user;
  }

  #before(call: Omit<FakeCall, 'user'>, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    return this.#cluster.before({ user: this.#user, ...call });
  }

  #existing(resource: Resource, name: string, namespace: string | undefined): Stored {
    const found = this.#cluster.table(resource).get(keyOf(resource.namespaced ? namespace : undefined, name));
    if (!found) throw errors.notFound(resource, name);
    return found;
  }

  async get<T extends KubeObject>(resource: Resource<T>, name: string, options: GetOptions = {}): Promise<T> {
    const { namespace, subresource } = options;
    await this.#before({ verb: 'get', resource, name, namespace, subresource }, options.signal);
    return this.#existing(resource, name, namespace) as unknown as T;
  }

  async list<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}): Promise<KubeList<T>> {
    await this.#before({ verb: 'list', resource, namespace: options.namespace }, options.signal);
    const matches = this.#cluster.matcher(options);
    const items = this.#cluster.objects(resource).filter(matches);
    const from = options.continue ? Number(options.continue) : 0;
    const page = options.limit ? items.slice(from, from + options.limit) : items;
    const more = from + page.length < items.length;
    return {
      apiVersion: apiVersionOf(resource),
      kind: `${resource.kind}List`,
      metadata: {
        resourceVersion: this.#cluster.resourceVersion,
        ...(more ? { continue: String(from + page.length) } : {}),
      },
      items: page,
    };
  }

  async *watch<T extends KubeObject>(
    resource: Resource<T>,
    options: WatchOptions = {},
  ): AsyncGenerator<ObjectEvent<T>> {
    await this.#before(
      { verb: 'watch', resource, namespace: options.namespace, body: options },
      options.signal,
    );
    yield* this.#cluster.watch(resource, options);
  }

  async create<T extends KubeObject>(
    resource: Resource<T>,
    object: T,
    options: WriteOptions & { name?: string } = {},
  ): Promise<T> {
    const namespace = options.namespace ?? object.metadata.namespace;
    const name = options.name ?? object.metadata.name;
    await this.#before({ verb: 'create', resource, namespace, name, body: object }, options.signal);
    return this.#cluster.create(resource, object, namespace);
  }

  async createSubresource<B, R>(
    resource: Resource,
    name: string,
    subresource: string,
    body: B,
    options: WriteOptions = {},
  ): Promise<R> {
    const { namespace } = options;
    await this.#before({ verb: 'create', resource, subresource, namespace, name, body }, options.signal);
    const old = this.#existing(resource, name, namespace);
    if (subresource === 'binding') {
      if (old.spec?.nodeName) {
        throw errors.conflict(
          resource,
          name,
          `pod ${name} is already assigned to node "${old.spec.nodeName}"`,
        );
      }
      const target = (body as { target: { name: string } }).target.name;
      this.#cluster.change<Stored>(resource, name, namespace, (pod) => {
        pod.spec = { ...pod.spec, nodeName: target };
        const others = (pod.status?.conditions ?? []).filter(
          (one: { type: string }) => one.type !== 'PodScheduled',
        );
        const scheduled = { type: 'PodScheduled', status: 'True', lastTransitionTime: this.#cluster.now() };
        pod.status = { ...pod.status, conditions: [...others, scheduled] };
      });
    } else if (subresource === 'eviction') {
      this.#cluster.delete(
        resource,
        name,
        namespace,
        (body as { deleteOptions?: DeleteOptions }).deleteOptions ?? {},
      );
    } else throw errors.methodNotAllowed();
    return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 } as R;
  }

  async update<T extends KubeObject>(
    resource: Resource<T>,
    object: T,
    options: WriteOptions = {},
  ): Promise<T> {
    const namespace = options.namespace ?? object.metadata.namespace;
    const name = object.metadata.name ?? '';
    const { subresource } = options;
    await this.#before(
      { verb: 'update', resource, subresource, namespace, name, body: object },
      options.signal,
    );
    return this.#cluster.write(resource, this.#existing(resource, name, namespace), object, subresource);
  }

  async patch<T extends KubeObject>(
    resource: Resource<T>,
    name: string,
    type: PatchType,
    patch: unknown,
    options: WriteOptions & { force?: boolean } = {},
  ): Promise<T> {
    const { namespace, subresource } = options;
    await this.#before(
      { verb: 'patch', resource, subresource, namespace, name, body: patch },
      options.signal,
    );
    const old = this.#existing(resource, name, namespace);
    const next = fakePatch(resource, structuredClone(old), type, patch);
    if (JSON.stringify(next) === JSON.stringify(old)) return old as unknown as T;
    return this.#cluster.write(resource, old, next, subresource);
  }

  async delete(
    resource: Resource,
    name: string,
    options: { namespace?: string | undefined; signal?: AbortSignal | undefined } & DeleteOptions = {},
  ): Promise<unknown> {
    const { namespace, signal, ...deleteOptions } = options;
    await this.#before({ verb: 'delete', resource, namespace, name, body: deleteOptions }, signal);
    return this.#cluster.delete(resource, name, resource.namespaced ? namespace : undefined, deleteOptions);
  }

  async deleteCollection(resource: Resource, options: ListOptions & DeleteOptions = {}): Promise<void> {
    await this.#before({ verb: 'deletecollection', resource, namespace: options.namespace }, options.signal);
    const matches = this.#cluster.matcher(options);
    const { gracePeriodSeconds, propagationPolicy } = options;
    for (const object of this.#cluster.objects(resource).filter(matches)) {
      this.#cluster.delete(resource, object.metadata.name ?? '', object.metadata.namespace, {
        ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
        ...(propagationPolicy === undefined ? {} : { propagationPolicy }),
      });
    }
  }

  async raw(
    method: string,
    path: string,
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<string> {
    options.signal?.throwIfAborted();
    await Promise.resolve();
    const answer = method === 'GET' ? discovery(path) : undefined;
    if (answer === undefined)
      throw new StatusError(404, 'NotFound', 'the server could not find the requested resource');
    return JSON.stringify(answer);
  }
}
