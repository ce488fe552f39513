import type { Pool } from '../config/config.ts';

interface Asking {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly namespaceLabels: Readonly<Record<string, string>>;
}

/**
 * Whether a Service may have addresses of a pool at all (upstream: isPoolCompatibleWithService): its namespace is
 * named or selected, if any is; and a selector of Services matches, if there is one. Unlike upstream, namespace
 * selectors that match no namespace at all open the pool to none rather than to all.
 */
export function isPoolFor({ serviceAllocation }: Pool, asking: Asking): boolean {
  if (!serviceAllocation) return true;
  const { namespaces, namespaceSelectors, serviceSelectors } = serviceAllocation;
  const anyNamespace = namespaces.size === 0 && namespaceSelectors.length === 0;
  if (
    !anyNamespace &&
    !namespaces.has(asking.namespace) &&
    !namespaceSelectors.some((matches) => matches(asking.namespaceLabels))
  )
    return false;
  return serviceSelectors.length === 0 || serviceSelectors.some((matches) => matches(asking.labels));
}

/** Pools that are meant for such a Service, the most urgent first; of equal ones in the order of their names. */
export function pinnedPools(pools: readonly Pool[], asking: Asking): Pool[] {
  // Priority 0 is "not set" and comes last.
  const rank = ({ serviceAllocation }: Pool): number => serviceAllocation?.priority || Infinity;
  return pools
    .filter((pool) => pool.serviceAllocation && pool.autoAssign && isPoolFor(pool, asking))
    .sort((a, b) => (rank(a) === rank(b) ? (a.name < b.name ? -1 : 1) : rank(a) - rank(b)));
}
