import type { Node, Service } from '@cloudless/kube/types/core-v1';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import type {
  AddressRange,
  BgpAdvertisement,
  BgpPeer,
  L2Advertisement,
  LabelMatch,
  LoadBalancerConfig,
  Pool,
} from '../../config/config.ts';
import { addressOf } from '../address.ts';

/** Objects and configurations for tests of the speaker, with everything that the case does not name left ordinary. */
export function node(name: string, labels: Record<string, string> = {}, address?: string): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'kubernetes.io/hostname': name, ...labels } },
    status: { addresses: address === undefined ? [] : [{ type: 'InternalIP', address }] },
  };
}

export interface ServiceOptions {
  addresses?: readonly string[];
  local?: boolean;
  annotations?: Record<string, string>;
  labels?: Record<string, string>;
  loadBalancerClass?: string;
  type?: string;
}

export function service(name: string, options: ServiceOptions = {}): Service {
  const { addresses = ['192.0.2.9'], local = false, annotations = {}, labels = {} } = options;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default', annotations, labels },
    spec: {
      type: options.type ?? 'LoadBalancer',
      externalTrafficPolicy: local ? 'Local' : 'Cluster',
      ...(options.loadBalancerClass === undefined ? {} : { loadBalancerClass: options.loadBalancerClass }),
      ports: [{ port: 80 }],
    },
    status: { loadBalancer: { ingress: addresses.map((ip) => ({ ip })) } },
  };
}

/** An EndpointSlice of `name` with one endpoint on each of the nodes. */
export function slice(
  name: string,
  nodes: readonly string[],
  conditions: { ready?: boolean; serving?: boolean; terminating?: boolean } = { ready: true },
): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${name}-abcde`,
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': name },
    },
    addressType: 'IPv4',
    ports: [{ port: 8080 }],
    endpoints: nodes.map((nodeName, i) => ({ addresses: [`10.244.${i}.2`], nodeName, conditions })),
  };
}

export const labelled =
  (key: string, value: string): LabelMatch =>
  (labels) =>
    labels[key] === value;

export function range(first: string, last = first): AddressRange {
  const [low, high] = [addressOf(first), addressOf(last)];
  if (!low || !high) throw new Error(`${first}-${last} is no range`);
  return {
    family: low.family,
    first: low.value,
    last: high.value,
    text: `${first}-${last}`,
    prefixLength: undefined,
  };
}

export const l2 = (over: Partial<L2Advertisement> = {}): L2Advertisement => ({
  name: 'l2',
  nodeSelectors: [],
  serviceSelectors: [],
  interfaces: 'any',
  ...over,
});

export const bgpAdvertisement = (over: Partial<BgpAdvertisement> = {}): BgpAdvertisement => ({
  name: 'bgp',
  aggregationLength: 32,
  aggregationLengthV6: 128,
  localPref: 0,
  communities: [],
  peers: [],
  nodeSelectors: [],
  serviceSelectors: [],
  ...over,
});

export const pool = (over: Partial<Pool> = {}): Pool => ({
  name: 'pool',
  namespace: 'metallb-system',
  ranges: [range('192.0.2.0', '192.0.2.255'), range('2001:db8::', '2001:db8::ffff')],
  autoAssign: true,
  avoidBuggyIPs: false,
  serviceAllocation: undefined,
  l2Advertisements: [l2()],
  bgpAdvertisements: [],
  ...over,
});

export const peer = (over: Partial<BgpPeer> = {}): BgpPeer => ({
  name: 'router',
  myAsn: 64500,
  peerAsn: 64501,
  peerAddress: '192.0.2.1',
  peerPort: 179,
  sourceAddress: undefined,
  holdTimeSeconds: 90,
  keepaliveTimeSeconds: 30,
  connectTimeSeconds: 120,
  routerId: undefined,
  nodeSelectors: [],
  password: undefined,
  bfdProfile: undefined,
  enableGracefulRestart: false,
  ebgpMultiHop: false,
  ...over,
});

export const configuration = (
  pools: readonly Pool[] = [pool()],
  peers: readonly BgpPeer[] = [],
): LoadBalancerConfig => ({
  pools: new Map(pools.map((one) => [one.name, one])),
  peers: new Map(peers.map((one) => [one.name, one])),
  bfdProfiles: new Map(),
});
