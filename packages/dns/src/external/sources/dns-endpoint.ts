import type { DnsEndpoint } from '../kinds.ts';
import { type Endpoint, suitableType } from './endpoint.ts';

/**
 * The endpoints of a DNSEndpoint, of any type. Names are absolute, with or without a dot at the end, where upstream wants
 * the dot for some types and refuses it for others (upstream: source/crd.go).
 */
export function dnsEndpointEndpoints(object: DnsEndpoint): Endpoint[] {
  const endpoints: Endpoint[] = [];
  for (const { dnsName = '', recordType, targets = [], recordTTL, setIdentifier } of object.spec?.endpoints ??
    []) {
    if (targets.length === 0) continue;
    endpoints.push({
      dnsName: dnsName.replace(/(?<!\\)\.$/, ''),
      recordType: recordType?.toUpperCase() ?? suitableType(targets[0] as string),
      targets: [...new Set(targets)].sort(),
      // An int64 may be a bigint.
      ttlSeconds: typeof recordTTL === 'number' && recordTTL > 0 ? recordTTL : undefined,
      setIdentifier: setIdentifier === '' ? undefined : setIdentifier,
    });
  }
  return endpoints;
}
