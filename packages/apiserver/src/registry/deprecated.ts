import { apiVersionOf, type Resource } from '@cloudless/kube/object';

/** Kinds of stable versions that upstream has declared deprecated: since when, and what replaces them. */
const deprecated: Readonly<Record<string, { since: string; instead?: string }>> = {
  'v1 Endpoints': { since: 'v1.33+', instead: 'discovery.k8s.io/v1 EndpointSlice' },
  'v1 ComponentStatus': { since: 'v1.19+' },
};

/** The warning that every request to a deprecated kind gets (apiserver/pkg/endpoints/deprecation), if it is one. */
export function deprecationWarning(resource: Resource): string | undefined {
  const name = `${apiVersionOf(resource)} ${resource.kind}`;
  const fact = deprecated[name];
  if (!fact) return undefined;
  const instead = fact.instead === undefined ? '' : `; use ${fact.instead}`;
  return `${name} is deprecated in ${fact.since}${instead}`;
}
