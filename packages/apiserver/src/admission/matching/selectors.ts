import { groupResourceOf, type KubeObject } from '@cloudless/kube/object';
import { core } from '@cloudless/kube/resources';
import { type Selector, selectorFromObject } from '@cloudless/kube/selector/selector';
import { errors } from '@cloudless/kube/status';
import type { Namespace } from '@cloudless/kube/types/core-v1';
import type { LabelSelector } from '@cloudless/kube/types/meta-v1';
import { lookup } from '../../authn/lookup.ts';
import type { Caches } from '../../cache/cache.ts';
import type { AdmissionRequest } from '../plugin.ts';

const parsed = new WeakMap<LabelSelector, Selector>();

/** A selector of an object in the cache, parsed once. */
export function selectorOf(selector: LabelSelector | undefined): Selector {
  if (!selector) return selectorFromObject({});
  let found = parsed.get(selector);
  if (!found) parsed.set(selector, (found = selectorFromObject(selector)));
  return found;
}

const isEmpty = (selector: LabelSelector | undefined): boolean =>
  Object.keys(selector?.matchLabels ?? {}).length === 0 && (selector?.matchExpressions?.length ?? 0) === 0;

/** The namespace that a request counts to: a Namespace's own name for requests of itself; '' for none. */
export function namespaceOf(request: AdmissionRequest): string {
  return groupResourceOf(request.resource) === 'namespaces' ? request.name : request.namespace;
}

/** The namespace as it stands, or as it will stand when the request writes it. Throws 404 when there is none. */
export async function namespaceObject(
  caches: Caches,
  request: AdmissionRequest,
): Promise<Namespace | undefined> {
  const { operation, subresource, object } = request;
  const writesIt = groupResourceOf(request.resource) === 'namespaces' && subresource === '';
  if (writesIt && (operation === 'CREATE' || operation === 'UPDATE')) return object;
  const name = namespaceOf(request);
  if (name === '') return undefined;
  const found = await lookup(caches, core.namespaces, { namespace: '', name });
  if (!found) throw errors.notFound(core.namespaces, name);
  return found;
}

/**
 * Whether the namespace of a request fits; requests for cluster-scoped objects always do (upstream:
 * predicates/namespace). The 404 of a missing namespace is returned, since it counts only where a rule matches.
 */
export async function namespaceMatches(
  caches: Caches,
  selector: LabelSelector | undefined,
  request: AdmissionRequest,
): Promise<boolean | Error> {
  if (isEmpty(selector) || namespaceOf(request) === '') return true;
  try {
    const namespace = await namespaceObject(caches, request);
    return selectorOf(selector).matches(namespace?.metadata.labels);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** Whether the new or the old object has the labels (upstream: predicates/object). */
export function objectMatches(
  selector: LabelSelector | undefined,
  object: KubeObject | undefined,
  old: KubeObject | undefined,
): boolean {
  if (isEmpty(selector)) return true;
  const fits = (one: KubeObject | undefined): boolean =>
    one !== undefined && selectorOf(selector).matches(one.metadata?.labels);
  return fits(object) || fits(old);
}
