import type { Clock } from '@cloudless/kube/clock';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { ExternalDnsConfig } from '../external/config.ts';
import type { Zones } from '../zone/zones.ts';
import type { TransferLimits } from './fetch-zone.ts';
import { Limiter } from './limiter.ts';
import { type SecondaryStatus, SecondaryZone } from './secondary-zone.ts';

export type { SecondaryStatus } from './secondary-zone.ts';

export interface SecondariesOptions {
  readonly zones: Zones;
  /** What is in force now. */
  readonly config: () => Pick<ExternalDnsConfig, 'secondaries' | 'tsigKeys'>;
  readonly log: Logger;
  readonly clock: Clock;
  /** Defaults: 2,000,000 records, 512 MiB, 30 s of silence, 15 minutes in all. */
  readonly limits?: Partial<TransferLimits> | undefined;
  /** In [0, 1): spreads the refreshes of many zones. Default Math.random. */
  readonly random?: (() => number) | undefined;
}

export interface Secondaries extends Running {
  /** A primary, at address `from`, says that the zone has changed: it is looked at now. */
  notified(origin: string, from: string): void;
  /** The configuration has changed: zones that are new are begun, those that are gone are withdrawn. */
  reload(): void;
  status(): SecondaryStatus[];
}

const defaultLimits: TransferLimits = {
  maxRecords: 2_000_000,
  maxBytes: 512 * 1024 * 1024,
  idleMs: 30_000,
  totalMs: 15 * 60_000,
};

/** Zones that are looked at or transferred at a time. */
const refreshesAtOnce = 10;

/**
 * Holds the zones of `secondaries` as their primaries have them (RFC 1034 section 4.3.5, RFC 1995, RFC 1996): refreshed by the
 * times of their SOA and when a primary says so, published whole, expired when no primary answers for too long.
 */
export function startSecondaries(options: SecondariesOptions): Secondaries {
  const parts = new Map<string, SecondaryZone>();
  const ending = new Set<Promise<void>>();
  const limiter = new Limiter(refreshesAtOnce);
  const limits = { ...defaultLimits, ...options.limits };
  const random = options.random ?? Math.random;
  let isStopped = false;

  const end = (origin: string, part: SecondaryZone): void => {
    parts.delete(origin);
    const ended = part.stop().finally(() => ending.delete(ended));
    ending.add(ended);
  };
  const reload = (): void => {
    if (isStopped) return;
    const { secondaries } = options.config();
    for (const [origin, part] of parts) {
      if (secondaries.has(origin)) continue;
      end(origin, part);
      if (options.zones.all.get(origin)?.role === 'secondary') options.zones.withdraw(origin);
    }
    for (const origin of secondaries.keys()) {
      const part = parts.get(origin);
      if (part) part.reloaded();
      else parts.set(origin, new SecondaryZone(origin, { ...options, limits, random, limiter }));
    }
  };
  reload();
  return {
    reload,
    notified: (origin, from) => parts.get(origin)?.notified(from),
    status: () => [...parts.values()].map((part) => part.status()),
    ...running(async () => {
      isStopped = true;
      for (const [origin, part] of parts) end(origin, part);
      await Promise.all(ending);
    }),
  };
}
