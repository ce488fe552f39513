import type { Ingress } from '@cloudless/kube/types/networking-v1';
import { annotation, listAnnotation, settingsOf } from './annotations.ts';
import { type Endpoint, endpointsFor, merged } from './endpoint.ts';

/**
 * The endpoints of an Ingress: hosts of its rules and of its TLS sections and names by annotation, at the addresses of its
 * status unless an annotation gives others (upstream: source/ingress.go).
 */
export function ingressEndpoints(ingress: Ingress): Endpoint[] {
  const settings = settingsOf(ingress);
  let targets = listAnnotation(ingress, 'target');
  if (targets.length === 0)
    targets = (ingress.status?.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }) =>
      [ip, hostname].filter((target) => target !== undefined),
    );
  const endpoints: Endpoint[] = [];
  for (const host of hostsOf(ingress)) endpoints.push(...endpointsFor(host, targets, settings));
  return merged(endpoints);
}

function hostsOf(ingress: Ingress): string[] {
  const source = annotation(ingress, 'ingress-hostname-source')?.toLowerCase();
  const hosts: string[] = [];
  if (source === undefined || source === 'defined-hosts-only') {
    for (const { host } of ingress.spec?.rules ?? []) if (host) hosts.push(host);
    for (const tls of ingress.spec?.tls ?? []) hosts.push(...(tls.hosts ?? []).filter((host) => host !== ''));
  }
  if (source === undefined || source === 'annotation-only')
    hosts.push(...listAnnotation(ingress, 'hostname'));
  return hosts;
}
