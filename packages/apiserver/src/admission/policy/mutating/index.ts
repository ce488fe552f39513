/**
 * MutatingAdmissionPolicy: rules in CEL that change what is written. What evaluates them is loaded with the first policy.
 *
 * ```ts
 * const policies = mutatingAdmissionPolicies({ caches, versions, authorizer });
 * ```
 */
import type { Resource } from '@cloudless/kube/object';
import { admissionregistration } from '@cloudless/kube/resources';
import type {
  MutatingAdmissionPolicy,
  MutatingAdmissionPolicyBinding,
} from '@cloudless/kube/types/admissionregistration-v1';
import { isExempt } from '../../matching/exempt.ts';
import type { AdmissionPlugin, AdmissionRequest, Operation } from '../../plugin.ts';
import type { PolicyParts } from '../index.ts';
import { PolicySource } from '../source.ts';

const { mutatingadmissionpolicies: policies, mutatingadmissionpolicybindings: bindings } =
  admissionregistration;

class MutatingPolicyPlugin implements AdmissionPlugin {
  readonly name = 'MutatingAdmissionPolicy';
  readonly #parts: PolicyParts;
  readonly #source: PolicySource<MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding>;

  constructor(parts: PolicyParts) {
    this.#parts = parts;
    this.#source = new PolicySource(parts.caches, policies, bindings);
  }

  /** There is nothing to change of what is deleted. */
  handles(operation: Operation, resource: Resource): boolean {
    return operation !== 'DELETE' && this.#source.mayHaveSome && !isExempt(resource);
  }

  async admit(request: AdmissionRequest): Promise<void> {
    const bound = await this.#source.get();
    if (bound.length === 0) return;
    const { mutateByPolicies } = await import('./mutate.ts');
    await mutateByPolicies(this.#parts, bound, request);
  }
}

export const mutatingAdmissionPolicies = (parts: PolicyParts): AdmissionPlugin =>
  new MutatingPolicyPlugin(parts);
