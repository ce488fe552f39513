import { core, discovery } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import type { Service, ServicePort } from '@cloudless/kube/types/core-v1';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import { lookup } from '../authn/lookup.ts';
import type { Caches } from '../cache/cache.ts';

/** Where to connect for a Service. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Finds the address behind a Service's port. Throws what upstream's resolver says when there is none. */
export type ResolveService = (namespace: string, name: string, port: number) => Promise<Address>;

const serviceOf = 'kubernetes.io/service-name';
const clusterTypes: ReadonlySet<string> = new Set(['ClusterIP', 'NodePort', 'LoadBalancer']);

/**
 * The address of a Service as kube-apiserver looks for it (apiserver/pkg/util/proxy): a ready endpoint of the port,
 * which needs no proxy on this machine; without one the Service's address, so that whatever serves it can answer.
 */
export function serviceResolver(caches: Caches, random: () => number = Math.random): ResolveService {
  return async (namespace, name, port) => {
    const service = await lookup(caches, core.services, { namespace, name });
    if (!service) throw errors.notFound(core.services, name);
    const type = service.spec?.type ?? 'ClusterIP';
    if (type === 'ExternalName') return { host: service.spec?.externalName ?? '', port };
    if (!clusterTypes.has(type)) throw new Error(`unsupported service type ${JSON.stringify(type)}`);
    const servicePort = service.spec?.ports?.find((each) => each.port === port);
    if (!servicePort)
      throw errors.unavailable(`no service port ${port} found for service ${JSON.stringify(name)}`);
    const slices = caches.of(discovery.endpointslices);
    await slices.ready;
    const own = [...slices.list(namespace)].filter((slice) => slice.metadata.labels?.[serviceOf] === name);
    const found = readyEndpoint(service, servicePort, own, random);
    if (found) return found;
    const { clusterIP } = service.spec ?? {};
    if (!clusterIP || clusterIP === 'None')
      throw errors.unavailable(`no endpoints available for service ${JSON.stringify(name)}`);
    return { host: clusterIP, port };
  };
}

/** A ready endpoint at random, of the Service's first address family if there is one. */
function readyEndpoint(
  service: Service,
  { name = '' }: ServicePort,
  slices: readonly EndpointSlice[],
  random: () => number,
): Address | undefined {
  const family = service.spec?.ipFamilies?.[0];
  const addresses = slices.flatMap((slice) => {
    const port = slice.ports?.find((each) => (each.name ?? '') === name)?.port;
    if (port === undefined || slice.addressType === 'FQDN') return [];
    return (slice.endpoints ?? [])
      .filter((endpoint) => endpoint.conditions?.ready !== false && endpoint.addresses[0] !== undefined)
      .map((endpoint) => ({ host: endpoint.addresses[0] as string, port, family: slice.addressType }));
  });
  const preferred = addresses.filter((each) => each.family === family);
  const from = preferred.length > 0 ? preferred : addresses;
  const chosen = from[Math.floor(random() * from.length)];
  return chosen && { host: chosen.host, port: chosen.port };
}
