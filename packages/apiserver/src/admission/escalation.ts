import { isDeepStrictEqual } from 'node:util';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { errors } from '@cloudless/kube/status';
import type { ClusterRole, PolicyRule, RoleBinding, RoleRef } from '@cloudless/kube/types/rbac-v1';
import type { UserInfo } from '@cloudless/kube/user';
import type { Authorizer } from '../authz/authorizer.ts';
import { compactRights, missingRights, ruleText } from '../authz/covers.ts';
import type { RbacAuthorizer } from '../authz/rbac.ts';
import { forbidden } from './forbid.ts';
import type { AdmissionPlugin, AdmissionRequest, Operation } from './plugin.ts';

const group = 'rbac.authorization.k8s.io';
const everything: PolicyRule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
];
const quoted = (list: readonly string[]): string => `[${list.map((item) => JSON.stringify(item)).join(' ')}]`;

/**
 * Nobody grants what they do not have, by a role or by a binding, unless allowed to `escalate` or `bind` (upstream:
 * pkg/registry/rbac, escalation_check.go and the policybased storages). Part of the registry upstream; here the last
 * check of admission, on the object as it will be stored.
 */
export class RoleEscalation implements AdmissionPlugin {
  readonly name = 'RoleEscalation';
  readonly #authorizer: Authorizer;
  readonly #rbac: RbacAuthorizer;

  constructor(options: { authorizer: Authorizer; rbac: RbacAuthorizer }) {
    this.#authorizer = options.authorizer;
    this.#rbac = options.rbac;
  }

  handles(operation: Operation, resource: Resource, subresource: string): boolean {
    return (
      resource.group === group && subresource === '' && (operation === 'CREATE' || operation === 'UPDATE')
    );
  }

  async validate(request: AdmissionRequest): Promise<void> {
    const { user, resource, object, oldObject } = request;
    if (user.groups.includes('system:masters') || !object) return;
    await this.#rbac.ready;
    if (oldObject && onlyForCollector(object, oldObject)) return;
    if (resource.plural === 'roles' || resource.plural === 'clusterroles') this.#role(request);
    else this.#binding(request);
  }

  #role(request: AdmissionRequest): void {
    const { user, resource, namespace, name } = request;
    if (this.#may(user, 'escalate', resource.plural, namespace, request.operation === 'CREATE' ? '' : name))
      return;
    const role = request.object as ClusterRole;
    const old: ClusterRole | undefined = request.oldObject;
    this.#confirm(request, role.rules ?? []);
    const aggregates = [role, old].some(
      (one) => (one?.aggregationRule?.clusterRoleSelectors ?? []).length > 0,
    );
    if (aggregates && missingRights(this.#held(user, namespace), everything).length > 0)
      throw forbidden(request, 'must have cluster-admin privileges to use the aggregationRule');
  }

  #binding(request: AdmissionRequest): void {
    const { user, namespace } = request;
    const { roleRef } = request.object as RoleBinding;
    if (this.#may(user, 'bind', roleRef.kind === 'Role' ? 'roles' : 'clusterroles', namespace, roleRef.name))
      return;
    this.#confirm(request, this.#rulesOf(roleRef, namespace));
  }

  #rulesOf(roleRef: RoleRef, namespace: string): readonly PolicyRule[] {
    const rules = this.#rbac.rulesOf(roleRef, namespace);
    if (rules) return rules;
    throw errors.notFound(
      { group, plural: roleRef.kind === 'Role' ? 'roles' : 'clusterroles' },
      roleRef.name,
    );
  }

  #may(user: UserInfo, verb: string, resource: string, namespace: string, name: string): boolean {
    const asked = { user, isResource: true, verb, path: '', apiPrefix: 'apis', group, version: '*' };
    const { verdict } = this.#authorizer.authorize({ ...asked, namespace, resource, subresource: '', name });
    return verdict === 'allow';
  }

  #held(user: UserInfo, namespace: string): PolicyRule[] {
    return [...this.#rbac.granted(user, namespace)].flatMap(({ rules }) => rules);
  }

  #confirm(request: AdmissionRequest, wanted: readonly PolicyRule[]): void {
    const { user, namespace } = request;
    const missing = missingRights(this.#held(user, namespace), wanted);
    if (missing.length === 0) return;
    const texts = [...new Set(compactRights(missing).map(ruleText))].sort();
    throw forbidden(
      request,
      `user ${JSON.stringify(user.name)} (groups=${quoted(user.groups)}) is attempting to grant RBAC permissions not currently held:\n${texts.join('\n')}`,
    );
  }
}

/** Whether nothing changed but what garbage collection needs: owners and finalizers. */
function onlyForCollector(now: KubeObject, before: KubeObject): boolean {
  const rest = (object: KubeObject): unknown => {
    const {
      ownerReferences: _,
      finalizers: __,
      managedFields: ___,
      resourceVersion: ____,
      ...metadata
    } = object.metadata;
    return { ...object, metadata };
  };
  return isDeepStrictEqual(rest(now), rest(before));
}
