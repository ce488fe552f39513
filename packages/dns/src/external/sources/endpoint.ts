import { isIP } from 'node:net';

/**
 * A record set in words, before anyone knows whether it can be: what external-dns calls an endpoint. Types and targets are
 * text as annotations and objects have it.
 */
export interface Endpoint {
  /** Without the dot at the end; case as it was written. */
  readonly dnsName: string;
  /** `A`, `CNAME`, … */
  readonly recordType: string;
  readonly targets: readonly string[];
  /** Undefined: the default. */
  readonly ttlSeconds: number | undefined;
  readonly setIdentifier: string | undefined;
}

/** A for an IPv4 address, AAAA for an IPv6 address, CNAME for everything else (upstream: endpoint.SuitableType). */
export function suitableType(target: string): 'A' | 'AAAA' | 'CNAME' {
  const family = isIP(target);
  return family === 4 ? 'A' : family === 6 ? 'AAAA' : 'CNAME';
}

const withoutDot = (name: string): string => (name.endsWith('.') ? name.slice(0, -1) : name);

/** Endpoints of one name, its targets by type, none twice (upstream: endpoint.EndpointsForHostname). */
export function endpointsFor(
  hostname: string,
  targets: Iterable<string>,
  settings: { ttlSeconds: number | undefined; setIdentifier: string | undefined },
): Endpoint[] {
  const byType = { A: new Set<string>(), AAAA: new Set<string>(), CNAME: new Set<string>() };
  for (const target of targets) {
    const clean = withoutDot(target);
    if (clean !== '') byType[suitableType(clean)].add(clean);
  }
  const endpoints: Endpoint[] = [];
  for (const recordType of ['A', 'AAAA', 'CNAME'] as const)
    if (byType[recordType].size > 0)
      endpoints.push({
        dnsName: withoutDot(hostname),
        recordType,
        targets: [...byType[recordType]].sort(),
        ...settings,
      });
  return endpoints;
}

/**
 * One endpoint for each name, type and set: an object that names a host twice (in a rule and for TLS) asks for it once.
 * The first one's TTL counts (upstream: endpoint.MergeEndpoints).
 */
export function merged(endpoints: Iterable<Endpoint>): Endpoint[] {
  const byKey = new Map<string, Endpoint>();
  for (const endpoint of endpoints) {
    const key = `${endpoint.dnsName.toLowerCase()} ${endpoint.recordType} ${endpoint.setIdentifier ?? ''}`;
    const there = byKey.get(key);
    byKey.set(
      key,
      there ? { ...there, targets: [...new Set([...there.targets, ...endpoint.targets])].sort() } : endpoint,
    );
  }
  return [...byKey.values()];
}
