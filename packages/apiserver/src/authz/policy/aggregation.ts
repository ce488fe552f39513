import { isDeepStrictEqual } from 'node:util';
import type { KubeClient } from '@cloudless/kube/client/client';
import type { Logger } from '@cloudless/kube/logger';
import { rbac } from '@cloudless/kube/resources';
import { isConflict, isNotFound } from '@cloudless/kube/status';
import type { ClusterRole } from '@cloudless/kube/types/rbac-v1';
import type { Caches } from '../../cache/cache.ts';
import { gatheredRules } from '../aggregate.ts';

/**
 * Keeps the `rules` of aggregated ClusterRoles as what they gather (upstream: the clusterrole-aggregation
 * controller). Decisions do not wait for it: the authorizer gathers by itself; this is for those who read the roles,
 * upstream's API server on the same store among them. Works until `signal` is aborted.
 */
export function keepAggregatedRoles(parts: {
  caches: Caches;
  client: KubeClient;
  log: Logger;
  signal: AbortSignal;
}): void {
  const cache = parts.caches.of(rbac.clusterroles);
  let running = false;
  let again = false;
  const settle = async (): Promise<void> => {
    await cache.ready;
    for (const role of cache.list()) {
      if (!role.aggregationRule || parts.signal.aborted) continue;
      const rules = gatheredRules(cache, role);
      if (isDeepStrictEqual(rules, role.rules ?? [])) continue;
      await parts.client
        .update<ClusterRole>(rbac.clusterroles, { ...structuredClone(role), rules })
        .catch(ignoreRace);
    }
  };
  const run = async (): Promise<void> => {
    running = true;
    do {
      again = false;
      await settle().catch((error: unknown) => {
        if (!parts.signal.aborted)
          parts.log.warn({ err: error }, 'cannot write what aggregated ClusterRoles gather');
      });
    } while (again && !parts.signal.aborted);
    running = false;
  };
  const wake = (): void => {
    again = true;
    if (!running) void run();
  };
  const unsubscribe = cache.subscribe(wake);
  parts.signal.addEventListener('abort', unsubscribe, { once: true });
  wake();
}

/** The role changed meanwhile or is gone: its event starts another round. */
function ignoreRace(error: unknown): void {
  if (!isConflict(error) && !isNotFound(error)) throw error;
}
