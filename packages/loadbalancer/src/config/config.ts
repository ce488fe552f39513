/**
 * The configuration of the `metallb.io` kinds, parsed, checked and joined: what controller and speaker work from.
 * Immutable; a new one replaces the last good one as a whole.
 */
export interface LoadBalancerConfig {
  readonly pools: ReadonlyMap<string, Pool>;
  readonly peers: ReadonlyMap<string, BgpPeer>;
  readonly bfdProfiles: ReadonlyMap<string, BfdProfile>;
}

/** An inclusive range of addresses of one family, as big-endian numbers. */
export interface AddressRange {
  readonly family: 4 | 6;
  readonly first: bigint;
  readonly last: bigint;
  /** As the pool wrote it: `192.0.2.0/24` or `192.0.2.1-192.0.2.9`. */
  readonly text: string;
  /** Length of the prefix when written as CIDR: aggregates may not be shorter (upstream: internal/config). */
  readonly prefixLength: number | undefined;
}

/** Answers whether labels match; an absent selector in the kind is the caller's rule, not this one's. */
export type LabelMatch = (labels: Readonly<Record<string, string>>) => boolean;

export interface Pool {
  readonly name: string;
  readonly namespace: string;
  readonly ranges: readonly AddressRange[];
  readonly autoAssign: boolean;
  /** IPv4 addresses that end in .0 or .255 are not given out. */
  readonly avoidBuggyIPs: boolean;
  /** Undefined: any Service may have an address of it. */
  readonly serviceAllocation: ServiceAllocation | undefined;
  readonly l2Advertisements: readonly L2Advertisement[];
  readonly bgpAdvertisements: readonly BgpAdvertisement[];
}

export interface ServiceAllocation {
  /** Lower first; 0: after all others (upstream's rule). */
  readonly priority: number;
  readonly namespaces: ReadonlySet<string>;
  readonly namespaceSelectors: readonly LabelMatch[];
  readonly serviceSelectors: readonly LabelMatch[];
}

export interface L2Advertisement {
  readonly name: string;
  /** Empty: every node. Several are alternatives. */
  readonly nodeSelectors: readonly LabelMatch[];
  /** Empty: every Service. */
  readonly serviceSelectors: readonly LabelMatch[];
  readonly interfaces: readonly string[] | 'any';
}

export interface BgpAdvertisement {
  readonly name: string;
  readonly aggregationLength: number;
  readonly aggregationLengthV6: number;
  readonly localPref: number;
  /** Standard (`65535:65282`) and large (`large:1:2:3`), names resolved. */
  readonly communities: readonly BgpCommunity[];
  /** Names of peers; empty: all. */
  readonly peers: readonly string[];
  readonly nodeSelectors: readonly LabelMatch[];
  readonly serviceSelectors: readonly LabelMatch[];
}

export type BgpCommunity =
  | { readonly type: 'standard'; readonly high: number; readonly low: number }
  | { readonly type: 'large'; readonly global: number; readonly local1: number; readonly local2: number };

export interface BgpPeer {
  readonly name: string;
  readonly myAsn: number;
  /** A number, or `internal`/`external` (dynamicASN). */
  readonly peerAsn: number | 'internal' | 'external';
  readonly peerAddress: string;
  readonly peerPort: number;
  readonly sourceAddress: string | undefined;
  readonly holdTimeSeconds: number;
  readonly keepaliveTimeSeconds: number;
  readonly connectTimeSeconds: number;
  /** IPv4 text; undefined: the node's own. */
  readonly routerId: string | undefined;
  readonly nodeSelectors: readonly LabelMatch[];
  /** TCP MD5 (RFC 2385); from `password` or the Secret of `passwordSecret`. Never logged. */
  readonly password: string | undefined;
  readonly bfdProfile: string | undefined;
  readonly enableGracefulRestart: boolean;
  readonly ebgpMultiHop: boolean;
}

export interface BfdProfile {
  readonly name: string;
  readonly receiveIntervalMs: number;
  readonly transmitIntervalMs: number;
  readonly echoIntervalMs: number;
  readonly detectMultiplier: number;
  readonly echoMode: boolean;
  readonly passiveMode: boolean;
  readonly minimumTtl: number;
}
