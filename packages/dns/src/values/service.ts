import { addressFamily, networkOf } from './network.ts';
import { orList, type Value } from './value.ts';

/** A Service as the values ask for it. */
export interface ServiceValues {
  readonly type: 'LoadBalancer' | 'NodePort' | 'ClusterIP';
  readonly port: number;
  readonly annotations: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly ipFamilyPolicy: 'SingleStack' | 'PreferDualStack' | 'RequireDualStack' | undefined;
  readonly ipFamilies: ReadonlyArray<'IPv4' | 'IPv6'> | undefined;
  readonly clusterIP: string | undefined;
  readonly loadBalancerIP: string | undefined;
  readonly loadBalancerClass: string | undefined;
  readonly loadBalancerSourceRanges: readonly string[] | undefined;
  readonly externalIPs: readonly string[] | undefined;
  readonly externalTrafficPolicy: 'Cluster' | 'Local' | undefined;
  readonly allocateLoadBalancerNodePorts: boolean | undefined;
  readonly nodePort: number | undefined;
}

/** The Services of the values; undefined: none. */
export interface Services {
  /** One for both transports, where the chart has two. */
  readonly dns: (ServiceValues & { readonly transports: ReadonlyArray<'UDP' | 'TCP'> }) | undefined;
  /** Of PowerDNS's HTTP API: only where `service.api` is there, for without it the API is for this machine alone. */
  readonly api: ServiceValues | undefined;
  /** Of metrics, where `service.externalDNSMetrics` is there. */
  readonly metrics: ServiceValues | undefined;
}

const types = ['LoadBalancer', 'NodePort', 'ClusterIP'] as const;
/** Annotations whose values are lists of names: those of both Services count. */
const listAnnotation = /\/(internal-)?hostname$/;

/** Reads `service`. */
export function readServices(value: Value): Services {
  const udp = value.at('dnsUdp');
  const tcp = value.at('dnsTcp');
  const hasUdp = udp.at('enabled').boolean() ?? true;
  const hasTcp = tcp.at('enabled').boolean() ?? true;
  if (!hasUdp && hasTcp)
    udp.at('enabled').warning('most questions come by UDP: nearly nobody will get an answer');
  if (hasUdp && !hasTcp)
    tcp.at('enabled').warning('answers that are too long for UDP cannot be had then (RFC 7766 wants both)');
  return {
    dns: hasUdp || hasTcp ? dnsService(udp, tcp, hasUdp, hasTcp) : undefined,
    api: optionalService(value.at('api'), 80),
    metrics: optionalService(value.at('externalDNSMetrics'), 80),
  };
}

function optionalService(value: Value, port: number): ServiceValues | undefined {
  if (!value.isSet || value.at('enabled').boolean() === false) return undefined;
  return { ...oneService(value, port), type: value.at('type').word(types) ?? 'ClusterIP' };
}

function dnsService(udp: Value, tcp: Value, hasUdp: boolean, hasTcp: boolean): Services['dns'] {
  const parts = [...(hasUdp ? [udp] : []), ...(hasTcp ? [tcp] : [])];
  const [first, second] = parts.map((part) => oneService(part, 53)) as [ServiceValues, ServiceValues?];
  if (second && first.port !== second.port)
    tcp.at('port').error(`${second.port} is not dnsUdp's ${first.port}: DNS has one port for both`);
  const asked = parts.map((part) => part.at('type').word(types));
  const type = types.find((one) => asked.includes(one)) ?? 'LoadBalancer';
  if (parts.some((part) => part.isSet) && asked.every((one) => one === undefined))
    parts[0]?.warning('no type: it is LoadBalancer here (ClusterIP in the chart)');
  const settings = second
    ? Object.fromEntries(Object.entries(first).map(([key, one]) => [key, one ?? second[key as 'port']]))
    : first;
  return {
    ...(settings as unknown as ServiceValues),
    type,
    annotations: second ? mergedAnnotations(first.annotations, second.annotations, tcp) : first.annotations,
    labels: { ...second?.labels, ...first.labels },
    transports: [...(hasUdp ? ['UDP' as const] : []), ...(hasTcp ? ['TCP' as const] : [])],
  };
}

/** Of two Services on one address: lists of names are joined, otherwise what UDP's has counts. */
function mergedAnnotations(
  udp: Readonly<Record<string, string>>,
  tcp: Readonly<Record<string, string>>,
  tcpValue: Value,
): Record<string, string> {
  const merged = { ...tcp, ...udp };
  for (const [key, theirs] of Object.entries(tcp)) {
    const ours = udp[key];
    if (ours === undefined || ours === theirs) continue;
    const names = (text: string): string[] => text.split(',').map((name) => name.trim());
    if (listAnnotation.test(key)) merged[key] = [...new Set([...names(ours), ...names(theirs)])].join(',');
    else
      tcpValue
        .at('annotations')
        .at(key)
        .warning(`'${theirs}' does not count: UDP and TCP have one Service here, with dnsUdp's '${ours}'`);
  }
  return merged;
}

function oneService(value: Value, port: number): ServiceValues {
  const addresses = (key: string): string[] | undefined =>
    value.at(key).isSet
      ? value
          .at(key)
          .items()
          .flatMap((item) => addressOf(item) ?? [])
      : undefined;
  return {
    type: 'ClusterIP',
    port: value.at('port').integer(1, 65_535) ?? port,
    annotations: texts(value.at('annotations')),
    labels: texts(value.at('labels')),
    ipFamilyPolicy: value
      .at('ipFamilyPolicy')
      .word(['SingleStack', 'PreferDualStack', 'RequireDualStack'] as const),
    ipFamilies: value.at('ipFamilies').isSet
      ? value
          .at('ipFamilies')
          .items()
          .flatMap((item) => item.word(['IPv4', 'IPv6'] as const) ?? [])
      : undefined,
    clusterIP: value.at('clusterIP').isSet ? addressOf(value.at('clusterIP')) : undefined,
    loadBalancerIP: value.at('loadBalancerIP').isEmpty ? undefined : addressOf(value.at('loadBalancerIP')),
    loadBalancerClass: value.at('loadBalancerClass').text(),
    loadBalancerSourceRanges: value.at('loadBalancerSourceRanges').isSet
      ? value
          .at('loadBalancerSourceRanges')
          .items()
          .flatMap((item) => networkOf(item) ?? [])
      : undefined,
    externalIPs: addresses('externalIPs'),
    externalTrafficPolicy: value.at('externalTrafficPolicy').word(['Cluster', 'Local'] as const),
    allocateLoadBalancerNodePorts: value.at('allocateLoadBalancerNodePorts').boolean(),
    nodePort: value.at('nodePort').integer(1, 65_535),
  };
}

function addressOf(value: Value): string | undefined {
  const text = value.text();
  if (text === undefined || addressFamily(text) !== undefined) return text;
  return value.error(`expected ${orList(['an IPv4', 'an IPv6 address'])}, not '${text}'`);
}

function texts(value: Value): Record<string, string> {
  return Object.fromEntries(
    value.entries().flatMap(({ key, value: one }) => {
      const text = one.isSet ? one.text() : '';
      return text === undefined ? [] : [[key, text.trim()]];
    }),
  );
}
