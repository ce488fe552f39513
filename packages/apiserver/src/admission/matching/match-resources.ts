import type { Resource } from '@cloudless/kube/object';
import type { MatchResources } from '@cloudless/kube/types/admissionregistration-v1';
import type { Caches } from '../../cache/cache.ts';
import type { ObjectVersions } from '../object-versions.ts';
import type { AdmissionRequest } from '../plugin.ts';
import { matchingResource } from './rules.ts';
import { namespaceMatches, objectMatches } from './selectors.ts';

/**
 * The resource in whose version a policy or binding matches a request; undefined: it does not (upstream:
 * policy/matching/matching.go). Throws 404 when it would match but for a namespace that is missing.
 */
export async function matchResources(
  parts: { caches: Caches; versions: ObjectVersions },
  match: MatchResources,
  request: AdmissionRequest,
): Promise<Resource | undefined> {
  const equivalents = match.matchPolicy === 'Exact' ? [] : parts.versions.equivalents(request.resource);
  if (matchingResource(match.excludeResourceRules ?? [], request, equivalents)) return undefined;
  const rules = match.resourceRules ?? [];
  const resource = rules.length === 0 ? request.resource : matchingResource(rules, request, equivalents);
  if (!resource || !objectMatches(match.objectSelector, request.object, request.oldObject)) return undefined;
  const inNamespace = await namespaceMatches(parts.caches, match.namespaceSelector, request);
  if (inNamespace instanceof Error) throw inNamespace;
  return inNamespace ? resource : undefined;
}
