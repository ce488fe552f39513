import { apiVersionOf, type Resource } from '@cloudless/kube/object';

interface Deprecation {
  since: string;
  /** The first version without it. */
  until?: string;
  instead?: string;
}

const stableDeviceKinds = ['DeviceClass', 'ResourceClaim', 'ResourceClaimTemplate', 'ResourceSlice'];
const deviceKinds = (version: string, fact: Deprecation): Record<string, Deprecation> =>
  Object.fromEntries(stableDeviceKinds.map((kind) => [`resource.k8s.io/${version} ${kind}`, fact]));

/** Kinds that upstream has declared deprecated: since when, and what replaces them. */
const deprecated: Readonly<Record<string, Deprecation>> = {
  'v1 Endpoints': { since: 'v1.33+', instead: 'discovery.k8s.io/v1 EndpointSlice' },
  'v1 ComponentStatus': { since: 'v1.19+' },
  ...deviceKinds('v1beta1', { since: 'v1.35+', until: 'v1.38+' }),
  ...deviceKinds('v1beta2', { since: 'v1.36+', until: 'v1.39+' }),
  'resource.k8s.io/v1alpha3 DeviceTaintRule': { since: 'v1.36+', until: 'v1.39+' },
};

/** The warning that every request to a deprecated kind gets (apiserver/pkg/endpoints/deprecation), if it is one. */
export function deprecationWarning(resource: Resource): string | undefined {
  const name = `${apiVersionOf(resource)} ${resource.kind}`;
  const fact = deprecated[name];
  if (!fact) return undefined;
  const instead = fact.instead === undefined ? '' : `; use ${fact.instead}`;
  const until = fact.until === undefined ? '' : `, unavailable in ${fact.until}`;
  return `${name} is deprecated in ${fact.since}${until}${instead}`;
}
