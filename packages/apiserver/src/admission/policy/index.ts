/**
 * ValidatingAdmissionPolicy: rules in CEL that judge what is written. What evaluates them is loaded with the first policy.
 *
 * ```ts
 * const policies = validatingAdmissionPolicies({ caches, versions, authorizer });
 * ```
 */
import type { Resource } from '@cloudless/kube/object';
import { admissionregistration } from '@cloudless/kube/resources';
import type {
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
} from '@cloudless/kube/types/admissionregistration-v1';
import type { Authorizer } from '../../authz/authorizer.ts';
import type { Caches } from '../../cache/cache.ts';
import { isExempt } from '../matching/exempt.ts';
import type { ObjectVersions } from '../object-versions.ts';
import type { AdmissionPlugin, AdmissionRequest, Operation } from '../plugin.ts';
import { PolicySource } from './source.ts';

export interface PolicyParts {
  caches: Caches;
  versions: ObjectVersions;
  authorizer: Authorizer;
}

class ValidatingPolicyPlugin implements AdmissionPlugin {
  readonly name = 'ValidatingAdmissionPolicy';
  readonly #parts: PolicyParts;
  readonly #source: PolicySource<ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding>;

  constructor(parts: PolicyParts) {
    this.#parts = parts;
    const { validatingadmissionpolicies: policies, validatingadmissionpolicybindings: bindings } =
      admissionregistration;
    this.#source = new PolicySource(parts.caches, policies, bindings);
  }

  handles(_operation: Operation, resource: Resource): boolean {
    return this.#source.mayHaveSome && !isExempt(resource);
  }

  async validate(request: AdmissionRequest): Promise<void> {
    const bound = await this.#source.get();
    if (bound.length === 0) return;
    const { judgeByPolicies } = await import('./judge.ts');
    await judgeByPolicies(this.#parts, bound, request);
  }
}

export const validatingAdmissionPolicies = (parts: PolicyParts): AdmissionPlugin =>
  new ValidatingPolicyPlugin(parts);
