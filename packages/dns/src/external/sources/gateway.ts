import { isIP } from 'node:net';
import type { KubeObject } from '@cloudless/kube/object';
import { SelectorError, selectorFromObject } from '@cloudless/kube/selector/selector';
import { type Gateway, type Listener, type ParentReference, type Route, gatewayGroup } from '../kinds.ts';
import { annotation, isForUs, listAnnotation, settingsOf } from './annotations.ts';
import { type Endpoint, endpointsFor } from './endpoint.ts';

/** What the endpoints of a route depend on beside itself. */
export interface RouteSurroundings {
  gateway(namespace: string, name: string): Gateway | undefined;
  namespaceLabels(name: string): Readonly<Record<string, string>> | undefined;
}

/** The listeners' protocols that a kind of route can hang on (GEP-1713's table; upstream: gwProtocolMatches). */
const protocols: Readonly<Record<string, readonly string[]>> = {
  HTTPRoute: ['HTTP', 'HTTPS'],
  GRPCRoute: ['HTTP', 'HTTPS'],
  TLSRoute: ['TLS'],
  TCPRoute: ['TCP', 'TLS'],
  UDPRoute: ['UDP'],
};

/**
 * The endpoints of a route: its hostnames as far as listeners of the Gateways that accepted it have them, at the addresses
 * of those Gateways or what their annotation `target` says (upstream: source/gateway.go).
 */
export function routeEndpoints(kind: string, route: Route, around: RouteSurroundings): Endpoint[] {
  const hosts = hostsOf(route);
  const targets = new Map<string, Set<string>>();
  for (const { parentRef, conditions } of route.status?.parents ?? []) {
    const accepted = conditions?.find(({ type }) => type === 'Accepted')?.status === 'True';
    if (!accepted || !isParent(route, parentRef)) continue;
    if ((parentRef.group || gatewayGroup) !== gatewayGroup || (parentRef.kind || 'Gateway') !== 'Gateway')
      continue;
    const namespace = parentRef.namespace || (route.metadata.namespace ?? '');
    const gateway = around.gateway(namespace, parentRef.name);
    if (!gateway || !isForUs(gateway)) continue;
    for (const listener of gateway.spec?.listeners ?? []) {
      if (parentRef.sectionName && parentRef.sectionName !== listener.name) continue;
      if (parentRef.port !== undefined && parentRef.port !== listener.port) continue;
      if (!protocols[kind]?.includes(listener.protocol)) continue;
      if (!isAllowed(kind, route, gateway, listener, around)) continue;
      addHosts(targets, hosts, listener.hostname ?? '', targetsOf(gateway));
    }
  }
  const settings = settingsOf(route);
  return [...targets]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([host, list]) => endpointsFor(host, list, settings));
}

/** Every Gateway that a route names. */
export function gatewaysOf(route: Route): string[] {
  return (route.spec?.parentRefs ?? []).map(
    ({ namespace, name }) => `${namespace || (route.metadata.namespace ?? '')}/${name}`,
  );
}

function targetsOf(gateway: Gateway): readonly string[] {
  const explicit = listAnnotation(gateway, 'target');
  return explicit.length > 0 ? explicit : (gateway.status?.addresses ?? []).map(({ value }) => value);
}

function addHosts(
  into: Map<string, Set<string>>,
  hosts: readonly string[],
  listenerHost: string,
  targets: readonly string[],
): void {
  for (const host of hosts) {
    const common = host === '' && listenerHost === '' ? undefined : commonHost(listenerHost, host);
    if (common === undefined) continue;
    const list = into.get(common) ?? new Set();
    for (const target of targets) list.add(target);
    into.set(common, list);
  }
}

/** The names a route asks for; '' stands for whatever its listeners have. */
function hostsOf(route: Route): string[] {
  const defined = route.spec?.hostnames ?? [];
  const source = annotation(route, 'gateway-hostname-source')?.toLowerCase();
  if (source === 'annotation-only') return listAnnotation(route, 'hostname');
  if (source === 'defined-hosts-only') return [...defined];
  return [...defined, ...(defined.length === 0 ? [''] : []), ...listAnnotation(route, 'hostname')];
}

/** Whether the route (still) names this parent: a status may be of a reference that is gone. */
function isParent(route: Route, parent: ParentReference): boolean {
  const own = route.metadata.namespace ?? '';
  const key = ({ group, kind, namespace, name }: ParentReference): string =>
    [group || gatewayGroup, kind || 'Gateway', namespace || own, name].join('/');
  return (route.spec?.parentRefs ?? []).some((reference) => key(reference) === key(parent));
}

function isAllowed(
  kind: string,
  route: KubeObject,
  gateway: Gateway,
  { allowedRoutes }: Listener,
  around: RouteSurroundings,
): boolean {
  const namespace = route.metadata.namespace ?? '';
  const { from = 'Same', selector } = allowedRoutes?.namespaces ?? {};
  if (from === 'Same' && namespace !== gateway.metadata.namespace) return false;
  if (from === 'Selector' && !isSelected(selector, around.namespaceLabels(namespace))) return false;
  if (from !== 'Same' && from !== 'Selector' && from !== 'All') return false;
  const kinds = allowedRoutes?.kinds ?? [];
  return (
    kinds.length === 0 ||
    kinds.some((one) => one.kind === kind && (one.group || gatewayGroup) === gatewayGroup)
  );
}

function isSelected(
  selector: Parameters<typeof selectorFromObject>[0],
  labels: Readonly<Record<string, string>> | undefined,
): boolean {
  try {
    return labels !== undefined && selectorFromObject(selector).matches(labels);
  } catch (error) {
    if (error instanceof SelectorError) return false;
    throw error;
  }
}

/**
 * What two hostnames of the Gateway API have in common; undefined: nothing. `*.example.org` stands for every name below
 * example.org, at any depth; '' for every name.
 */
export function commonHost(a: string, b: string): string | undefined {
  if (!isHost(a) || !isHost(b)) return undefined;
  const [one, other] = [a.toLowerCase(), b.toLowerCase()];
  if (one === '' || one === other) return other;
  if (other === '') return one;
  if (one.startsWith('*.') && other.endsWith(one.slice(1)) && other.length >= one.length) return other;
  if (other.startsWith('*.') && one.endsWith(other.slice(1)) && one.length >= other.length) return one;
  return undefined;
}

const hostPattern = /^(\*\.)?([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$/i;

function isHost(host: string): boolean {
  return host === '' || (host.length <= 255 && isIP(host) === 0 && hostPattern.test(host));
}
