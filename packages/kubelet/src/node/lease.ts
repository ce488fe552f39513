import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import { running, type Running } from '@cloudless/kube/lifecycle';
import { coordination } from '@cloudless/kube/resources';
import { isAlreadyExists, isConflict, isNotFound } from '@cloudless/kube/status';
import { formatMicroTime } from '@cloudless/kube/time';
import type { Lease } from '@cloudless/kube/types/coordination-v1';

export interface LeaseOptions {
  client: KubeClient;
  clock: Clock;
  nodeName: string;
  durationSeconds: number;
  /** The node's uid, once known: the lease goes with its node. */
  nodeUid(): string | undefined;
  onError(error: unknown): void;
}

const namespace = 'kube-node-lease';
/** Upstream: nodeLeaseRenewIntervalFraction. */
const renewShare = 0.25;
const firstRetryMs = 200;
const longestRetryMs = 7000;

/** Renews the node's Lease, by which others know that it lives (KEP-589). */
export function startNodeLease(options: LeaseOptions): Running {
  const stopped = new AbortController();
  let held: Lease | undefined;
  let timer: ClockTimer | undefined;
  let turn: Promise<void> | undefined;
  let tries = 0;
  const renew = async (): Promise<void> => {
    let pauseMs = options.durationSeconds * 1000 * renewShare;
    try {
      held = await renewOnce(options, held, stopped.signal);
      tries = 0;
    } catch (error) {
      if (stopped.signal.aborted) return;
      if (isConflict(error) || isNotFound(error)) held = undefined;
      pauseMs = Math.min(firstRetryMs * 2 ** tries++, longestRetryMs);
      options.onError(error);
    }
    if (stopped.signal.aborted) return;
    timer = options.clock.setTimeout(() => {
      turn = renew();
    }, pauseMs);
  };
  turn = renew();
  return running(async () => {
    stopped.abort();
    timer?.cancel();
    await turn;
  });
}

async function renewOnce(
  options: LeaseOptions,
  held: Lease | undefined,
  signal: AbortSignal,
): Promise<Lease> {
  const { client, nodeName } = options;
  const base = held ?? (await client.get(coordination.leases, nodeName, { namespace, signal }).catch(absent));
  const uid = options.nodeUid();
  const lease: Lease = {
    ...base,
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      ...base?.metadata,
      name: nodeName,
      namespace,
      ...(uid === undefined
        ? {}
        : { ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: nodeName, uid }] }),
    },
    spec: {
      ...base?.spec,
      holderIdentity: nodeName,
      leaseDurationSeconds: options.durationSeconds,
      renewTime: formatMicroTime(options.clock.nowMs()),
    },
  };
  if (base) return client.update(coordination.leases, lease, { signal });
  try {
    return await client.create(coordination.leases, lease, { namespace, signal });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    return renewOnce(options, undefined, signal);
  }
}

function absent(error: unknown): undefined {
  if (isNotFound(error)) return undefined;
  throw error;
}
