import type {
  GetOptions,
  KubeClient,
  ListOptions,
  ObjectEvent,
  PatchType,
  WatchOptions,
  WriteOptions,
} from '@cloudless/kube/client/client';
import { patchMediaTypes } from '@cloudless/kube/client/client';
import { apiVersionOf, type KubeList, type KubeObject, type Resource } from '@cloudless/kube/object';
import { StatusError } from '@cloudless/kube/status';
import type { DeleteOptions } from '@cloudless/kube/types/meta-v1';
import type { UserInfo } from '@cloudless/kube/user';
import { listKindOf } from '../registry/catalogue.ts';
import type { Body } from '../request/body.ts';
import { type ParsedRequest, selectedName } from '../request/parse.ts';
import type { Call, Result } from '../request/call.ts';
import type { Pipeline } from '../request/pipeline.ts';
import { objectIn } from '../registry/view.ts';
import type { RequestAudit } from '../audit/event.ts';
import type { InProcessAudit } from './in-process-audit.ts';
import { watchEvents } from './watch-events.ts';
import type { RawRequest } from './raw.ts';

interface Target {
  verb: string;
  namespace?: string | undefined;
  name?: string | undefined;
  subresource?: string | undefined;
  query?: URLSearchParams;
  body?: unknown;
  patchMediaType?: string;
  signal?: AbortSignal | undefined;
}

const never = new AbortController().signal;
/** Warnings are for people; clients in this process have none. */
const noWarning = (): void => {};

function set(query: URLSearchParams, name: string, value: string | number | boolean | undefined): void {
  if (value !== undefined && value !== '') query.set(name, String(value));
}

type AnyList = Omit<ListOptions, 'resourceVersionMatch'> &
  Omit<WatchOptions, 'resourceVersionMatch'> & { resourceVersionMatch?: string | undefined };

function listQuery(options: AnyList): URLSearchParams {
  const query = new URLSearchParams();
  set(query, 'labelSelector', options.labelSelector);
  set(query, 'fieldSelector', options.fieldSelector);
  set(query, 'limit', options.limit);
  set(query, 'continue', options.continue);
  set(query, 'resourceVersion', options.resourceVersion);
  set(query, 'resourceVersionMatch', options.resourceVersionMatch);
  set(query, 'allowWatchBookmarks', options.allowWatchBookmarks);
  set(query, 'sendInitialEvents', options.sendInitialEvents);
  set(query, 'timeoutSeconds', options.timeoutSeconds);
  return query;
}

function writeQuery(options: WriteOptions & { force?: boolean }): URLSearchParams {
  const query = new URLSearchParams();
  if (options.dryRun) query.set('dryRun', 'All');
  set(query, 'fieldManager', options.fieldManager);
  set(query, 'fieldValidation', options.fieldValidation);
  set(query, 'force', options.force);
  return query;
}

/** The manager of what a part of the control plane writes: the name that upstream's programs have. */
function agentOf({ name }: UserInfo): string {
  if (name.startsWith('system:serviceaccount:kube-system:')) return 'kube-controller-manager';
  if (name.startsWith('system:node:')) return 'kubelet';
  if (name === 'system:apiserver') return 'kube-apiserver';
  return name.startsWith('system:') ? name.slice('system:'.length) : 'cloudless';
}

/**
 * The Kubernetes API in this process: the same authorization, admission and registry as over TLS, but objects pass
 * as they are, frozen and shared with the cache.
 */
export class InProcessClient implements KubeClient {
  readonly #pipeline: Pipeline;
  readonly #user: UserInfo;
  readonly #raw: RawRequest;
  readonly #audit: InProcessAudit | undefined;

  constructor(pipeline: Pipeline, user: UserInfo, raw: RawRequest, audit?: InProcessAudit) {
    this.#pipeline = pipeline;
    this.#user = user;
    this.#raw = raw;
    this.#audit = audit;
  }

  async #handle(resource: Resource, target: Target): Promise<Result & { audit?: RequestAudit }> {
    target.signal?.throwIfAborted();
    const { verb, name = '', subresource = '' } = target;
    const namespace = resource.namespaced ? (target.namespace ?? '') : '';
    const info: ParsedRequest = {
      isResource: true,
      verb,
      path: '',
      apiPrefix: resource.group === '' ? 'api' : 'apis',
      group: resource.group,
      version: resource.version,
      namespace: resource.plural === 'namespaces' && resource.group === '' ? name : namespace,
      resource: resource.plural,
      subresource,
      name,
    };
    const query = target.query ?? new URLSearchParams();
    const labels = query.get('labelSelector');
    const fields = query.get('fieldSelector');
    if (labels) info.labelSelector = labels;
    if (fields) info.fieldSelector = fields;
    if (verb === 'list' || verb === 'watch') info.name = selectedName(fields);
    const body: Body | undefined =
      target.body === undefined ? undefined : { type: 'object', object: target.body };
    const call: Call = {
      info,
      user: this.#user,
      query,
      body: () => body,
      ...(target.patchMediaType === undefined ? {} : { patchMediaType: target.patchMediaType }),
      signal: target.signal ?? never,
      userAgent: agentOf(this.#user),
      warn: noWarning,
    };
    if (!this.#audit) return await this.#pipeline.handle(call);
    return await this.#audited(this.#audit, call);
  }

  async #audited(audit: InProcessAudit, call: Call): Promise<Result & { audit?: RequestAudit }> {
    const request = await audit.begin(call.user, call.info, call.query);
    if (!request) return await this.#pipeline.handle(call);
    try {
      const result = await this.#pipeline.handle({ ...call, audit: request });
      await audit.answered(request, result);
      return { ...result, audit: request };
    } catch (error) {
      await audit.failed(request, error);
      throw error;
    }
  }

  async #object<T>(resource: Resource, target: Target): Promise<T> {
    const result = await this.#handle(resource, target);
    if (result.type === 'entry') return objectIn(result.entry, result.served.resource) as T;
    if (result.type === 'object') return result.object as T;
    throw new StatusError(
      406,
      'NotAcceptable',
      `${target.verb} of ${resource.plural} gives no object; use a stream or HTTPS`,
    );
  }

  get<T extends KubeObject>(resource: Resource<T>, name: string, options: GetOptions = {}): Promise<T> {
    return this.#object(resource, { verb: 'get', name, ...options });
  }

  async list<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}): Promise<KubeList<T>> {
    const { namespace, signal } = options;
    const result = await this.#handle(resource, {
      verb: 'list',
      namespace,
      signal,
      query: listQuery(options),
    });
    if (result.type !== 'list') throw new TypeError('a list was answered with something else');
    const { list, served } = result;
    return {
      apiVersion: apiVersionOf(resource),
      kind: listKindOf(served),
      metadata: {
        resourceVersion: String(list.revision),
        ...(list.continue === undefined ? {} : { continue: list.continue }),
        ...(list.remaining === undefined ? {} : { remainingItemCount: list.remaining }),
      },
      items: list.entries.map((entry) => objectIn(entry, served.resource) as unknown as T),
    };
  }

  async *watch<T extends KubeObject>(
    resource: Resource<T>,
    options: WatchOptions = {},
  ): AsyncGenerator<ObjectEvent<T>> {
    const { namespace, signal } = options;
    const result = await this.#handle(resource, {
      verb: 'watch',
      namespace,
      signal,
      query: listQuery(options),
    });
    if (result.type !== 'watch') throw new TypeError('a watch was answered with something else');
    const { registry } = this.#pipeline;
    try {
      yield* watchEvents<T>(registry, result.served, result.parameters, options);
    } finally {
      if (result.audit) await this.#audit?.ended(result.audit);
    }
  }

  create<T extends KubeObject>(
    resource: Resource<T>,
    object: T,
    options: WriteOptions & { name?: string } = {},
  ): Promise<T> {
    const { namespace = object.metadata?.namespace, name, subresource, signal } = options;
    return this.#object(resource, {
      verb: 'create',
      namespace,
      name,
      subresource,
      signal,
      body: object,
      query: writeQuery(options),
    });
  }

  createSubresource<B, R>(
    resource: Resource,
    name: string,
    subresource: string,
    body: B,
    options: WriteOptions = {},
  ): Promise<R> {
    const { namespace, signal } = options;
    return this.#object(resource, {
      verb: 'create',
      namespace,
      name,
      subresource,
      signal,
      body,
      query: writeQuery(options),
    });
  }

  update<T extends KubeObject>(resource: Resource<T>, object: T, options: WriteOptions = {}): Promise<T> {
    const { namespace = object.metadata.namespace, subresource, signal } = options;
    const { name } = object.metadata;
    return this.#object(resource, {
      verb: 'update',
      namespace,
      name,
      subresource,
      signal,
      body: object,
      query: writeQuery(options),
    });
  }

  patch<T extends KubeObject>(
    resource: Resource<T>,
    name: string,
    type: PatchType,
    patch: unknown,
    options: WriteOptions & { force?: boolean } = {},
  ): Promise<T> {
    const { namespace, subresource, signal } = options;
    return this.#object(resource, {
      verb: 'patch',
      namespace,
      name,
      subresource,
      signal,
      body: patch,
      patchMediaType: patchMediaTypes[type],
      query: writeQuery(options),
    });
  }

  delete(
    resource: Resource,
    name: string,
    options: { namespace?: string | undefined; signal?: AbortSignal | undefined } & DeleteOptions = {},
  ): Promise<unknown> {
    const { namespace, signal, ...body } = options;
    return this.#object(resource, { verb: 'delete', namespace, name, signal, body });
  }

  async deleteCollection(resource: Resource, options: ListOptions & DeleteOptions = {}): Promise<void> {
    const { namespace, signal, gracePeriodSeconds, propagationPolicy, orphanDependents, dryRun } = options;
    const body = { gracePeriodSeconds, propagationPolicy, orphanDependents, dryRun };
    await this.#handle(resource, {
      verb: 'deletecollection',
      namespace,
      signal,
      body,
      query: listQuery(options),
    });
  }

  raw(
    method: string,
    path: string,
    options: { body?: string; contentType?: string; signal?: AbortSignal | undefined } = {},
  ): Promise<string> {
    return this.#raw(this.#user, method, path, options);
  }
}
