import type { Clock } from '@cloudless/kube/clock';
import type { Running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { GossipProfile, GossipSettings } from './settings.ts';

/** What a member is believed to be. `left` said so itself; `dead` was found silent. */
export type GossipState = 'alive' | 'suspect' | 'dead' | 'left';

/** A member of the cluster as memberlist tells it. */
export interface GossipMember {
  readonly name: string;
  /** IPv4 or IPv6 in its canonical text. */
  readonly address: string;
  readonly port: number;
  readonly state: GossipState;
  /** What the member says of itself, at most 512 bytes; MetalLB's speakers say nothing. */
  readonly meta?: Uint8Array;
}

/** SWIM over memberlist's wire protocol: who is there. */
export interface Gossip extends Running {
  /** This member as the others see it. */
  readonly local: { readonly name: string; readonly address: string; readonly port: number };
  /**
   * Every member, this one included. Those dead or left are listed until they are forgotten, 30 s or more after (LAN); a
   * suspect one still counts as alive for memberlist and MetalLB.
   */
  members(): readonly GossipMember[];
  /**
   * Asks these addresses (`ip` or `ip:port`, `[ip]:port` for IPv6; this member's own port where none is given) for
   * their state; resolves with how many answered. Those that did not are logged with the reason, never thrown. Also the
   * way to come back after {@link leave}.
   */
  join(addresses: readonly string[]): Promise<number>;
  /** Tells the others that this member goes, before {@link Running.stop}. Resolves when told, a second at most. */
  leave(): Promise<void>;
  /** Hears of each change of a member's state, address or meta. Returns the way to unsubscribe. */
  subscribe(listener: (members: readonly GossipMember[]) => void): () => void;
  /** Lifeguard's awareness of this member's own health: 0 is healthy, up to `awarenessMaxMultiplier` - 1. */
  healthScore(): number;
}

/** Versions of a protocol that rides on memberlist: the least and the highest understood, and the one spoken. */
export interface VersionRange {
  readonly min: number;
  readonly max: number;
  readonly current: number;
}

export interface GossipOptions {
  /** Unique in the cluster. MetalLB matches it with the Node's name. */
  nodeName: string;
  /** Address to listen on, UDP and TCP; `0.0.0.0` and `::` want an {@link advertiseAddress} where it is ambiguous. */
  bindAddress: string;
  /** UDP and TCP; MetalLB's is 7946. 0 takes a free one. */
  port: number;
  /** What the others are told to send to. Default: the address bound to. */
  advertiseAddress?: string;
  /** Default: the port bound to. */
  advertisePort?: number;
  /** 16, 24 or 32 bytes (AES-128, -192, -256): the first encrypts, all decrypt. None: plain text. See `metallbKey`. */
  key?: Uint8Array | readonly Uint8Array[];
  /** Written in front of every packet and stream and asked for in return; at most 255 bytes. */
  label?: string;
  /** memberlist's settings for the kind of network; default `lan`. */
  profile?: GossipProfile;
  /** Changes to the profile's settings. */
  settings?: Partial<GossipSettings>;
  /** Whether what is sent is compressed; default true, as memberlist's. What comes is understood either way. */
  compression?: boolean;
  /** At most 512 bytes that every member gets to see. */
  meta?: Uint8Array;
  /** memberlist's protocol version to speak, 1 to 5; default 2. */
  protocolVersion?: number;
  /**
   * Of the protocol on top of memberlist. A cluster agrees on one: memberlist's own and MetalLB's have none (0, 0, 0, the
   * default), serf's members refuse who has less than 2, 5, 4.
   */
  delegateVersions?: VersionRange;
  log: Logger;
  clock?: Clock;
}
