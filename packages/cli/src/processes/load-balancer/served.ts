import { type Clock, sleep } from '@cloudless/kube/clock';
import type { KubeClient } from '@cloudless/kube/client/client';
import { isNotFound } from '@cloudless/kube/status';
import { metallb } from '@cloudless/loadbalancer/config/kinds';

const lookMs = 200;

/**
 * Resolves when the kinds of `metallb.io` are served, or `signal` aborts: at a first start they are being made, which is
 * nothing to warn of. Any other failure is for those who read them to tell.
 */
export async function kindsServed(client: KubeClient, clock: Clock, signal: AbortSignal): Promise<void> {
  // The last one that `installDefinitions` makes, by its name.
  const last = metallb.serviceL2Statuses;
  while (!signal.aborted) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- one look after the other
      await client.list(last, { limit: 1, signal });
      return;
    } catch (error) {
      if (!isNotFound(error)) return;
    }
    // oxlint-disable-next-line no-await-in-loop
    await sleep(clock, lookMs, signal);
  }
}
