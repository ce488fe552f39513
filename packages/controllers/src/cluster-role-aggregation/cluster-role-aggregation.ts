import { keyOf } from '@cloudless/kube/informer/informer';
import { rbac } from '@cloudless/kube/resources';
import { type Selector, selectorFromObject } from '@cloudless/kube/selector/selector';
import { isNotFound } from '@cloudless/kube/status';
import type { ClusterRole, PolicyRule } from '@cloudless/kube/types/rbac-v1';
import { canonicalJson, semanticEqual } from '../runtime/compare.ts';
import { type Controller, type ControllerContext, startQueue } from '../runtime/context.ts';

const workers = 5;

function selectorsOf(role: ClusterRole): Selector[] {
  return (role.aggregationRule?.clusterRoleSelectors ?? []).flatMap((object) => {
    try {
      return [selectorFromObject(object)];
    } catch {
      // Validation keeps such out; it selects nothing.
      return [];
    }
  });
}

/** Rules of all roles that an aggregated role selects, each once, in the order of the roles' names. */
export function aggregatedRules(role: ClusterRole, all: readonly ClusterRole[]): PolicyRule[] {
  const rules = new Map<string, PolicyRule>();
  const byName = [...all].sort((a, b) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1));
  for (const selector of selectorsOf(role)) {
    for (const other of byName) {
      if (other.metadata.name === role.metadata.name || !selector.matches(other.metadata.labels)) continue;
      for (const rule of other.rules ?? []) rules.set(canonicalJson(rule), rule);
    }
  }
  return [...rules.values()];
}

/** Keeps the rules of aggregated ClusterRoles, such as `admin` and `view` (upstream: clusterroleaggregation). */
export function startClusterRoleAggregation(context: ControllerContext): Controller {
  const client = context.clientFor('clusterrole-aggregation-controller');
  const roles = context.informers.of(rbac.clusterroles);
  const sync = async (name: string, signal: AbortSignal): Promise<void> => {
    const role = roles.store.get(name);
    if (!role?.aggregationRule) return;
    const rules = aggregatedRules(role, roles.store.list());
    if (semanticEqual(role.rules, rules)) return;
    const { resourceVersion } = role.metadata;
    try {
      await client.patch(
        rbac.clusterroles,
        name,
        'merge',
        { metadata: { resourceVersion }, rules },
        { signal },
      );
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  };
  return startQueue(
    context,
    { name: 'cluster_role_aggregator', workers, waitFor: [roles], sync },
    (queue) => {
      const enqueue = (changed: ClusterRole, old?: ClusterRole): void => {
        if (changed.aggregationRule) queue.add(keyOf(changed));
        for (const role of roles.store.list()) {
          const selects = selectorsOf(role).some(
            (selector) =>
              selector.matches(changed.metadata.labels) || (old && selector.matches(old.metadata.labels)),
          );
          if (selects) queue.add(keyOf(role));
        }
      };
      roles.addHandler({ add: (role) => enqueue(role), update: enqueue, delete: (role) => enqueue(role) });
    },
  );
}
