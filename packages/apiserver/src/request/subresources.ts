import { type KubeObject, pathOf } from '@cloudless/kube/object';
import { core } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import type { Binding, Pod } from '@cloudless/kube/types/core-v1';
import { bindPod } from '../registry/binding.ts';
import type { Served } from '../registry/catalogue.ts';
import type { WriteContext } from '../registry/context.ts';
import type { Endpoint } from '../registry/endpoint.ts';
import { evictPod } from '../registry/eviction.ts';
import { getObject } from '../registry/get.ts';
import type { StreamRequest } from '../streams/streams.ts';
import type { Body, BodyKind } from './body.ts';
import type { Call, Result } from './call.ts';
import type { ObjectRequests } from './objects.ts';
import { type WriteParameters, writeParameters } from './parameters.ts';

/** Requests whose body is no stored object: binding, eviction, computed resources, streams. */
export class SubresourceRequests {
  readonly #objects: ObjectRequests;
  readonly #endpoints = new Map<string, Endpoint>();

  constructor(objects: ObjectRequests, endpoints: readonly Endpoint[]) {
    this.#objects = objects;
    for (const endpoint of endpoints) {
      const { resource, subresource } = endpoint;
      this.#endpoints.set(`${resource.group}/${resource.plural}/${subresource}`, endpoint);
    }
  }

  async podAction(call: Call, served: Served, namespace: string): Promise<Result> {
    const facts = served.subresources.get(call.info.subresource) as BodyKind;
    const parameters = writeParameters(call.query, 'CreateOptions');
    const context = this.#objects.context(call, served, namespace, parameters);
    const body = await this.#objects.requiredBody(call);
    // kubectl before 1.22 drains by evictions of the beta (upstream: EvictionREST.AcceptsGroupVersion).
    const kind = facts.kind === 'Eviction' ? { ...facts, formerly: 'policy/v1beta1' } : facts;
    const decoded = this.#objects.decoder.decode(body, kind, parameters.fieldValidation, (text) =>
      call.warn(text),
    );
    call.audit?.requestObject(decoded);
    await this.#objects.admitted(context, decoded);
    const object =
      call.info.subresource === 'binding'
        ? await bindPod(this.#objects.registry, context, decoded as unknown as Binding)
        : await evictPod(this.#objects.registry, context, decoded);
    return { type: 'object', code: 201, object };
  }

  async endpoint(call: Call, served: Served, namespace: string): Promise<Result> {
    const { info } = call;
    const { resource } = served;
    const parameters = writeParameters(call.query, 'CreateOptions');
    const context = this.#objects.context(call, served, namespace, parameters);
    const body = await this.#objects.requiredBody(call);
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
    const decoded = this.#objects.decoder.decode(body, endpoint.body, parameters.fieldValidation, (text) =>
      call.warn(text),
    );
    decoded.metadata ??= {};
    call.audit?.requestObject(decoded);
    await this.#objects.admitted(context, decoded);
    const object = await endpoint.handle(
      {
        user: call.user,
        resource,
        namespace,
        name: info.name,
        subresource: info.subresource,
        query: call.query,
        dryRun: parameters.dryRun,
        caches: this.#objects.registry.caches,
        nowMs: this.#objects.registry.parts.clock.nowMs(),
        signal: call.signal,
        warn: (text) => call.warn(text),
        annotate: call.audit?.annotate,
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
    const decoded = this.#objects.decoder.decode(body, kind, parameters.fieldValidation, (text) =>
      call.warn(text),
    );
    const name = decoded.metadata.name ?? '';
    const served = this.#objects.registry.servedOf(core.pods);
    const bound = { ...context, served, subresource: 'binding', name };
    await this.#objects.admitted(bound, decoded);
    return {
      type: 'object',
      code: 201,
      object: await bindPod(this.#objects.registry, bound, decoded as unknown as Binding),
    };
  }

  async stream(call: Call, served: Served, namespace: string): Promise<Result> {
    const { info } = call;
    const entry = await getObject(this.#objects.registry, served, { namespace, name: info.name });
    const subresource = info.subresource as StreamRequest['subresource'];
    if (subresource !== 'log') {
      const parameters = writeParameters(new URLSearchParams(), 'CreateOptions');
      const context = this.#objects.context(call, served, namespace, parameters);
      const object = connectOptions(served, subresource, call.query);
      const request = {
        ...this.#objects.registry.admissionRequest(context, 'CONNECT', {
          object,
          old: undefined,
          transaction: undefined,
        }),
      };
      await this.#objects.registry.admit(request);
      await this.#objects.registry.validate(request);
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
  return { ...options, metadata: {} };
}
