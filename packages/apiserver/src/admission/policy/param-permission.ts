import { FieldPath, fieldErrors } from '@cloudless/kube/field';
import type { Resource } from '@cloudless/kube/object';
import { admissionregistration } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import type {
  ParamKind,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
} from '@cloudless/kube/types/admissionregistration-v1';
import type { UserInfo } from '@cloudless/kube/user';
import type { Authorizer } from '../../authz/authorizer.ts';
import type { Caches } from '../../cache/cache.ts';
import { equalJson } from '../../storage/codec.ts';
import type { ObjectVersions } from '../object-versions.ts';
import type { AdmissionPlugin, AdmissionRequest, Operation } from '../plugin.ts';
import { kindOfParams } from './params.ts';

const judged = /^(Validating|Mutating)AdmissionPolicy(Binding)?$/;

/** As Go prints a user. */
const shown = ({ name, uid = '', groups, extra = {} }: UserInfo): string => {
  const list = (values: readonly string[]): string => `[${values.join(' ')}]`;
  const entries = Object.entries(extra).map(([key, values]) => `${key}:${list(values)}`);
  return `&{${name} ${uid} ${list(groups)} map[${entries.join(' ')}]}`;
};

/**
 * Nobody reads by a policy what they may not read themselves: whoever names a kind of parameters, or parameters, must
 * be allowed to get them (upstream: pkg/registry/admissionregistration, authz.go). Part of the registry upstream.
 */
export class ParamPermission implements AdmissionPlugin {
  readonly name = 'ParamPermission';
  readonly #caches: Caches;
  readonly #versions: ObjectVersions;
  readonly #authorizer: Authorizer;

  constructor(parts: { caches: Caches; versions: ObjectVersions; authorizer: Authorizer }) {
    this.#caches = parts.caches;
    this.#versions = parts.versions;
    this.#authorizer = parts.authorizer;
  }

  handles(operation: Operation, { group, kind }: Resource, subresource: string): boolean {
    if (group !== 'admissionregistration.k8s.io' || subresource !== '' || !judged.test(kind)) return false;
    return operation === 'CREATE' || operation === 'UPDATE';
  }

  async validate(request: AdmissionRequest): Promise<void> {
    if (request.user.groups.includes('system:masters')) return;
    if (request.resource.kind.endsWith('Binding')) await this.#binding(request);
    else this.#policy(request);
  }

  #policy(request: AdmissionRequest): void {
    const { paramKind } = (request.object as ValidatingAdmissionPolicy).spec ?? {};
    const old: ValidatingAdmissionPolicy | undefined = request.oldObject;
    const before = old?.spec?.paramKind;
    if (!paramKind || equalJson(before, paramKind)) return;
    if (this.#mayRead(request.user, 'get', paramKind, '*', '*')) return;
    const { kind = '', apiVersion = '' } = paramKind;
    const why = `user ${shown(request.user)} must have "get" permission on all objects of the referenced paramKind (kind=${kind}, apiVersion=${apiVersion})`;
    throw refused(request, 'paramKind', why);
  }

  async #binding(request: AdmissionRequest): Promise<void> {
    const { paramRef, policyName } = (request.object as ValidatingAdmissionPolicyBinding).spec;
    const before = (request.oldObject as ValidatingAdmissionPolicyBinding | undefined)?.spec;
    if (!paramRef || (equalJson(before?.paramRef, paramRef) && before?.policyName === policyName)) return;
    const { validatingadmissionpolicies, mutatingadmissionpolicies } = admissionregistration;
    const isMutating = request.resource.kind.startsWith('Mutating');
    const cache = this.#caches.of<ValidatingAdmissionPolicy>(
      isMutating ? mutatingadmissionpolicies : validatingadmissionpolicies,
    );
    await cache.ready;
    const policy = cache.get('', policyName);
    const verb = paramRef.name ? 'get' : 'list';
    const kind = policy?.spec?.paramKind;
    if (this.#mayRead(request.user, verb, kind, paramRef.namespace ?? '', paramRef.name ?? '')) return;
    const why = policy
      ? `user ${shown(request.user)} does not have "${verb}" permission on the object referenced by paramRef`
      : `unable to get policy ${policyName} to determine minimum required permissions and user ${shown(request.user)} does not have "${verb}" permission for all groups, versions and resources`;
    throw refused(request, 'paramRef', why);
  }

  /** Where the kind is not known, everything must be allowed. */
  #mayRead(
    user: UserInfo,
    verb: string,
    kind: ParamKind | undefined,
    namespace: string,
    name: string,
  ): boolean {
    const known = kind && kindOfParams(kind);
    const { verdict } = this.#authorizer.authorize({
      user,
      isResource: true,
      verb,
      path: '',
      apiPrefix: 'apis',
      group: known?.group ?? '*',
      version: known?.version ?? '*',
      resource: (known && this.#versions.ofKind(known)?.plural) ?? '*',
      subresource: '',
      namespace,
      name,
    });
    return verdict === 'allow';
  }
}

const refused = (request: AdmissionRequest, field: string, why: string): Error =>
  errors.invalid(request.resource, request.name, [fieldErrors.forbidden(FieldPath.of('spec', field), why)]);
