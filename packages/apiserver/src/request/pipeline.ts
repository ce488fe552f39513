import { patchMediaTypes } from '@cloudless/kube/client/client';
import { apiregistration } from '@cloudless/kube/resources';
import { escapeFieldValue } from '@cloudless/kube/selector/selector';
import { errors, type StatusError } from '@cloudless/kube/status';
import type { UserInfo } from '@cloudless/kube/user';
import type { RequestAudit } from '../audit/event.ts';
import type { Authorizer } from '../authz/authorizer.ts';
import type { Served } from '../registry/catalogue.ts';
import type { Endpoint } from '../registry/endpoint.ts';
import { deprecationWarning } from '../registry/deprecated.ts';
import { getObject } from '../registry/get.ts';
import { listObjects } from '../registry/list.ts';
import { prepareViews } from '../registry/view.ts';
import type { Registry } from '../registry/registry.ts';
import type { ApplyPatch, BodyDecoder } from './body.ts';
import { type Call, notServed, notYetServed, type Result, serviceUnavailable } from './call.ts';
import { forbidden } from './forbidden.ts';
import { ObjectRequests } from './objects.ts';
import type { ParsedRequest } from './parse.ts';
import { listParameters } from './parameters.ts';
import { ScaleRequests } from './scale.ts';
import { SubresourceRequests } from './subresources.ts';

export interface PipelineParts {
  registry: Registry;
  decoder: BodyDecoder;
  patch: ApplyPatch;
  authorizer: Authorizer;
  /** Resolves when the authorizer can decide. */
  authorizerReady: Promise<void>;
  endpoints: readonly Endpoint[];
  /** Whether all kinds that will be served at the start are; until then an unknown one may only be late. */
  isComplete(): boolean;
}

/** Verbs that act on one named object. */
const itemVerbs: ReadonlySet<string> = new Set(['get', 'update', 'patch', 'delete']);
/** Subresources that run or reach something inside a pod. */
const commands: ReadonlySet<string> = new Set(['exec', 'attach', 'portforward']);
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
 * From an authenticated request to its result: authorization, decoding, and the registry's operation, in the
 * order that this package's README gives. The same for requests over TLS and from clients in this process.
 */
export class Pipeline {
  readonly registry: Registry;
  readonly authorizer: Authorizer;
  readonly #ready: Promise<void>;
  readonly #objects: ObjectRequests;
  readonly #subresources: SubresourceRequests;
  readonly #scales: ScaleRequests;
  readonly #isComplete: () => boolean;
  #authorizerReady = false;

  constructor(parts: PipelineParts) {
    this.registry = parts.registry;
    this.authorizer = parts.authorizer;
    this.#ready = parts.authorizerReady;
    this.#isComplete = () => parts.isComplete();
    this.#objects = new ObjectRequests(parts);
    this.#subresources = new SubresourceRequests(this.#objects, parts.endpoints);
    this.#scales = new ScaleRequests(this.#objects);
    parts.authorizerReady.then(
      () => void (this.#authorizerReady = true),
      () => {},
    );
  }

  /** Throws 403 unless the authorizer allows it. Waits for the authorizer's own objects at the start. */
  async authorize(user: UserInfo, info: ParsedRequest, audit?: RequestAudit): Promise<void> {
    if (!this.#authorizerReady && !user.groups.includes('system:masters')) await this.#ready;
    this.#mustAllow(user, info, audit);
  }

  #mustAllow(user: UserInfo, info: ParsedRequest, audit?: RequestAudit): void {
    const attributes = { ...info, user };
    const decision = this.authorizer.authorize(attributes);
    audit?.annotate('authorization.k8s.io/decision', decision.verdict === 'allow' ? 'allow' : 'forbid');
    audit?.annotate('authorization.k8s.io/reason', decision.reason);
    if (decision.verdict !== 'allow') throw forbidden(attributes, decision.reason);
  }

  /** Nothing is served there: by nobody, not yet, or by a service that this server does not ask. */
  async #missing({ group, version }: ParsedRequest): Promise<StatusError> {
    if (!this.#isComplete()) return notYetServed();
    const registrations = this.registry.caches.of(apiregistration.apiservices);
    await registrations.ready;
    const registration = registrations.get('', `${version}.${group}`);
    return registration?.spec?.service ? serviceUnavailable() : notServed();
  }

  /** Authorizes and carries out one resource request; the objects of its result are ready to be shown. */
  async handle(call: Call): Promise<Result> {
    const result = await this.#carryOut(call);
    const shown =
      result.type === 'entry' ? [result.entry] : result.type === 'list' ? result.list.entries : [];
    // Nothing is to be waited for but webhooks.
    const preparing = 'served' in result ? prepareViews(shown, result.served.resource) : undefined;
    if (preparing) await preparing;
    return result;
  }

  async #carryOut(call: Call): Promise<Result> {
    const { info } = call;
    await this.authorize(call.user, info, call.audit);
    // A WebSocket opens with GET: it takes the same permission as the POST of SPDY (upstream since 1.35).
    if (info.verb === 'get' && commands.has(info.subresource)) {
      await this.authorize(call.user, { ...info, verb: 'create' });
    }
    const served = this.registry.catalogue.find(info.group, info.version, info.resource);
    if (!served || !fitsScope(served, info)) throw await this.#missing(info);
    const deprecation = served.custom
      ? this.registry.customKind(served.resource)?.deprecationOf(info.version)
      : deprecationWarning(served.resource);
    const onItem = itemVerbs.has(info.verb);
    const isServed =
      served.verbs.includes(info.verb) &&
      (onItem ? info.name !== '' : info.verb !== 'create' || info.name === '');
    const isRouted = info.subresource === '' ? isServed : served.subresources.has(info.subresource);
    // What upstream's router refuses is warned of nothing: it looks at a patch's type before its handlers do.
    if (deprecation && isRouted && (info.verb !== 'patch' || isPatchType(call.patchMediaType))) {
      call.warn(deprecation);
      call.audit?.annotate('k8s.io/deprecated', 'true');
    }
    const namespace = served.resource.namespaced ? info.namespace : '';
    if (info.subresource !== '') return await this.#subresource(call, served, namespace);
    if (!isServed) throw errors.methodNotAllowed();
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
        // What was authorized is the one object that the URL or the selector names: nothing else is shown.
        if (info.name !== '') {
          const others = parameters.fieldSelector ? `,${parameters.fieldSelector}` : '';
          parameters.fieldSelector = `metadata.name=${escapeFieldValue(info.name)}${others}`;
        }
        return { type: 'watch', served, parameters };
      }
      case 'create':
        return served.computed
          ? await this.#subresources.endpoint(call, served, namespace)
          : await this.#objects.create(call, served, namespace);
      case 'update':
        return await this.#objects.update(call, served, namespace, () => {
          this.#mustAllow(call.user, { ...info, verb: 'create' });
        });
      case 'patch':
        return await this.#objects.patch(call, served, namespace, () => {
          this.#mustAllow(call.user, { ...info, verb: 'create' });
        });
      case 'delete':
        return await this.#objects.delete(call, served, namespace);
      default:
        return await this.#objects.deleteCollection(call, served, namespace);
    }
  }

  async #subresource(call: Call, served: Served, namespace: string): Promise<Result> {
    const { info } = call;
    const { subresource } = info;
    const facts = served.subresources.get(subresource);
    if (!facts) throw served.custom ? errors.notFound(served.resource, info.name) : notServed();
    if (!facts.verbs.includes(info.verb)) {
      throw errors.methodNotAllowed();
    }
    if (streamed.has(subresource)) return await this.#subresources.stream(call, served, namespace);
    if (subresource === 'scale') return await this.#scales.handle(call, served, namespace);
    if (subresource === 'binding' || subresource === 'eviction')
      return await this.#subresources.podAction(call, served, namespace);
    if (!ofParentKind.has(subresource)) return await this.#subresources.endpoint(call, served, namespace);
    if (info.verb === 'update') return await this.#objects.update(call, served, namespace);
    if (info.verb === 'patch') return await this.#objects.patch(call, served, namespace);
    const entry = await getObject(this.registry, served, { namespace, name: info.name });
    return { type: 'entry', code: 200, served, entry };
  }
}

const isPatchType = (mediaType: string | undefined): boolean =>
  mediaType !== undefined && Object.values(patchMediaTypes).includes(mediaType);

/**
 * Whether the URL has the shape of the resource's scope. The namespace of a URL is what authorization goes by: a
 * cluster-scoped object must not be reached through one, nor one namespace through another.
 */
function fitsScope({ resource }: Served, info: ParsedRequest): boolean {
  if (info.rest) return false;
  if (resource.namespaced) return info.namespace !== '' || info.name === '' || isCollection(info.verb);
  if (info.namespace === '') return true;
  return resource.group === '' && resource.plural === 'namespaces' && info.namespace === info.name;
}

const isCollection = (verb: string): boolean => verb === 'list' || verb === 'watch';
