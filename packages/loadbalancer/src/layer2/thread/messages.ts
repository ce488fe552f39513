import type { AddressPlan } from '../../announcement.ts';
import type { AddressCounters } from '../counters.ts';
import type { LinkGroups } from '../group-memberships.ts';
import type { HeartbeatSettings } from '../heartbeat-settings.ts';
import type { Member, Ownership } from '../layer2.ts';
import type { HeartbeatReport } from './heartbeat-elector.ts';
import type { LoopThreadData } from '@cloudless/kube/native/loop-thread';

/** What the main side tells the thread; each replaces what was told before. */
export type Command =
  | { readonly kind: 'plans'; readonly plans: readonly AddressPlan[] }
  | { readonly kind: 'members'; readonly members: readonly Member[] }
  | { readonly kind: 'rebalance' };

/** What the thread reports. */
export type Report =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'ownerships';
      readonly changed: readonly Ownership[];
      /** Addresses that are in no plan any more. */
      readonly gone: readonly string[];
    }
  /** Groups that the main side is to join, and no others. */
  | { readonly kind: 'groups'; readonly links: readonly LinkGroups[] }
  /**
   * Packet sockets for the main side to close: that waits until every processor has let go of them (synchronize_net), some
   * 30 ms each.
   */
  | { readonly kind: 'retired'; readonly fds: readonly number[] }
  | { readonly kind: 'counters'; readonly counters: readonly AddressCounters[] }
  | { readonly kind: 'heartbeats'; readonly report: HeartbeatReport }
  | {
      readonly kind: 'log';
      readonly level: 'debug' | 'info' | 'warn' | 'error';
      readonly message: string;
      readonly fields: Record<string, unknown>;
    };

/** With what a thread starts. */
export interface ThreadData extends LoopThreadData {
  readonly nodeName: string;
  /** Source of a regular expression: {@link Layer2Options.excludeInterfaces}. */
  readonly exclude: string;
  /** Undefined: none; members count as live as long as they are listed. */
  readonly heartbeat: HeartbeatSettings | undefined;
  readonly plans: readonly AddressPlan[];
  readonly members: readonly Member[];
}
