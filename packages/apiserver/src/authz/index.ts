/**
 * Who may do what. `system:masters` everything; a node what concerns its pods; everyone else what RBAC grants. Every
 * decision is made from memory, synchronously.
 *
 * ```ts
 * const { authorizer, ready } = defaultAuthorizer(context.caches);
 * const hook = { name: 'rbac/bootstrap-roles', run: ({ client }) => reconcileDefaultPolicy(client) };
 * ```
 */
import type { Caches } from '../cache/cache.ts';
import type { Authorizer } from './authorizer.ts';
import { NodeAuthorizer } from './node/authorizer.ts';
import { RbacAuthorizer } from './rbac.ts';
import { mastersAuthorizer, unionAuthorizer } from './union.ts';

export { defaultPolicy } from './policy/default-policy.ts';
export { reconcileDefaultPolicy } from './policy/reconcile.ts';
export { NodeAuthorizer, nodeNameOf } from './node/authorizer.ts';
export { RbacAuthorizer } from './rbac.ts';
export { mastersAuthorizer, unionAuthorizer } from './union.ts';

/** Upstream's `--authorization-mode=Node,RBAC`. `ready`: all that decisions are made from is in memory. */
export function defaultAuthorizer(caches: Caches): {
  authorizer: Authorizer;
  rbac: RbacAuthorizer;
  node: NodeAuthorizer;
  ready: Promise<void>;
} {
  const node = new NodeAuthorizer(caches);
  const rbac = new RbacAuthorizer(caches);
  const ready = Promise.all([node.ready, rbac.ready]).then(() => undefined);
  ready.catch(() => {});
  return { authorizer: unionAuthorizer([mastersAuthorizer, node, rbac]), rbac, node, ready };
}
