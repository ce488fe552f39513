import type { KubeObject, Resource } from '@cloudless/kube/object';
import type { ParamKind, ParamRef } from '@cloudless/kube/types/admissionregistration-v1';
import type { Caches } from '../../cache/cache.ts';
import type { BodyKind } from '../../request/body.ts';
import { selectorOf } from '../matching/selectors.ts';
import type { ObjectVersions } from '../object-versions.ts';

/** A policy or binding that cannot be used for a request: its failurePolicy decides. */
export class ConfigurationError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ConfigurationError';
  }
}

/** `v1`, `rules.example.com/v1` with a kind. */
export function kindOfParams({ apiVersion = '', kind = '' }: ParamKind): BodyKind {
  const slash = apiVersion.indexOf('/');
  return slash < 0
    ? { group: '', version: apiVersion, kind }
    : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1), kind };
}

/** The resource of a policy's parameters. Throws `ConfigurationError` when nothing of that kind is served. */
export function resourceOfParams(versions: ObjectVersions, paramKind: ParamKind): Resource {
  const kind = kindOfParams(paramKind);
  const resource = versions.ofKind(kind);
  if (resource) return resource;
  const text = `${kind.group === '' ? '' : `${kind.group}/`}${kind.version}, Kind=${kind.kind}`;
  throw new ConfigurationError(`failed to find resource referenced by paramKind: '${text}'`);
}

/**
 * The parameters of a binding, `[undefined]` where it has none (upstream: generic.CollectParams). `namespace` is the
 * request's. Throws `ConfigurationError`.
 */
export async function collectParams(
  parts: { caches: Caches; versions: ObjectVersions },
  resource: Resource | undefined,
  ref: ParamRef | undefined,
  namespace: string,
): Promise<Array<KubeObject | undefined>> {
  if (!resource || !ref) return [undefined];
  if (ref.namespace && !resource.namespaced)
    throw new ConfigurationError('paramRef.namespace must not be provided for a cluster-scoped `paramKind`');
  const from = resource.namespaced ? ref.namespace || namespace : '';
  if (resource.namespaced && from === '')
    throw new ConfigurationError(
      'cannot use namespaced paramRef in policy binding that matches cluster-scoped resources',
    );
  const found = await find(parts.caches, resource, ref, from);
  if (found.length === 0 && ref.parameterNotFoundAction === 'Deny')
    throw new ConfigurationError('no params found for policy binding with `Deny` parameterNotFoundAction');
  const place = { resource, subresource: '' };
  return await Promise.all(found.map(async (object) => await parts.versions.show(object, place)));
}

async function find(
  caches: Caches,
  resource: Resource,
  { name, selector }: ParamRef,
  namespace: string,
): Promise<KubeObject[]> {
  const cache = caches.of(resource);
  await cache.ready;
  if (name) {
    // What was made a moment ago counts.
    if (!cache.get(namespace, name)) await cache.fresh();
    const object = cache.get(namespace, name);
    return object ? [object] : [];
  }
  if (!selector) throw new ConfigurationError('one of name or selector must be provided');
  const parsed = selectorOf(selector);
  return [...cache.list(namespace)].filter((object) => parsed.matches(object.metadata.labels));
}
