import type { BgpSession, BgpSessionStatus, BgpState } from '../bgp/bgp.ts';
import type { NotOwner, Ownership } from '../layer2/layer2.ts';
import type { NotCandidate, ProtocolPlan, ServicePlan, Silence } from './announcements.ts';

/** What a speaker tells of itself at `/status`, as JSON. No secret is in it. */
export interface SpeakerStatus {
  node: string;
  /** Speakers believed alive, this one included. */
  members: ReadonlyArray<{ name: string; address: string }>;
  addresses: readonly AddressStatus[];
  services: readonly ServiceStatus[];
  peers: readonly PeerStatus[];
  /** Why the configuration or the file of announcements in force is not the newest. */
  problems: readonly string[];
}

export interface AddressStatus {
  address: string;
  owner: string | undefined;
  sinceMs: number;
  others: ReadonlyArray<{ node: string; why: NotOwner }>;
  contestedBy: string | undefined;
  interfaces: readonly string[];
  sources: ReadonlyArray<{ kind: string; name: string }>;
}

export interface ServiceStatus {
  /** `namespace/name`. */
  service: string;
  addresses: readonly string[];
  pool: string | undefined;
  layer2: ProtocolStatus;
  bgp: ProtocolStatus & { peers: readonly string[] };
}

export interface ProtocolStatus {
  candidates: readonly string[];
  others: ReadonlyArray<{ node: string; why: NotCandidate }>;
  silence: Silence | undefined;
  labelOverruled: boolean;
}

export interface PeerStatus {
  name: string;
  address: string;
  state: BgpState;
  sinceMs: number;
  bfd: string | undefined;
  advertisedRoutes: number;
  lastError: string | undefined;
}

/** Puts a speaker's parts together into what it tells of itself. */
export function speakerStatus(parts: {
  nodeName: string;
  members: ReadonlyArray<{ name: string; address: string }>;
  ownerships: readonly Ownership[];
  sourcesOf(address: string): ReadonlyArray<{ kind: string; name: string }>;
  plans: Iterable<ServicePlan>;
  peersOf(key: string): readonly string[];
  sessions: ReadonlyArray<{ session: BgpSession; status: BgpSessionStatus }>;
  problems: readonly string[];
}): SpeakerStatus {
  return {
    node: parts.nodeName,
    members: parts.members,
    addresses: parts.ownerships.map((one) => ({ ...one, sources: parts.sourcesOf(one.address) })),
    services: [...parts.plans].map(({ key, addresses, pool, layer2, bgp }) => ({
      service: key,
      addresses,
      pool,
      layer2: protocolStatus(layer2),
      bgp: { ...protocolStatus(bgp), peers: parts.peersOf(key) },
    })),
    peers: parts.sessions.map(({ session: { peer }, status }) => ({
      name: peer.name,
      address: peer.peerAddress,
      state: status.state,
      sinceMs: status.sinceMs,
      bfd: status.bfd,
      advertisedRoutes: status.advertisedRoutes,
      lastError: status.lastError,
    })),
    problems: [...parts.problems, ...parts.ownerships.flatMap(assignedHere)],
  };
}

/** An address of a plan that an interface of this machine has: its kernel answers for it, owner or not. */
function assignedHere({ address, assignedTo = [] }: Ownership): string[] {
  if (assignedTo.length === 0) return [];
  return [
    `${address} is assigned to ${assignedTo.join(', ')} on this node: its kernel answers for it, whoever the owner is; ` +
      `remove it there (ip address del)`,
  ];
}

/** One protocol's plan as `/status` tells it. */
export function protocolStatus({
  candidates,
  others,
  silence,
  labelOverruled,
}: ProtocolPlan): ProtocolStatus {
  return {
    candidates,
    others: [...others].map(([node, why]) => ({ node, why })),
    silence,
    labelOverruled,
  };
}
