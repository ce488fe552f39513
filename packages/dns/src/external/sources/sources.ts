import { core, networking } from '@cloudless/kube/resources';
import { type DnsEndpoint, dnsEndpoints, routes } from '../kinds.ts';
import { keptLabel } from '../wanted.ts';
import { dnsEndpointEndpoints } from './dns-endpoint.ts';
import { ingressEndpoints } from './ingress.ts';
import { nodeEndpoints } from './node.ts';
import { deriveRoutes } from './route-source.ts';
import { deriveServices } from './service-source.ts';
import { SourceSet, type SourceSetOptions } from './source-set.ts';

/**
 * Watches what the settings name as sources. DNSEndpoints of our own namespace always count, whatever the filters and the
 * managed types say: records made through an API are there. Throws SelectorError for a filter that is none.
 */
export function watchSources(
  options: SourceSetOptions & { namespace: string; read?: (object: DnsEndpoint) => void },
): SourceSet {
  const { settings, namespace } = options;
  const { sources } = settings;
  const set = new SourceSet(options);
  if (sources.includes('service')) deriveServices(set);
  if (sources.includes('ingress')) set.derive(networking.ingresses, { endpoints: ingressEndpoints });
  if (sources.includes('node')) set.derive(core.nodes, { endpoints: nodeEndpoints });
  set.whenDefined(dnsEndpoints, (resource) =>
    set.derive(
      resource,
      {
        // What was kept under the policy upsert-only counts under it alone.
        endpoints: (object) =>
          settings.policy === 'sync' && object.metadata.labels?.[keptLabel] === 'true'
            ? []
            : dnsEndpointEndpoints(object),
        isFiltered: (object) => object.metadata.namespace !== namespace,
        ...(options.read ? { read: options.read } : {}),
      },
      sources.includes('crd') ? undefined : namespace,
    ),
  );
  deriveRoutes(
    set,
    Object.values(routes).filter(({ kind }) =>
      (sources as readonly string[]).includes(`gateway-${kind.toLowerCase()}`),
    ),
  );
  return set;
}
