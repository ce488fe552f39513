import { rbac } from '@cloudless/kube/resources';
import type {
  ClusterRole,
  ClusterRoleBinding,
  PolicyRule,
  Role,
  RoleBinding,
  Subject,
} from '@cloudless/kube/types/rbac-v1';
import type { UserInfo } from '@cloudless/kube/user';
import type { Caches, ResourceCache } from '../cache/cache.ts';
import type { Attributes } from '../request/info.ts';
import { gatheredRules } from './aggregate.ts';
import type { Authorizer, Decision, NonResourceRule, ResourceRule } from './authorizer.ts';

/** Whether a rule covers a request (upstream: plugin/pkg/auth/authorizer/rbac, RuleAllows). */
export function ruleAllows(rule: PolicyRule, attributes: Attributes): boolean {
  if (!matches(rule.verbs, attributes.verb)) return false;
  if (!attributes.isResource)
    return (rule.nonResourceURLs ?? []).some((url) => urlMatches(url, attributes.path));
  if (!matches(rule.apiGroups ?? [], attributes.group)) return false;
  if (!resourceMatches(rule.resources ?? [], attributes.resource, attributes.subresource)) return false;
  const names = rule.resourceNames ?? [];
  return names.length === 0 || names.includes(attributes.name);
}

const matches = (list: readonly string[], value: string): boolean =>
  list.includes('*') || list.includes(value);

function urlMatches(pattern: string, path: string): boolean {
  if (pattern === '*' || pattern === path) return true;
  return pattern.endsWith('*') && path.startsWith(pattern.replace(/\*+$/, ''));
}

function resourceMatches(resources: readonly string[], resource: string, subresource: string): boolean {
  const combined = subresource === '' ? resource : `${resource}/${subresource}`;
  return resources.some(
    (wanted) =>
      wanted === '*' || wanted === combined || (subresource !== '' && wanted === `*/${subresource}`),
  );
}

/** Whether a subject of a binding in `namespace` means this user. */
function subjectIs(subject: Subject, user: UserInfo, namespace: string): boolean {
  switch (subject.kind) {
    case 'User':
      return subject.name === user.name;
    case 'Group':
      return user.groups.includes(subject.name);
    case 'ServiceAccount':
      return user.name === `system:serviceaccount:${subject.namespace || namespace}:${subject.name}`;
    default:
      return false;
  }
}

/** The keys under which the bindings of a user are found. */
function* subjectKeys(user: UserInfo): Generator<string> {
  yield `u/${user.name}`;
  for (const group of user.groups) yield `g/${group}`;
}

/** A binding's subjects as keys of {@link subjectKeys}; service accounts are users. */
function* keysOfSubjects(subjects: readonly Subject[], namespace: string): Generator<string> {
  for (const subject of subjects) {
    if (subject.kind === 'User') yield `u/${subject.name}`;
    else if (subject.kind === 'Group') yield `g/${subject.name}`;
    else if (subject.kind === 'ServiceAccount')
      yield `u/system:serviceaccount:${subject.namespace || namespace}:${subject.name}`;
  }
}

interface BindingLike {
  metadata: { uid?: string; name?: string; namespace?: string };
  subjects?: Subject[];
  roleRef: { kind: string; name: string };
}

/** Bindings by subject, kept by the caches' events. */
class BindingIndex<T extends BindingLike> {
  readonly #bySubject = new Map<string, Set<T>>();

  add(binding: T): void {
    for (const key of keysOfSubjects(binding.subjects ?? [], binding.metadata.namespace ?? '')) {
      let set = this.#bySubject.get(key);
      if (!set) this.#bySubject.set(key, (set = new Set()));
      set.add(binding);
    }
  }

  remove(binding: T): void {
    for (const key of keysOfSubjects(binding.subjects ?? [], binding.metadata.namespace ?? '')) {
      const set = this.#bySubject.get(key);
      set?.delete(binding);
      if (set?.size === 0) this.#bySubject.delete(key);
    }
  }

  *of(user: UserInfo): Generator<T> {
    for (const key of subjectKeys(user)) yield* this.#bySubject.get(key) ?? [];
  }
}

/** Rules that a binding gives, with the sentence that explains a decision by it. */
export interface GrantedRules {
  rules: readonly PolicyRule[];
  /** Namespace in which they hold; '' for all. */
  namespace: string;
  explain(): string;
}

/**
 * Role-based access control from the API's own objects, held in memory and indexed by subject: a decision looks only
 * at the bindings of the user. Aggregated ClusterRoles (`aggregationRule`) are resolved here, at the time of use.
 */
export class RbacAuthorizer implements Authorizer {
  /** Resolves when every role and binding is known. */
  readonly ready: Promise<void>;
  readonly #roles: ResourceCache<Role>;
  readonly #clusterRoles: ResourceCache<ClusterRole>;
  readonly #clusterBindings = new BindingIndex<ClusterRoleBinding>();
  readonly #bindings = new Map<string, BindingIndex<RoleBinding>>();
  /** Rules of aggregated ClusterRoles; emptied when any ClusterRole changes. */
  readonly #aggregated = new Map<string, PolicyRule[]>();

  constructor(caches: Caches) {
    this.#roles = caches.of(rbac.roles);
    this.#clusterRoles = caches.of(rbac.clusterroles);
    const clusterBindings = caches.of(rbac.clusterrolebindings);
    const bindings = caches.of(rbac.rolebindings);
    this.#clusterRoles.subscribe(() => this.#aggregated.clear());
    clusterBindings.subscribe(({ type, object, old }) => {
      if (old) this.#clusterBindings.remove(old);
      if (type !== 'deleted') this.#clusterBindings.add(object);
    });
    bindings.subscribe(({ type, object, old }) => {
      if (old) this.#inNamespace(old.metadata.namespace ?? '').remove(old);
      if (type !== 'deleted') this.#inNamespace(object.metadata.namespace ?? '').add(object);
    });
    this.ready = Promise.all([
      this.#roles.ready,
      this.#clusterRoles.ready,
      clusterBindings.ready,
      bindings.ready,
    ]).then(() => {
      // What was loaded before this subscribed has told nobody.
      for (const binding of clusterBindings.list()) {
        this.#clusterBindings.remove(binding);
        this.#clusterBindings.add(binding);
      }
      for (const binding of bindings.list()) {
        this.#inNamespace(binding.metadata.namespace ?? '').remove(binding);
        this.#inNamespace(binding.metadata.namespace ?? '').add(binding);
      }
    });
    this.ready.catch(() => {});
  }

  authorize(attributes: Attributes): Decision {
    for (const granted of this.granted(attributes.user, attributes.isResource ? attributes.namespace : ''))
      if (granted.rules.some((rule) => ruleAllows(rule, attributes)))
        return { verdict: 'allow', reason: `RBAC: allowed by ${granted.explain()}` };
    return { verdict: 'no-opinion', reason: '' };
  }

  /** Every rule that holds for `user` in `namespace`, cluster-wide ones first. */
  *granted(user: UserInfo, namespace: string): Generator<GrantedRules> {
    for (const binding of this.#clusterBindings.of(user)) {
      const rules = this.rulesOf(binding.roleRef, '');
      if (rules)
        yield {
          rules,
          namespace: '',
          explain: () =>
            `ClusterRoleBinding "${binding.metadata.name}" of ${binding.roleRef.kind} "${binding.roleRef.name}" to ${explainSubject(binding, user)}`,
        };
    }
    if (namespace === '') return;
    for (const binding of this.#bindings.get(namespace)?.of(user) ?? []) {
      const rules = this.rulesOf(binding.roleRef, namespace);
      if (rules)
        yield {
          rules,
          namespace,
          explain: () =>
            `RoleBinding "${binding.metadata.name}/${namespace}" of ${binding.roleRef.kind} "${binding.roleRef.name}" to ${explainSubject(binding, user)}`,
        };
    }
  }

  /** The rules of a role; undefined when it does not exist. */
  rulesOf(roleRef: { kind: string; name: string }, namespace: string): readonly PolicyRule[] | undefined {
    if (roleRef.kind === 'Role') return this.#roles.get(namespace, roleRef.name)?.rules ?? undefined;
    const role = this.#clusterRoles.get('', roleRef.name);
    if (!role) return undefined;
    return role.aggregationRule ? this.#aggregate(role) : (role.rules ?? []);
  }

  rulesFor(user: UserInfo, namespace: string): { resource: ResourceRule[]; nonResource: NonResourceRule[] } {
    const resource: ResourceRule[] = [];
    const nonResource: NonResourceRule[] = [];
    for (const { rules } of this.granted(user, namespace)) {
      for (const rule of rules) {
        if ((rule.resources ?? []).length > 0)
          resource.push({
            verbs: rule.verbs,
            apiGroups: rule.apiGroups ?? [],
            resources: rule.resources ?? [],
            resourceNames: rule.resourceNames ?? [],
          });
        if ((rule.nonResourceURLs ?? []).length > 0)
          nonResource.push({ verbs: rule.verbs, nonResourceURLs: rule.nonResourceURLs ?? [] });
      }
    }
    return { resource, nonResource };
  }

  #aggregate(role: ClusterRole): PolicyRule[] {
    const name = role.metadata.name as string;
    const known = this.#aggregated.get(name);
    if (known) return known;
    const rules = gatheredRules(this.#clusterRoles, role);
    this.#aggregated.set(name, rules);
    return rules;
  }

  #inNamespace(namespace: string): BindingIndex<RoleBinding> {
    let index = this.#bindings.get(namespace);
    if (!index) this.#bindings.set(namespace, (index = new BindingIndex()));
    return index;
  }
}

function explainSubject(binding: BindingLike, user: UserInfo): string {
  const subject = binding.subjects?.find((candidate) =>
    subjectIs(candidate, user, binding.metadata.namespace ?? ''),
  );
  if (subject?.kind === 'ServiceAccount') return `ServiceAccount "${subject.name}/${subject.namespace}"`;
  return `${subject?.kind} "${subject?.name}"`;
}
