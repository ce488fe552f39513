import { type KubeObject, pathOf } from '@cloudless/kube/object';
import { core } from '@cloudless/kube/resources';
import { errors, StatusError } from '@cloudless/kube/status';
import type { Scale } from '@cloudless/kube/types/autoscaling-v1';
import type { Binding, Pod } from '@cloudless/kube/types/core-v1';
import type { DeleteOptions, Status } from '@cloudless/kube/types/meta-v1';
import type { Eviction } from '@cloudless/kube/types/policy-v1';
import type { UserInfo } from '@cloudless/kube/user';
import type { Authorizer } from '../authz/authorizer.ts';
import type { Entry } from '../cache/entry.ts';
import { bindPod } from '../registry/binding.ts';
import type { Served } from '../registry/catalogue.ts';
import type { WriteContext } from '../registry/context.ts';
import { convert } from '../registry/conversion.ts';
import { createObject } from '../registry/create.ts';
import { deleteCollection, deleteObject } from '../registry/delete.ts';
import type { Endpoint } from '../registry/endpoint.ts';
import { evictPod } from '../registry/eviction.ts';
import { getObject } from '../registry/get.ts';
import { type ListParameters, type ListResult, listObjects } from '../registry/list.ts';
import type { Registry } from '../registry/registry.ts';
import { returnsDeletedObject } from '../registry/rules.ts';
import { scaleOf, withScale } from '../registry/scale.ts';
import { updateObject } from '../registry/update.ts';
import type { StreamRequest } from '../streams/streams.ts';
import { objectIn } from './view.ts';
import type { ApplyPatch, Body, BodyDecoder, BodyKind, FieldValidation } from './body.ts';
import { forbidden } from './forbidden.ts';
import type { ParsedRequest } from './parse.ts';
import { deleteOptionsOf, listParameters, type WriteParameters, writeParameters } from './parameters.ts';

/** One request, authenticated; from the wire or from a client in this process. */
export interface Call {
  readonly info: ParsedRequest;
  readonly user: UserInfo;
  readonly query: URLSearchParams;
  /** Read only when the verb needs it. */
  body(): Promise<Body | undefined> | Body | undefined;
  /** Media type of a PATCH, without parameters. */
  readonly patchMediaType?: string;
  readonly signal: AbortSignal;
  warn(text: string): void;
}

/** What a request is answered with; how it is encoded is the caller's business. */
export type Result =
  | { type: 'entry'; code: number; served: Served; entry: Entry }
  | { type: 'object'; code: number; object: object }
  | { type: 'list'; served: Served; list: ListResult }
  | { type: 'watch'; served: Served; parameters: ListParameters }
  | { type: 'stream'; request: StreamRequest };

export interface PipelineParts {
  registry: Registry;
  decoder: BodyDecoder;
  patch: ApplyPatch;
  authorizer: Authorizer;
  /** Resolves when the authorizer can decide. */
  authorizerReady: Promise<void>;
  endpoints: readonly Endpoint[];
}

const patchTypes: Readonly<Record<string, 'json' | 'merge' | 'strategic' | 'apply'>> = {
  'application/json-patch+json': 'json',
  'application/merge-patch+json': 'merge',
  'application/strategic-merge-patch+json': 'strategic',
  'application/apply-patch+yaml': 'apply',
  'application/apply-patch+cbor': 'apply',
};
const streamed: ReadonlySet<string> = new Set(['log', 'exec', 'attach', 'portforward']);

/** Subresources that are views of the stored object itself. */
const ofParentKind: ReadonlySet<string> = new Set([
  'status',
  'approval',
  'finalize',
  'ephemeralcontainers',
  'resize',
]);

/**
 * From an authenticated request to its result: authorization, decoding, and the registry's operation (DESIGN.md
 * section 6, "Path of a write"). The same for requests over TLS and from clients in this process.
 */
export class Pipeline {
  readonly registry: Registry;
  readonly authorizer: Authorizer;
  readonly #parts: PipelineParts;
  readonly #endpoints = new Map<string, Endpoint>();
  #authorizerReady = false;

  constructor(parts: PipelineParts) {
    this.registry = parts.registry;
    this.authorizer = parts.authorizer;
    this.#parts = parts;
    for (const endpoint of parts.endpoints) {
      const { resource, subresource } = endpoint;
      this.#endpoints.set(`${resource.group}/${resource.plural}/${subresource}`, endpoint);
    }
    parts.authorizerReady.then(
      () => void (this.#authorizerReady = true),
      () => {},
    );
  }

  /** Throws 403 unless the authorizer allows it. Waits for the authorizer's own objects at the start. */
  async authorize(user: UserInfo, info: ParsedRequest): Promise<void> {
    if (!this.#authorizerReady && !user.groups.includes('system:masters')) await this.#parts.authorizerReady;
    const attributes = { ...info, user };
    const decision = this.authorizer.authorize(attributes);
    if (decision.verdict !== 'allow') throw forbidden(attributes, decision.reason);
  }

  /** Authorizes and carries out one resource request. */
  async handle(call: Call): Promise<Result> {
    await this.authorize(call.user, call.info);
    const { info } = call;
    const served = this.registry.catalogue.find(info.group, info.version, info.resource);
    if (!served) throw notServed();
    const namespace = served.resource.namespaced ? info.namespace : '';
    if (info.subresource !== '') return await this.#subresource(call, served, namespace);
    if (!served.verbs.includes(info.verb)) throw errors.methodNotAllowed(served.resource, info.verb);
    switch (info.verb) {
      case 'get': {
        const resourceVersion = call.query.get('resourceVersion') ?? undefined;
        const entry = await getObject(this.registry, served, { namespace, name: info.name, resourceVersion });
        return { type: 'entry', code: 200, served, entry };
      }
      case 'list': {
        const list = await listObjects(this.registry, served, listParameters(call.query, namespace));
        return { type: 'list', served, list };
      }
      case 'watch': {
        const parameters = listParameters(call.query, namespace);
        // The deprecated `/watch/…/NAME` watches one object.
        if (info.name !== '' && !parameters.fieldSelector)
          parameters.fieldSelector = `metadata.name=${info.name}`;
        return { type: 'watch', served, parameters };
      }
      case 'create':
        return served.computed
          ? await this.#endpoint(call, served, '')
          : await this.#create(call, served, namespace);
      case 'update':
        return await this.#update(call, served, namespace);
      case 'patch':
        return await this.#patch(call, served, namespace);
      case 'delete':
        return await this.#delete(call, served, namespace);
      default:
        return await this.#deleteCollection(call, served, namespace);
    }
  }

  #context(call: Call, served: Served, namespace: string, parameters: WriteParameters): WriteContext {
    if (served.resource.namespaced && namespace === '') {
      throw errors.badRequest('an empty namespace may not be set during creation');
    }
    return {
      user: call.user,
      served,
      subresource: call.info.subresource,
      namespace,
      name: call.info.name,
      options: parameters.options,
      dryRun: parameters.dryRun,
      warn: (text) => call.warn(text),
    };
  }

  /** Decoded, defaulted, in the storage version; a fresh object at every call. */
  #objectOf(
    body: Body,
    context: WriteContext,
    validation: FieldValidation,
    warn: (text: string) => void,
  ): KubeObject {
    const { resource } = context.served;
    return this.#settle(this.#parts.decoder.decode(body, resource, validation, warn), context);
  }

  /** `beforeDefaults`, defaults of the version at hand, conversion: what follows decoding for every object. */
  #settle(object: KubeObject, context: WriteContext): KubeObject {
    const { registry } = this;
    const { resource } = context.served;
    const stored = registry.open(resource);
    stored.strategy.beforeDefaults?.(registry.strategyContext(context), object);
    const sameVersion =
      resource.group === stored.resource.group && resource.version === stored.resource.version;
    if (!sameVersion) registry.parts.defaultsOf(resource)(object);
    const converted = convert(object, resource, stored.resource);
    registry.parts.defaultsOf(stored.resource)(converted);
    return converted;
  }

  async #requiredBody(call: Call): Promise<Body> {
    const body = await call.body();
    if (!body) throw errors.badRequest('the body of the request is empty; an object is required');
    return body;
  }

  async #create(call: Call, served: Served, namespace: string): Promise<Result> {
    const parameters = writeParameters(call.query, 'CreateOptions');
    const context = this.#context(call, served, namespace, parameters);
    const body = await this.#requiredBody(call);
    let warn = (text: string): void => call.warn(text);
    const entry = await createObject(this.registry, context, () => {
      const object = this.#objectOf(body, context, parameters.fieldValidation, warn);
      warn = () => {};
      return object;
    });
    return { type: 'entry', code: 201, served, entry };
  }

  async #update(call: Call, served: Served, namespace: string): Promise<Result> {
    const parameters = writeParameters(call.query, 'UpdateOptions');
    const context = this.#context(call, served, namespace, parameters);
    const body = await this.#requiredBody(call);
    let warn = (text: string): void => call.warn(text);
    const decode = (): KubeObject => {
      const object = this.#objectOf(body, context, parameters.fieldValidation, warn);
      warn = () => {};
      checkName(object, context.name);
      return object;
    };
    // Before the stored object is read, so that a broken body is what is reported.
    let first: KubeObject | undefined = decode();
    const next = (): KubeObject => {
      const object = first ?? decode();
      first = undefined;
      return object;
    };
    const create = call.info.subresource === '' ? { create: next } : {};
    const { entry, created } = await updateObject(this.registry, context, next, create);
    return { type: 'entry', code: created ? 201 : 200, served, entry };
  }

  async #patch(call: Call, served: Served, namespace: string): Promise<Result> {
    const change = await this.#patcher(call, served.resource);
    const context = this.#context(call, served, namespace, change.parameters);
    let warn = (text: string): void => call.warn(text);
    const { entry } = await updateObject(
      this.registry,
      context,
      (old) => {
        const current = objectIn(old, served.resource);
        const { fieldValidation } = change.parameters;
        const patched = this.#parts.decoder.decodePatched(
          change.apply(current),
          served.resource,
          fieldValidation,
          warn,
        );
        warn = () => {};
        checkName(patched, context.name);
        return this.#settle(patched, context);
      },
      // A patch that names no resourceVersion means the newest object, whichever that is.
      { retryConflicts: !change.namesVersion },
    );
    return { type: 'entry', code: 200, served, entry };
  }

  /** Reads a PATCH's type, parameters and document; throws 415 for types that are not served. */
  async #patcher(call: Call, kind: BodyKind) {
    const mediaType = call.patchMediaType ?? '';
    const type = patchTypes[mediaType];
    if (type === 'apply') {
      throw errors.unsupportedMediaType(
        `server-side apply (${mediaType}) is not served yet; use kubectl apply without --server-side`,
      );
    }
    if (!type) {
      throw errors.unsupportedMediaType(
        `the body of the request was in an unknown format - accepted media types include: ${Object.keys(patchTypes).slice(0, 3).join(', ')}`,
      );
    }
    const parameters = writeParameters(call.query, 'PatchOptions', type);
    const document = this.#parts.decoder.parsePatch(await this.#requiredBody(call));
    const apply = (object: KubeObject): unknown => this.#parts.patch(type, object, document, kind);
    const metadata = (document as { metadata?: { resourceVersion?: unknown } } | null)?.metadata;
    return { parameters, apply, namesVersion: metadata?.resourceVersion !== undefined };
  }

  async #deleteOptions(call: Call): Promise<DeleteOptions> {
    const body = await call.body();
    if (!body || (body.type === 'bytes' && body.bytes.length === 0)) return deleteOptionsOf(call.query);
    const kind = { group: 'meta.k8s.io', version: 'v1', kind: 'DeleteOptions' };
    return this.#parts.decoder.decode(body, kind, 'Ignore', () => {}) as unknown as DeleteOptions;
  }

  async #delete(call: Call, served: Served, namespace: string): Promise<Result> {
    const options = await this.#deleteOptions(call);
    const dryRun = (options.dryRun?.length ?? 0) > 0;
    const parameters = {
      ...writeParameters(new URLSearchParams(), 'UpdateOptions'),
      dryRun,
      options: { ...options },
    };
    const context = this.#context(call, served, namespace, parameters);
    const { gone, entry } = await deleteObject(this.registry, context, options);
    if (!gone || returnsDeletedObject(served.resource)) return { type: 'entry', code: 200, served, entry };
    const { group, plural: kind } = served.resource;
    const uid = entry.object.metadata.uid as string;
    const details = { name: context.name, ...(group === '' ? {} : { group }), kind, uid };
    const object: Status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details };
    return { type: 'object', code: 200, object };
  }

  async #deleteCollection(call: Call, served: Served, namespace: string): Promise<Result> {
    const options = await this.#deleteOptions(call);
    const dryRun = (options.dryRun?.length ?? 0) > 0;
    const list = { ...listParameters(call.query, namespace), sendInitialEvents: undefined };
    const context: WriteContext = {
      user: call.user,
      served,
      subresource: '',
      namespace,
      name: '',
      options: { ...options },
      dryRun,
      warn: (text) => call.warn(text),
    };
    const entries = await deleteCollection(this.registry, context, list, options);
    const revision = this.registry.open(served.resource).cache.revision;
    return { type: 'list', served, list: { entries, revision } };
  }

  async #subresource(call: Call, served: Served, namespace: string): Promise<Result> {
    const { info } = call;
    const { subresource } = info;
    const facts = served.subresources.get(subresource);
    if (!facts) throw notServed();
    if (!facts.verbs.includes(info.verb)) {
      throw errors.methodNotAllowed(
        { group: info.group, plural: `${info.resource}/${subresource}` },
        info.verb,
      );
    }
    if (streamed.has(subresource)) return await this.#stream(call, served, namespace);
    if (subresource === 'scale') return await this.#scale(call, served, namespace);
    if (subresource === 'binding' || subresource === 'eviction')
      return await this.#podAction(call, served, namespace);
    if (!ofParentKind.has(subresource)) return await this.#endpoint(call, served, namespace);
    if (info.verb === 'update') return await this.#update(call, served, namespace);
    if (info.verb === 'patch') return await this.#patch(call, served, namespace);
    const entry = await getObject(this.registry, served, { namespace, name: info.name });
    return { type: 'entry', code: 200, served, entry };
  }

  async #scale(call: Call, served: Served, namespace: string): Promise<Result> {
    const { info } = call;
    if (info.verb === 'get') {
      const { object } = await getObject(this.registry, served, { namespace, name: info.name });
      return { type: 'object', code: 200, object: scaleOf(object) };
    }
    const kind = { group: 'autoscaling', version: 'v1', kind: 'Scale' };
    const { decoder } = this.#parts;
    const warn = (text: string): void => call.warn(text);
    if (info.verb === 'patch') {
      const change = await this.#patcher(call, kind);
      const context = this.#context(call, served, namespace, change.parameters);
      const { entry } = await updateObject(
        this.registry,
        context,
        ({ object }) => {
          const patched = change.apply(scaleOf(object) as unknown as KubeObject);
          const scale = decoder.decodePatched(patched, kind, change.parameters.fieldValidation, warn);
          return withScale(object, scale as unknown as Scale);
        },
        { retryConflicts: !change.namesVersion },
      );
      return { type: 'object', code: 200, object: scaleOf(entry.object) };
    }
    const parameters = writeParameters(call.query, 'UpdateOptions');
    const context = this.#context(call, served, namespace, parameters);
    const body = await this.#requiredBody(call);
    const scale = decoder.decode(body, kind, parameters.fieldValidation, warn) as unknown as Scale;
    const { entry } = await updateObject(this.registry, context, ({ object }) => withScale(object, scale));
    return { type: 'object', code: 200, object: scaleOf(entry.object) };
  }

  async #podAction(call: Call, served: Served, namespace: string): Promise<Result> {
    const facts = served.subresources.get(call.info.subresource) as BodyKind;
    const parameters = writeParameters(call.query, 'CreateOptions');
    const context = this.#context(call, served, namespace, parameters);
    const body = await this.#requiredBody(call);
    const decoded = this.#parts.decoder.decode(body, facts, parameters.fieldValidation, (text) =>
      call.warn(text),
    );
    await this.#admitted(context, decoded);
    const object =
      call.info.subresource === 'binding'
        ? await bindPod(this.registry, context, decoded as unknown as Binding)
        : await evictPod(this.registry, context, decoded as unknown as Eviction);
    return { type: 'object', code: 201, object };
  }

  /** Admission of a body that is not itself stored. */
  async #admitted(context: WriteContext, object: KubeObject): Promise<void> {
    const request = this.registry.admissionRequest(context, 'CREATE', {
      object,
      old: undefined,
      transaction: undefined,
    });
    await this.registry.admit(request);
    await this.registry.validate(request);
  }

  async #endpoint(call: Call, served: Served, namespace: string): Promise<Result> {
    const { info } = call;
    const { resource } = served;
    const parameters = writeParameters(call.query, 'CreateOptions');
    const context = this.#context(call, served, namespace, parameters);
    const body = await this.#requiredBody(call);
    if (resource.group === '' && resource.plural === 'bindings')
      return await this.#legacyBinding(call, body, context, parameters);
    const endpoint = this.#endpoints.get(`${resource.group}/${resource.plural}/${info.subresource}`);
    if (!endpoint) {
      throw new StatusError(
        501,
        '',
        `${pathOf(resource)} ${info.subresource} is known but not served by this server`,
      );
    }
    const decoded = this.#parts.decoder.decode(body, endpoint.body, parameters.fieldValidation, (text) =>
      call.warn(text),
    );
    decoded.metadata ??= {};
    await this.#admitted(context, decoded);
    const object = await endpoint.handle(
      {
        user: call.user,
        resource,
        namespace,
        name: info.name,
        subresource: info.subresource,
        query: call.query,
        dryRun: parameters.dryRun,
        caches: this.registry.caches,
        nowMs: this.registry.parts.clock.nowMs(),
        signal: call.signal,
        warn: (text) => call.warn(text),
      },
      decoded,
    );
    return { type: 'object', code: 201, object };
  }

  /** `POST bindings`: the pod's name is the binding's. */
  async #legacyBinding(
    call: Call,
    body: Body,
    context: WriteContext,
    parameters: WriteParameters,
  ): Promise<Result> {
    const kind = { group: '', version: 'v1', kind: 'Binding' };
    const decoded = this.#parts.decoder.decode(body, kind, parameters.fieldValidation, (text) =>
      call.warn(text),
    );
    const name = decoded.metadata.name ?? '';
    const served = this.registry.servedOf(core.pods);
    const bound = { ...context, served, subresource: 'binding', name };
    await this.#admitted(bound, decoded);
    return {
      type: 'object',
      code: 201,
      object: await bindPod(this.registry, bound, decoded as unknown as Binding),
    };
  }

  async #stream(call: Call, served: Served, namespace: string): Promise<Result> {
    const { info } = call;
    const entry = await getObject(this.registry, served, { namespace, name: info.name });
    const subresource = info.subresource as StreamRequest['subresource'];
    if (subresource !== 'log') {
      const parameters = writeParameters(new URLSearchParams(), 'CreateOptions');
      const context = this.#context(call, served, namespace, parameters);
      const object = connectOptions(served, subresource, call.query);
      const request = {
        ...this.registry.admissionRequest(context, 'CONNECT', {
          object,
          old: undefined,
          transaction: undefined,
        }),
      };
      await this.registry.admit(request);
      await this.registry.validate(request);
    }
    const { user, query, signal } = call;
    const pod = entry.object as unknown as Pod;
    return { type: 'stream', request: { user, namespace, name: info.name, subresource, query, pod, signal } };
  }
}

/** PodExecOptions and its like, from the query, as admission sees them. */
function connectOptions(served: Served, subresource: string, query: URLSearchParams): KubeObject {
  const { kind } = served.subresources.get(subresource) as BodyKind;
  const options: Record<string, unknown> = { apiVersion: 'v1', kind };
  for (const name of ['stdin', 'stdout', 'stderr', 'tty']) {
    if (query.has(name)) options[name] = query.get(name) === 'true' || query.get(name) === '1';
  }
  if (query.has('container')) options['container'] = query.get('container');
  if (query.has('command')) options['command'] = query.getAll('command');
  return { ...options, metadata: {} } as KubeObject;
}

/** The name in the body must be that of the URL; an absent one is filled in. */
function checkName(object: KubeObject, name: string): void {
  const given = object.metadata.name;
  if (given === undefined || given === '') {
    object.metadata.name = name;
    return;
  }
  if (given !== name) {
    throw errors.badRequest(`the name of the object (${given}) does not match the name on the URL (${name})`);
  }
}

/** Upstream's answer to a path of no known resource. */
export const notServed = (): StatusError =>
  new StatusError(404, 'NotFound', 'the server could not find the requested resource', {});
