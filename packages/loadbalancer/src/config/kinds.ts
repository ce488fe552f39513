/** The kinds of `metallb.io` as they stand in the API (MetalLB: api/v1beta1, api/v1beta2), and their resources. */
import type { KubeObject, Resource } from '@cloudless/kube/object';
import type { Condition, LabelSelector } from '@cloudless/kube/types/meta-v1';

export interface IPAddressPool extends KubeObject {
  spec: {
    addresses: string[];
    /** Default true. */
    autoAssign?: boolean;
    avoidBuggyIPs?: boolean;
    serviceAllocation?: {
      priority?: number;
      namespaces?: string[];
      namespaceSelectors?: LabelSelector[];
      serviceSelectors?: LabelSelector[];
    };
  };
  status?: IPAddressPoolStatus;
}

/** Counts of addresses; a range of 2^62 and more has 2^63-1. */
export interface IPAddressPoolStatus {
  assignedIPv4: number | bigint;
  assignedIPv6: number | bigint;
  availableIPv4: number | bigint;
  availableIPv6: number | bigint;
}

export interface L2AdvertisementObject extends KubeObject {
  spec?: {
    ipAddressPools?: string[];
    ipAddressPoolSelectors?: LabelSelector[];
    nodeSelectors?: LabelSelector[];
    preferredNodeSelectors?: Array<{ weight: number; preference: LabelSelector }>;
    serviceSelectors?: LabelSelector[];
    interfaces?: string[];
  };
}

export interface BgpAdvertisementObject extends KubeObject {
  spec?: {
    aggregationLength?: number;
    aggregationLengthV6?: number;
    localPref?: number;
    communities?: string[];
    ipAddressPools?: string[];
    ipAddressPoolSelectors?: LabelSelector[];
    nodeSelectors?: LabelSelector[];
    serviceSelectors?: LabelSelector[];
    peers?: string[];
  };
}

/** v1beta2. Durations are Go's text (`1m30s`). */
export interface BgpPeerObject extends KubeObject {
  spec: {
    myASN: number;
    peerASN?: number;
    dynamicASN?: 'internal' | 'external';
    localASN?: number;
    peerAddress?: string;
    interface?: string;
    peerPort?: number;
    sourceAddress?: string;
    holdTime?: string;
    keepaliveTime?: string;
    connectTime?: string;
    routerID?: string;
    nodeSelectors?: LabelSelector[];
    password?: string;
    passwordSecret?: { name?: string; namespace?: string };
    bfdProfile?: string;
    enableGracefulRestart?: boolean;
    ebgpMultiHop?: boolean;
    vrf?: string;
    dualStackAddressFamily?: boolean;
    disableMP?: boolean;
  };
}

export interface BfdProfileObject extends KubeObject {
  spec?: {
    receiveInterval?: number;
    transmitInterval?: number;
    echoInterval?: number;
    detectMultiplier?: number;
    echoMode?: boolean;
    passiveMode?: boolean;
    minimumTtl?: number;
  };
}

export interface CommunityObject extends KubeObject {
  spec?: { communities?: Array<{ name?: string; value?: string }> };
}

/** Written by the speaker of the node that answers; one per Service. */
export interface ServiceL2Status extends KubeObject {
  spec?: Record<string, never>;
  status?: {
    node?: string;
    serviceName?: string;
    serviceNamespace?: string;
    interfaces?: Array<{ name?: string }>;
  };
}

/** Written by each speaker that tells peers of a Service's addresses. */
export interface ServiceBGPStatus extends KubeObject {
  spec?: Record<string, never>;
  status?: { node?: string; serviceName?: string; serviceNamespace?: string; peers?: string[] };
}

/** Written by controller (`controller`) and speakers (`speaker-NODE`). */
export interface ConfigurationState extends KubeObject {
  status?: { result?: 'Valid' | 'Invalid' | 'Unknown'; errorSummary?: string; conditions?: Condition[] };
}

const define = <T>(version: string, plural: string, kind: string): Resource<T> => ({
  group: 'metallb.io',
  version,
  plural,
  kind,
  namespaced: true,
});

/** Resources of `metallb.io`, in the versions that are stored. */
export const metallb = {
  ipAddressPools: define<IPAddressPool>('v1beta1', 'ipaddresspools', 'IPAddressPool'),
  l2Advertisements: define<L2AdvertisementObject>('v1beta1', 'l2advertisements', 'L2Advertisement'),
  bgpAdvertisements: define<BgpAdvertisementObject>('v1beta1', 'bgpadvertisements', 'BGPAdvertisement'),
  bgpPeers: define<BgpPeerObject>('v1beta2', 'bgppeers', 'BGPPeer'),
  bfdProfiles: define<BfdProfileObject>('v1beta1', 'bfdprofiles', 'BFDProfile'),
  communities: define<CommunityObject>('v1beta1', 'communities', 'Community'),
  serviceL2Statuses: define<ServiceL2Status>('v1beta1', 'servicel2statuses', 'ServiceL2Status'),
  serviceBgpStatuses: define<ServiceBGPStatus>('v1beta1', 'servicebgpstatuses', 'ServiceBGPStatus'),
  configurationStates: define<ConfigurationState>('v1beta1', 'configurationstates', 'ConfigurationState'),
} as const;
