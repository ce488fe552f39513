import type { Resource } from '@cloudless/kube/object';
import { errors } from '@cloudless/kube/status';
import type { Authorizer } from '../../authz/authorizer.ts';
import type { Caches } from '../../cache/cache.ts';
import { matchingResource } from '../matching/rules.ts';
import { requestFacts, type ShownRequest, type ShownRequests } from '../matching/shown.ts';
import { namespaceMatches, objectMatches } from '../matching/selectors.ts';
import type { ObjectVersions } from '../object-versions.ts';
import type { AdmissionRequest } from '../plugin.ts';
import type { AnyWebhook, Hook } from './hooks.ts';

export interface SelectionParts {
  caches: Caches;
  versions: ObjectVersions;
  authorizer: Authorizer;
}

/**
 * The resource in whose version a webhook is to be called; undefined: it is not asked for this request (upstream:
 * generic.Webhook.ShouldCallHook). Throws 404 for a missing namespace, and 403 for match conditions that fail.
 */
export async function selectHook(
  parts: SelectionParts,
  hook: Hook,
  request: AdmissionRequest,
  shown: ShownRequests,
): Promise<Resource | undefined> {
  const { webhook } = hook;
  const equivalents = webhook.matchPolicy === 'Exact' ? [] : parts.versions.equivalents(request.resource);
  // Selectors are asked last here: most requests fail by the rules, which cost least.
  const resource = matchingResource(webhook.rules ?? [], request, equivalents);
  if (!resource || !objectMatches(webhook.objectSelector, request.object, request.oldObject))
    return undefined;
  const inNamespace = await namespaceMatches(parts.caches, webhook.namespaceSelector, request);
  if (inNamespace === false) return undefined;
  if (inNamespace instanceof Error) throw inNamespace;
  if ((webhook.matchConditions?.length ?? 0) === 0) return resource;
  return (await meetsConditions(parts, webhook, request, await shown.in(resource))) ? resource : undefined;
}

async function meetsConditions(
  parts: SelectionParts,
  webhook: AnyWebhook,
  request: AdmissionRequest,
  shown: ShownRequest,
): Promise<boolean> {
  const { conditionsOf } = await import('../expressions/conditions.ts');
  const met = conditionsOf(webhook.matchConditions ?? []).evaluate(
    {
      object: shown.object,
      oldObject: shown.oldObject,
      request: requestFacts(request, shown),
      admission: request,
      authorizer: parts.authorizer,
    },
    webhook.failurePolicy !== 'Ignore',
  );
  if (met instanceof Error) throw errors.forbidden(request.resource, request.name, met.message);
  return met;
}
