import type { Node } from '@cloudless/kube/types/core-v1';
import type { Endpoint } from '../endpoint.ts';

/** Prefixes of external-dns's annotations. */
export const older = 'external-dns.alpha.kubernetes.io/';
export const newer = 'external-dns.kubernetes.io/';
/** Metadata with these annotations, under the older prefix. */
export const annotated = (
  annotations: Record<string, string>,
  name = 'web',
): { name: string; namespace: string; annotations: Record<string, string> } => ({
  name,
  namespace: 'default',
  annotations: Object.fromEntries(Object.entries(annotations).map(([key, value]) => [older + key, value])),
});

/** `NAME TYPE TARGETS`, and the rest where it is given. */
export const lines = (endpoints: readonly Endpoint[]): string[] =>
  endpoints.map(
    ({ dnsName, recordType, targets, ttlSeconds, setIdentifier }) =>
      `${dnsName} ${recordType} ${targets.join(' ')}${ttlSeconds === undefined ? '' : ` ttl=${ttlSeconds}`}${
        setIdentifier === undefined ? '' : ` set=${setIdentifier}`
      }`,
  );

export const node = (name: string, addresses: Record<string, string | string[]>): Node => ({
  metadata: { name },
  status: {
    addresses: Object.entries(addresses).flatMap(([type, list]) =>
      [list].flat().map((address) => ({ type, address })),
    ),
  },
});
