import type { Running } from '@cloudless/kube/lifecycle';

/** A member of the cluster as memberlist tells it. */
export interface GossipMember {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly state: 'alive' | 'suspect' | 'dead' | 'left';
}

/** SWIM over memberlist's wire protocol: who is there. */
export interface Gossip extends Running {
  /** Every member, this one included. */
  members(): readonly GossipMember[];
  /** Asks these addresses (`ip` or `ip:port`) for their state; resolves with how many answered. */
  join(addresses: readonly string[]): Promise<number>;
  /** Tells the others that this member goes, before {@link Running.stop}. */
  leave(): Promise<void>;
  subscribe(listener: (members: readonly GossipMember[]) => void): () => void;
}
