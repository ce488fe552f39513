import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { Gossip } from '../gossip/gossip.ts';

const againMs = 5_000;

export interface GossipAttemptsOptions {
  open: () => Promise<Gossip>;
  use: (gossip: Gossip) => Promise<void>;
  clock: Clock;
  log: Logger;
}

export interface GossipAttempts extends Running {
  /** Resolves after the first attempt, whatever came of it. */
  readonly attempted: Promise<void>;
}

/** Starts gossip, and tries again while it cannot: its port may be taken for a moment, its address not there yet. */
export function attemptGossip({ open, use, clock, log }: GossipAttemptsOptions): GossipAttempts {
  let stopped = false;
  let timer: ClockTimer | undefined;
  const attempt = async (): Promise<void> => {
    try {
      const gossip = await open();
      if (stopped) await gossip.stop();
      else await use(gossip);
    } catch (error) {
      if (stopped) return;
      log.error(
        { err: error, againMs },
        'no gossip: until it starts, heartbeats alone find speakers that die',
      );
      timer = clock.setTimeout(() => {
        last = attempt();
      }, againMs);
    }
  };
  let last = attempt();
  const handle = running(() => {
    stopped = true;
    timer?.cancel();
    return last;
  });
  return { ...handle, attempted: last };
}
