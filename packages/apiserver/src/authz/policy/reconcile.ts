import type { KubeClient } from '@cloudless/kube/client/client';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { core, rbac } from '@cloudless/kube/resources';
import { isAlreadyExists, isConflict, isNotFound } from '@cloudless/kube/status';
import type { LabelSelector } from '@cloudless/kube/types/meta-v1';
import type { ClusterRole, PolicyRule, RoleRef, Subject } from '@cloudless/kube/types/rbac-v1';
import { missingRights } from '../covers.ts';
import { autoUpdate, defaultPolicy, type Policy } from './default-policy.ts';

interface RoleLike extends KubeObject {
  rules?: PolicyRule[];
  aggregationRule?: ClusterRole['aggregationRule'];
}
interface BindingLike extends KubeObject {
  roleRef: RoleRef;
  subjects?: Subject[];
}

/** What to write so that `existing` gives at least what `wanted` does; undefined: nothing. Never takes rights away. */
function mergedRole<T extends RoleLike>(existing: T, wanted: T): T | undefined {
  if (isProtected(existing)) return undefined;
  const marks = mergedMarks(existing, wanted);
  const selectors = missingSelectors(existing, wanted);
  const rules = wanted.aggregationRule ? [] : missingRights(existing.rules ?? [], wanted.rules ?? []);
  if (!marks && selectors.length === 0 && rules.length === 0) return undefined;
  const merged = structuredClone(existing);
  if (marks) merged.metadata = marks;
  if (rules.length > 0) merged.rules = [...(merged.rules ?? []), ...rules];
  if (selectors.length > 0)
    merged.aggregationRule = {
      clusterRoleSelectors: [...(merged.aggregationRule?.clusterRoleSelectors ?? []), ...selectors],
    };
  return merged;
}

function mergedBinding<T extends BindingLike>(existing: T, wanted: T): T | undefined {
  if (isProtected(existing)) return undefined;
  const marks = mergedMarks(existing, wanted);
  const same = (a: Subject, b: Subject): boolean =>
    a.kind === b.kind && a.name === b.name && (a.namespace ?? '') === (b.namespace ?? '');
  const missing = (wanted.subjects ?? []).filter(
    (subject) => !existing.subjects?.some((known) => same(known, subject)),
  );
  if (!marks && missing.length === 0) return undefined;
  const merged = structuredClone(existing);
  if (marks) merged.metadata = marks;
  if (missing.length > 0) merged.subjects = [...(merged.subjects ?? []), ...missing];
  return merged;
}

const isProtected = (object: KubeObject): boolean => object.metadata.annotations?.[autoUpdate] === 'false';

/** metadata with the labels and annotations that are missing; values that someone changed stay. */
function mergedMarks(existing: KubeObject, wanted: KubeObject): KubeObject['metadata'] | undefined {
  let changed = false;
  const merged = structuredClone(existing.metadata);
  for (const field of ['labels', 'annotations'] as const) {
    for (const [key, value] of Object.entries(wanted.metadata[field] ?? {})) {
      if (merged[field]?.[key] !== undefined) continue;
      merged[field] = { ...merged[field], [key]: value };
      changed = true;
    }
  }
  return changed ? merged : undefined;
}

function missingSelectors(existing: RoleLike, wanted: RoleLike): LabelSelector[] {
  const known = (existing.aggregationRule?.clusterRoleSelectors ?? []).map((selector) =>
    JSON.stringify(selector),
  );
  return (wanted.aggregationRule?.clusterRoleSelectors ?? []).filter(
    (selector) => !known.includes(JSON.stringify(selector)),
  );
}

const attempts = 5;

/** Creates, and makes the namespace first where it is missing. Someone else's creation at the same time is fine. */
async function create(client: KubeClient, resource: Resource, object: KubeObject): Promise<void> {
  try {
    await client.create(resource, object);
  } catch (error) {
    const { namespace } = object.metadata;
    if (isAlreadyExists(error)) return;
    if (!isNotFound(error) || namespace === undefined) throw error;
    await client
      .create(core.namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
      .catch(ignoreExisting);
    await client.create(resource, object).catch(ignoreExisting);
  }
}

function ignoreExisting(error: unknown): void {
  if (!isAlreadyExists(error)) throw error;
}

/** Writes `merge(existing)` and, after a lost race, that of the object as it is then. */
async function update<T extends KubeObject>(
  client: KubeClient,
  resource: Resource<T>,
  existing: T,
  merge: (existing: T) => T | undefined,
): Promise<void> {
  let current = existing;
  for (let attempt = 1; ; attempt++) {
    const merged = merge(current);
    if (!merged) return;
    try {
      await client.update(resource, merged);
      return;
    } catch (error) {
      if (!isConflict(error) || attempt === attempts) throw error;
      const { name, namespace } = existing.metadata;
      current = await client.get(resource, name as string, { namespace });
    }
  }
}

const keyOf = (object: KubeObject): string => `${object.metadata.namespace ?? ''}/${object.metadata.name}`;

async function reconcileKind<T extends KubeObject>(
  client: KubeClient,
  resource: Resource<T>,
  wanted: readonly T[],
  reconcile: (existing: T, wanted: T) => Promise<void>,
): Promise<void> {
  const listed = await client.list(resource);
  const existing = new Map(listed.items.map((object) => [keyOf(object), object]));
  const done = await Promise.allSettled(
    wanted.map((object) => {
      const known = existing.get(keyOf(object));
      return known ? reconcile(known, object) : create(client, resource, object);
    }),
  );
  for (const result of done) if (result.status === 'rejected') throw result.reason;
}

/**
 * Makes sure that the default roles and bindings exist and give at least what they should (upstream:
 * registry/rbac/rest, PostStartHook `rbac/bootstrap-roles`): what is missing is added, what was added by hand stays,
 * and what is annotated `rbac.authorization.kubernetes.io/autoupdate: "false"` is left alone. One list a kind and no
 * write when nothing is missing; everything is tried before the first error is thrown.
 */
export async function reconcileDefaultPolicy(
  client: KubeClient,
  policy: Policy = defaultPolicy(),
): Promise<void> {
  const role =
    <T extends RoleLike>(resource: Resource<T>) =>
    (existing: T, wanted: T): Promise<void> =>
      update(client, resource, existing, (current) => mergedRole(current, wanted));
  const binding =
    <T extends BindingLike>(resource: Resource<T>) =>
    async (existing: T, wanted: T): Promise<void> => {
      if (!isProtected(existing) && existing.roleRef.name !== wanted.roleRef.name) {
        // A binding's role cannot be changed: made anew, as upstream does.
        const { name, namespace, uid } = existing.metadata;
        await client.delete(resource, name as string, {
          namespace,
          ...(uid ? { preconditions: { uid } } : {}),
        });
        await create(client, resource, wanted);
        return;
      }
      await update(client, resource, existing, (current) => mergedBinding(current, wanted));
    };
  const done = await Promise.allSettled([
    reconcileKind(client, rbac.clusterroles, policy.clusterRoles, role(rbac.clusterroles)),
    reconcileKind(
      client,
      rbac.clusterrolebindings,
      policy.clusterRoleBindings,
      binding(rbac.clusterrolebindings),
    ),
    reconcileKind(client, rbac.roles, policy.roles, role(rbac.roles)),
    reconcileKind(client, rbac.rolebindings, policy.roleBindings, binding(rbac.rolebindings)),
  ]);
  for (const result of done) if (result.status === 'rejected') throw result.reason;
}
