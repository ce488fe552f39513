import type { Node, Service } from '@cloudless/kube/types/core-v1';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import type { Announcement } from '../announcement.ts';
import type { L2Advertisement, LoadBalancerConfig, Pool } from '../config/config.ts';
import { addressOf, type IpAddress } from './address.ts';

/** kubeadm puts it on control planes; upstream: corev1.LabelNodeExcludeBalancers. */
export const excludeLabel = 'node.kubernetes.io/exclude-from-external-load-balancers';

/** What a speaker knows when it decides about one Service. */
export interface ServiceInputs {
  service: Service;
  /** Those of this Service. */
  slices: readonly EndpointSlice[];
  /** Every node, by name. */
  nodes: ReadonlyMap<string, Node>;
  config: LoadBalancerConfig;
  rules: SpeakerRules;
}

/** What does not change while a speaker runs. */
export interface SpeakerRules {
  /** Of this speaker: it answers on the interfaces of the advertisements that match it. */
  nodeName: string;
  /** Services of this class only; undefined: of none (upstream: --lb-class). */
  loadBalancerClass?: string | undefined;
  /** The exclude label leaves a Service silent where it leaves no candidate, as MetalLB does. */
  strictExclude: boolean;
  /** The exclude label counts for nothing (upstream: --ignore-exclude-lb). */
  ignoreExclude?: boolean | undefined;
}

/** Why nobody announces a Service by one protocol. */
export type Silence =
  | 'not-load-balancer'
  | 'other-class'
  | 'no-address'
  | 'invalid-address'
  | 'address-in-no-pool'
  | 'no-serving-endpoint'
  | 'no-advertisement'
  | 'shared-with-service-selector'
  | 'excluded-by-label'
  | 'no-candidate';

/** Why one node could not announce a Service. */
export type NotCandidate =
  | 'no-advertisement'
  | 'network-unavailable'
  | 'excluded-by-label'
  | 'no-serving-endpoint';

/** Who announces a Service by one protocol. */
export interface ProtocolPlan {
  /** Sorted; empty with {@link silence}. */
  candidates: readonly string[];
  /** By node: those that are no candidates. */
  others: ReadonlyMap<string, NotCandidate>;
  silence: Silence | undefined;
  /** Every candidate has the exclude label, and is one all the same. */
  labelOverruled: boolean;
}

/** One Service as all speakers see it. */
export interface ServicePlan {
  /** `namespace/name`. */
  key: string;
  /** Canonical text, in the status' order. */
  addresses: readonly string[];
  pool: string | undefined;
  local: boolean;
  layer2: ProtocolPlan;
  bgp: ProtocolPlan;
  /** For the table, under the source `service`. */
  announcements: ReadonlyArray<Omit<Announcement, 'source'>>;
}

/**
 * Decides who may announce a Service, by MetalLB's rules (upstream: speaker/main.go, layer2_controller.go and
 * bgp_controller.go), but for two: where the exclude label alone leaves no candidate it is overruled, unless
 * `strictExclude`; and membership is no matter of this: whoever announces knows who is alive. Pure.
 */
export function planService(inputs: ServiceInputs): ServicePlan {
  const { service, config } = inputs;
  const key = `${service.metadata.namespace}/${service.metadata.name}`;
  const local = service.spec?.externalTrafficPolicy === 'Local';
  const addresses = (service.status?.loadBalancer?.ingress ?? []).map(({ ip }) => addressOf(ip ?? ''));
  const parsed = addresses.filter((address) => address !== undefined);
  const pool = poolOf(config, parsed);
  const common = { key, addresses: parsed.map(({ text }) => text), pool: pool?.name, local };
  const silence = whyIgnored(inputs, addresses) ?? (pool ? undefined : 'address-in-no-pool');
  if (silence || !pool) {
    const plan = silent(silence ?? 'address-in-no-pool');
    return { ...common, layer2: plan, bgp: plan, announcements: [] };
  }
  const serving = servingNodes(inputs.slices);
  const layer2 = layer2Plan(inputs, pool, serving);
  return {
    ...common,
    layer2,
    bgp: bgpPlan(inputs, pool, serving),
    announcements: announcementsOf(inputs, pool, layer2.candidates, common.addresses),
  };
}

/** Advertisements of the pool that are for this Service, whatever the node. */
export function advertisementsFor<A extends Pick<L2Advertisement, 'serviceSelectors'>>(
  advertisements: readonly A[],
  service: Service,
): A[] {
  const labels = service.metadata.labels ?? {};
  return advertisements.filter(
    ({ serviceSelectors }) =>
      serviceSelectors.length === 0 || serviceSelectors.some((matches) => matches(labels)),
  );
}

/** Whether one of the advertisements is for this node. */
export function matchesNode(
  { nodeSelectors }: Pick<L2Advertisement, 'nodeSelectors'>,
  node: Node | undefined,
): boolean {
  // As upstream, an advertisement is for nodes that are known.
  if (!node) return false;
  const labels = node.metadata.labels ?? {};
  return nodeSelectors.length === 0 || nodeSelectors.some((matches) => matches(labels));
}

const silent = (silence: Silence, others: ReadonlyMap<string, NotCandidate> = new Map()): ProtocolPlan => ({
  candidates: [],
  others,
  silence,
  labelOverruled: false,
});

function whyIgnored(
  { service, rules }: ServiceInputs,
  addresses: ReadonlyArray<IpAddress | undefined>,
): Silence | undefined {
  if (service.spec?.type !== 'LoadBalancer') return 'not-load-balancer';
  if (service.spec.loadBalancerClass !== rules.loadBalancerClass) return 'other-class';
  if (addresses.length === 0) return 'no-address';
  return addresses.includes(undefined) ? 'invalid-address' : undefined;
}

/** The pool that has all of the addresses (upstream: poolFor). */
function poolOf(config: LoadBalancerConfig, addresses: readonly IpAddress[]): Pool | undefined {
  if (addresses.length === 0) return undefined;
  for (const pool of config.pools.values()) {
    const within = ({ family, value }: IpAddress): boolean =>
      pool.ranges.some((range) => range.family === family && range.first <= value && value <= range.last);
    if (addresses.every(within)) return pool;
  }
  return undefined;
}

interface Serving {
  /** There is an endpoint anywhere that can serve. */
  any: boolean;
  nodes: ReadonlySet<string>;
}

/** Endpoints that are ready, or serve while they terminate (upstream: epslices.EndpointCanServe). */
function servingNodes(slices: readonly EndpointSlice[]): Serving {
  const nodes = new Set<string>();
  let any = false;
  for (const slice of slices)
    for (const { conditions, nodeName } of slice.endpoints ?? []) {
      if (!(conditions?.ready ?? true) && conditions?.serving !== true) continue;
      any = true;
      if (nodeName !== undefined) nodes.add(nodeName);
    }
  return { any, nodes };
}

const sharingAnnotations = ['metallb.io/allow-shared-ip', 'metallb.universe.tf/allow-shared-ip'];

function layer2Plan(inputs: ServiceInputs, pool: Pool, serving: Serving): ProtocolPlan {
  const { service } = inputs;
  const advertisements = advertisementsFor(pool.l2Advertisements, service);
  if (advertisements.length === 0) return silent('no-advertisement');
  const annotations = service.metadata.annotations ?? {};
  const shares = sharingAnnotations.some((name) => name in annotations);
  // Services of one address could be told apart by their labels, and would have two owners.
  if (shares && advertisements.some(({ serviceSelectors }) => serviceSelectors.length > 0))
    return silent('shared-with-service-selector');
  return candidatesAmong(inputs, advertisements, serving);
}

function bgpPlan(inputs: ServiceInputs, pool: Pool, serving: Serving): ProtocolPlan {
  const advertisements = advertisementsFor(pool.bgpAdvertisements, inputs.service);
  return advertisements.length === 0
    ? silent('no-advertisement')
    : candidatesAmong(inputs, advertisements, serving);
}

function candidatesAmong(
  { service, nodes, rules }: ServiceInputs,
  advertisements: ReadonlyArray<Pick<L2Advertisement, 'nodeSelectors'>>,
  serving: Serving,
): ProtocolPlan {
  if (!serving.any) return silent('no-serving-endpoint');
  const local = service.spec?.externalTrafficPolicy === 'Local';
  const candidates: string[] = [];
  const excluded: string[] = [];
  const others = new Map<string, NotCandidate>();
  for (const [name, node] of nodes) {
    if (!advertisements.some((advertisement) => matchesNode(advertisement, node)))
      others.set(name, 'no-advertisement');
    else if (isNetworkUnavailable(node)) others.set(name, 'network-unavailable');
    else if (local && !serving.nodes.has(name)) others.set(name, 'no-serving-endpoint');
    else if (rules.ignoreExclude !== true && isExcluded(node)) excluded.push(name);
    else candidates.push(name);
  }
  const labelOverruled = candidates.length === 0 && excluded.length > 0 && !rules.strictExclude;
  if (labelOverruled) candidates.push(...excluded);
  else for (const name of excluded) others.set(name, 'excluded-by-label');
  const silence =
    candidates.length > 0 ? undefined : excluded.length > 0 ? 'excluded-by-label' : 'no-candidate';
  return { candidates: candidates.sort(), others, silence, labelOverruled };
}

const isNetworkUnavailable = (node: Node): boolean =>
  node.status?.conditions?.find(({ type }) => type === 'NetworkUnavailable')?.status === 'True';

const isExcluded = (node: Node): boolean => excludeLabel in (node.metadata.labels ?? {});

function announcementsOf(
  { service, nodes, rules }: ServiceInputs,
  pool: Pool,
  candidates: readonly string[],
  addresses: readonly string[],
): Array<Omit<Announcement, 'source'>> {
  if (candidates.length === 0) return [];
  const own = advertisementsFor(pool.l2Advertisements, service).filter((advertisement) =>
    matchesNode(advertisement, nodes.get(rules.nodeName)),
  );
  const interfaces = interfacesOf(own);
  const [electedBy] = addresses;
  return addresses.map((address) => ({
    address,
    candidates,
    interfaces,
    ...(electedBy === undefined || electedBy === address ? {} : { electedBy }),
  }));
}

/** One advertisement for every interface outweighs those that name some (upstream: ipAdvertisementFor). */
function interfacesOf(advertisements: readonly L2Advertisement[]): readonly string[] | 'any' {
  const names = new Set<string>();
  for (const { interfaces } of advertisements) {
    if (interfaces === 'any') return 'any';
    for (const name of interfaces) names.add(name);
  }
  // A node that no advertisement is for answers nowhere; what it would answer on is no matter.
  return names.size === 0 ? 'any' : [...names].sort();
}
