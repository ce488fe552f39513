import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import type { Informer } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { isNotFound } from '@cloudless/kube/status';
import { runWorkers, WorkQueue } from '@cloudless/kube/workqueue/workqueue';
import { type IPAddressPool, type IPAddressPoolStatus, metallb } from '../config/kinds.ts';
import type { PoolCounts } from './allocator.ts';

export interface PoolStatusOptions {
  client: KubeClient;
  pools: Informer<IPAddressPool>;
  countsOf(pool: string): PoolCounts | undefined;
  clock: Clock;
  log?: Pick<Logger, 'warn' | 'debug'> | undefined;
  signal?: AbortSignal | undefined;
}

/** Writes counts of addresses into the status of IPAddressPools. */
export interface PoolStatusWriter extends Running {
  /** The counts of a pool may have changed. */
  changed(pool: string): void;
}

/** Many Services that come at once make one write. */
const settleMs = 200;
/** What upstream says of ranges that cannot be counted in an int64. */
const mostAddresses = 2n ** 63n - 1n;

export function startPoolStatus(options: PoolStatusOptions): PoolStatusWriter {
  const { client, pools, clock, log, signal } = options;
  const queue = new WorkQueue<string>({ name: 'ipaddresspool_status', clock });
  const write = async (name: string): Promise<void> => {
    const counts = options.countsOf(name);
    const pool = pools.store.list().find(({ metadata }) => metadata.name === name);
    if (!counts || !pool) return;
    const status = statusOf(counts);
    if (sameStatus(pool.status, status)) return;
    try {
      await client.update(metallb.ipAddressPools, { ...pool, status }, { subresource: 'status', signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  };
  const workers = runWorkers(queue, 1, write, { log, signal });
  return {
    changed: (pool) => queue.addAfter(pool, settleMs),
    ...running(() => workers.stop()),
  };
}

function statusOf(counts: PoolCounts): IPAddressPoolStatus {
  const available = (capacity: bigint, assigned: number): number | bigint => {
    const left = (capacity > mostAddresses ? mostAddresses : capacity) - BigInt(assigned);
    return left <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(left) : left;
  };
  return {
    assignedIPv4: counts.assignedIPv4,
    assignedIPv6: counts.assignedIPv6,
    availableIPv4: available(counts.capacityIPv4, counts.assignedIPv4),
    availableIPv6: available(counts.capacityIPv6, counts.assignedIPv6),
  };
}

const sameStatus = (a: IPAddressPoolStatus | undefined, b: IPAddressPoolStatus): boolean =>
  a !== undefined && (Object.keys(b) as Array<keyof IPAddressPoolStatus>).every((key) => a[key] === b[key]);
