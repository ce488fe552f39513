import { groupResourceOf, type KubeObject, type Resource } from '@cloudless/kube/object';
import { core } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import type { Namespace } from '@cloudless/kube/types/core-v1';
import { lookup } from '../../authn/lookup.ts';
import type { Caches } from '../../cache/cache.ts';
import { matchResources } from '../matching/match-resources.ts';
import { namespaceOf } from '../matching/selectors.ts';
import type { AdmissionRequest } from '../plugin.ts';
import type { PolicyParts } from './index.ts';
import { collectParams, resourceOfParams } from './params.ts';
import type { AnyBinding, AnyPolicy, BoundPolicy } from './source.ts';

/** A policy that counts for a request, by one binding and with one object of parameters. */
export interface Invocation<B extends AnyBinding> {
  readonly binding: B;
  /** The resource in whose version the policy is shown the request. */
  readonly matched: Resource;
  readonly params: KubeObject | undefined;
}

/**
 * Every way in which a policy counts for a request, in order (upstream: generic/policy_dispatcher.go). What keeps the
 * policy or one of its bindings from being used is given to `misconfigured`.
 */
export async function invocationsOf<P extends AnyPolicy, B extends AnyBinding>(
  parts: PolicyParts,
  { policy, bindings }: BoundPolicy<P, B>,
  request: AdmissionRequest,
  misconfigured: (binding: B | undefined, why: string) => void,
): Promise<Array<Invocation<B>>> {
  let matched: Resource | undefined;
  let paramResource: Resource | undefined;
  try {
    const constraints = policy.spec?.matchConstraints;
    if (!constraints) throw new Error('policy contained no match constraints, a required field');
    matched = await matchResources(parts, constraints, request);
    if (!matched) return [];
    const { paramKind } = policy.spec ?? {};
    if (paramKind) paramResource = resourceOfParams(parts.versions, paramKind);
  } catch (error) {
    misconfigured(undefined, `failed to configure policy: ${messageOf(error)}`);
    return [];
  }
  const found: Array<Invocation<B>> = [];
  for (const binding of bindings) {
    const { matchResources: own, paramRef } = binding.spec ?? {};
    try {
      // oxlint-disable-next-line no-await-in-loop -- in order, so that the first refusal is always the same
      if (own && !(await matchResources(parts, own, request))) continue;
      // oxlint-disable-next-line no-await-in-loop -- as above
      const all = await collectParams(parts, paramResource, paramRef, namespaceOf(request));
      for (const params of all) found.push({ binding, matched, params });
    } catch (error) {
      misconfigured(binding, `failed to configure binding: ${messageOf(error)}`);
    }
  }
  return found;
}

/** What was thrown, as text. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The namespace that the object is in; a Namespace itself is in none. Throws 404. */
export async function namespaceAround(
  caches: Caches,
  { namespace, resource }: AdmissionRequest,
): Promise<Namespace | undefined> {
  if (namespace === '' || groupResourceOf(resource) === 'namespaces') return undefined;
  const found = await lookup(caches, core.namespaces, { namespace: '', name: namespace });
  if (!found) throw errors.notFound(core.namespaces, namespace);
  return found;
}
