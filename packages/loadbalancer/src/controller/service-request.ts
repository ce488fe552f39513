import { selectorFromSet } from '@cloudless/kube/selector/selector';
import type { Service } from '@cloudless/kube/types/core-v1';
import { addressOf, type IpAddress } from '../speaker/address.ts';
import { sharingKey, wantedAddresses } from './annotations.ts';
import type { AllocationRequest } from './allocator.ts';

/** A wish that cannot be understood; in MetalLB's words. */
export interface BadWish {
  readonly bad: string;
}

/** What the allocator needs of a Service, or why that cannot be told: its cluster IPs say the families. */
export function requestOf(
  service: Service,
  namespaceLabels: Readonly<Record<string, string>>,
): AllocationRequest | BadWish {
  const { namespace = '', name = '', labels = {}, annotations } = service.metadata;
  const spec = service.spec ?? {};
  const clusterIps = spec.clusterIPs?.length ? spec.clusterIPs : spec.clusterIP ? [spec.clusterIP] : [];
  const families = clusterIps.map((ip) => addressOf(ip)?.family);
  const [first, second] = families;
  if (
    first === undefined ||
    families.length > 2 ||
    (families.length === 2 && (second === undefined || first === second))
  )
    return { bad: `invalid ClusterIPs [${clusterIps.join(' ')}], can't determine family` };
  return {
    service: `${namespace}/${name}`,
    namespace,
    labels,
    namespaceLabels,
    ports: (spec.ports ?? []).map(({ protocol = 'TCP', port }) => `${protocol}/${port}`),
    keys: {
      sharing: sharingKey(annotations),
      // With Local, who answers depends on the endpoints: they must be the same (upstream: k8salloc.BackendKey).
      backend: spec.externalTrafficPolicy === 'Local' ? selectorFromSet(spec.selector).toString() : '',
    },
    families: second === undefined ? [first] : [first, second],
    oneFamilySuffices: second !== undefined && spec.ipFamilyPolicy === 'PreferDualStack',
  };
}

/** The addresses that a Service asks for by annotation or `spec.loadBalancerIP`; empty: any. */
export function wishOf(service: Service): readonly IpAddress[] | BadWish {
  const listed = wantedAddresses(service.metadata.annotations);
  const single = service.spec?.loadBalancerIP ?? '';
  if (listed === '' && single === '') return [];
  if (listed !== '' && single !== '')
    return { bad: 'service can not have both metallb.io/loadBalancerIPs and svc.Spec.LoadBalancerIP' };
  if (single !== '') {
    const address = addressOf(single);
    return address ? [address] : { bad: `invalid spec.loadBalancerIP "${single}"` };
  }
  const addresses: IpAddress[] = [];
  for (const text of listed.split(',')) {
    const address = addressOf(text.trim());
    if (!address) return { bad: `invalid metallb.io/loadBalancerIPs: "${listed}"` };
    addresses.push(address);
  }
  const families = new Set(addresses.map(({ family }) => family));
  if (families.size < addresses.length)
    return { bad: `invalid metallb.io/loadBalancerIPs: "${listed}": at most one address of each IP family` };
  return addresses;
}

/** The addresses that a Service's status has. */
export function statusAddresses(service: Service): IpAddress[] {
  return (service.status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => (ip ? (addressOf(ip) ?? []) : []));
}
