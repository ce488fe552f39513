import type { BgpState } from '../bgp/bgp.ts';
import type { NotOwner } from '../layer2/layer2.ts';
import type { NotCandidate, Silence } from './announcements.ts';

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
