import type { Node, Service } from '@cloudless/kube/types/core-v1';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import type { LoadBalancerConfig } from '../config/config.ts';
import type { ServiceBGPStatus, ServiceL2Status } from '../config/kinds.ts';
import { planService, type ServicePlan } from '../speaker/announcements.ts';
import { protocolStatus, type ProtocolStatus, type SpeakerStatus } from '../speaker/status.ts';

/** What is known when the report is made. */
export interface ReportInputs {
  /** Undefined: there is no API, or it does not answer. */
  cluster: ClusterState | undefined;
  /** Of this machine; undefined: none answers. */
  speaker: SpeakerStatus | undefined;
  strictExclude: boolean;
}

export interface ClusterState {
  services: readonly Service[];
  slices: readonly EndpointSlice[];
  nodes: readonly Node[];
  /** Undefined: it is wrong, and why is among the problems. */
  config: LoadBalancerConfig | undefined;
  l2: readonly ServiceL2Status[];
  bgp: readonly ServiceBGPStatus[];
  problems: readonly string[];
}

/** What `cloudless loadbalancer status` tells; `-o json` prints it as it is. */
export interface StatusReport {
  addresses: readonly ReportedAddress[];
  /** Services that ask for an address and have none. */
  pending: readonly string[];
  /** BGP sessions of this machine's speaker. */
  peers: SpeakerStatus['peers'];
  /** Speakers that this machine's speaker believes alive; undefined: none answers here. */
  speakers: readonly string[] | undefined;
  problems: readonly string[];
}

export interface ReportedAddress {
  address: string;
  /** `namespace/name` of the Services; other sources as `kind name`. */
  sources: readonly string[];
  pool: string | undefined;
  modes: readonly ReportedMode[];
}

export interface ReportedMode {
  mode: 'layer2' | 'bgp';
  /** Layer 2: the one that answers; BGP: all that advertise. */
  owners: readonly string[];
  /** ISO 8601; undefined: nobody knows here. */
  since: string | undefined;
  candidates: readonly string[];
  /** Why each other node is not it, in words. */
  others: ReadonlyArray<{ node: string; why: string }>;
  /** Why nobody announces it, in words; undefined: somebody could. */
  silent: string | undefined;
  /** All candidates have the exclude label. */
  labelOverruled: boolean;
  contestedBy: string | undefined;
  /** BGP: names of the peers by node. */
  peers: Readonly<Record<string, readonly string[]>>;
}

const whyNot: Record<string, string> = {
  'no-advertisement': 'no advertisement is for it',
  'network-unavailable': 'its network is unavailable',
  'excluded-by-label': 'has the label node.kubernetes.io/exclude-from-external-load-balancers',
  'no-serving-endpoint': 'no serving endpoint on it',
  'not-a-candidate': 'no candidate',
  'no-such-member': 'no speaker on it is known',
  silent: 'silent',
  joining: 'joining',
  'later-in-election': 'later in the election',
};

const whySilent: Record<string, string> = {
  'not-load-balancer': 'the Service is of another type',
  'other-class': 'another loadBalancerClass',
  'no-address': 'no address',
  'invalid-address': 'an address in its status is none',
  'address-in-no-pool': 'its addresses are not in one IPAddressPool',
  'no-serving-endpoint': 'no endpoint is ready or serving',
  'no-advertisement': 'no advertisement is for it',
  'shared-with-service-selector': 'a shared address and serviceSelectors do not go together',
  'excluded-by-label':
    'every node that could has the label node.kubernetes.io/exclude-from-external-load-balancers, and speakers are strict',
  'no-candidate': 'no node is a candidate',
};

/** Puts together what the API and the speaker of this machine know of every address. Pure. */
export function statusReport({ cluster, speaker, strictExclude }: ReportInputs): StatusReport {
  const addresses = new Map<string, ReportedAddress>();
  const pending: string[] = [];
  for (const plan of cluster ? plansOf(cluster, strictExclude) : []) {
    if (plan.addresses.length === 0) pending.push(plan.key);
    for (const address of plan.addresses) addTo(addresses, address, plan, cluster, speaker);
  }
  for (const one of speaker?.addresses ?? []) addOther(addresses, one);
  return {
    addresses: [...addresses.values()],
    pending,
    peers: speaker?.peers ?? [],
    speakers: speaker?.members.map(({ name }) => name),
    problems: [...new Set([...(cluster?.problems ?? []), ...(speaker?.problems ?? [])])],
  };
}

function plansOf(cluster: ClusterState, strictExclude: boolean): ServicePlan[] {
  const { config } = cluster;
  if (!config) return [];
  const nodes = new Map(cluster.nodes.map((node) => [node.metadata.name ?? '', node]));
  const slices = Map.groupBy(
    cluster.slices,
    ({ metadata }) => `${metadata.namespace}/${metadata.labels?.['kubernetes.io/service-name'] ?? ''}`,
  );
  return cluster.services
    .filter(({ spec }) => spec?.type === 'LoadBalancer')
    .map((service) =>
      planService({
        service,
        slices: slices.get(`${service.metadata.namespace}/${service.metadata.name}`) ?? [],
        nodes,
        config,
        rules: { nodeName: '', strictExclude, loadBalancerClass: service.spec?.loadBalancerClass },
      }),
    );
}

function addTo(
  addresses: Map<string, ReportedAddress>,
  address: string,
  plan: ServicePlan,
  cluster: ClusterState | undefined,
  speaker: SpeakerStatus | undefined,
): void {
  const known = addresses.get(address);
  if (known) {
    addresses.set(address, { ...known, sources: [...known.sources, plan.key] });
    return;
  }
  const modes: ReportedMode[] = [];
  const speaks = (status: ProtocolStatus): boolean => status.silence !== 'no-advertisement';
  const [layer2, bgp] = [protocolStatus(plan.layer2), protocolStatus(plan.bgp)];
  // An address that is in no advertisement at all is told once.
  if (speaks(layer2) || !speaks(bgp)) modes.push(layer2Mode(address, plan.key, layer2, cluster, speaker));
  if (speaks(bgp) && plan.pool !== undefined) modes.push(bgpMode(plan.key, bgp, cluster));
  addresses.set(address, { address, sources: [plan.key], pool: plan.pool, modes });
}

const isOf =
  (key: string) =>
  ({ status }: ServiceL2Status): boolean =>
    `${status?.serviceNamespace}/${status?.serviceName}` === key;

function layer2Mode(
  address: string,
  key: string,
  status: ProtocolStatus,
  cluster: ClusterState | undefined,
  speaker: SpeakerStatus | undefined,
): ReportedMode {
  const own = speaker?.addresses.find((one) => one.address === address);
  const written = cluster?.l2.find(isOf(key));
  const owner = own ? own.owner : written?.status?.node;
  const reasons = new Map(status.others.map(({ node, why }) => [node, whyNot[why] ?? why]));
  for (const node of status.candidates)
    if (node !== owner) reasons.set(node, 'later in the election, or silent');
  // What the speaker sees is nearer than what the API says.
  for (const { node, why } of own?.others ?? [])
    if (why !== 'not-a-candidate' || !reasons.has(node)) reasons.set(node, whyNot[why] ?? why);
  if (owner !== undefined) reasons.delete(owner);
  return {
    mode: 'layer2',
    owners: owner === undefined ? [] : [owner],
    since: own ? new Date(own.sinceMs).toISOString() : written?.metadata.creationTimestamp,
    candidates: status.candidates,
    others: [...reasons].sort(([a], [b]) => (a < b ? -1 : 1)).map(([node, why]) => ({ node, why })),
    silent: status.silence === undefined ? undefined : (whySilent[status.silence] ?? status.silence),
    labelOverruled: status.labelOverruled,
    contestedBy: own?.contestedBy,
    peers: {},
  };
}

function bgpMode(key: string, status: ProtocolStatus, cluster: ClusterState | undefined): ReportedMode {
  const written = (cluster?.bgp ?? []).filter(isOf(key));
  const peers = Object.fromEntries(written.map(({ status: one }) => [one?.node ?? '', one?.peers ?? []]));
  const times = written.map(({ metadata }) => metadata.creationTimestamp ?? '').filter((time) => time !== '');
  return {
    mode: 'bgp',
    owners: Object.keys(peers).sort(),
    since: times.sort()[0],
    candidates: status.candidates,
    others: status.others.map(({ node, why }) => ({ node, why: whyNot[why] ?? why })),
    silent: status.silence === undefined ? undefined : (whySilent[status.silence] ?? status.silence),
    labelOverruled: status.labelOverruled,
    contestedBy: undefined,
    peers,
  };
}

/** An address that no Service of the API has: of a file, of the control plane, or known to the speaker alone. */
function addOther(addresses: Map<string, ReportedAddress>, one: SpeakerStatus['addresses'][number]): void {
  const sources = one.sources.map(({ kind, name }) => (kind === 'service' ? name : `${kind} ${name}`));
  const known = addresses.get(one.address);
  if (known) {
    const more = sources.filter((source) => !known.sources.includes(source));
    addresses.set(one.address, { ...known, sources: [...known.sources, ...more] });
    return;
  }
  const mode: ReportedMode = {
    mode: 'layer2',
    owners: one.owner === undefined ? [] : [one.owner],
    since: new Date(one.sinceMs).toISOString(),
    candidates: [
      ...(one.owner === undefined ? [] : [one.owner]),
      ...one.others.filter(({ why }) => why !== 'not-a-candidate').map(({ node }) => node),
    ],
    others: one.others.map(({ node, why }) => ({ node, why: whyNot[why] ?? why })),
    silent: undefined,
    labelOverruled: false,
    contestedBy: one.contestedBy,
    peers: {},
  };
  addresses.set(one.address, { address: one.address, sources, pool: undefined, modes: [mode] });
}
