import { groupResourceOf, type KubeObject, type Resource } from '@cloudless/kube/object';
import { core } from '@cloudless/kube/resources';
import { errors, StatusError, type StatusReason } from '@cloudless/kube/status';
import type {
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
} from '@cloudless/kube/types/admissionregistration-v1';
import type { Namespace } from '@cloudless/kube/types/core-v1';
import { lookup } from '../../authn/lookup.ts';
import { forbidden } from '../forbid.ts';
import { matchResources } from '../matching/match-resources.ts';
import { namespaceOf } from '../matching/selectors.ts';
import { requestFacts, ShownRequests } from '../matching/shown.ts';
import type { AdmissionRequest } from '../plugin.ts';
import { type Denial, evaluatorOf, type Judgement } from './evaluator.ts';
import type { PolicyParts } from './index.ts';
import { collectParams, resourceOfParams } from './params.ts';
import type { BoundPolicy } from './source.ts';

type Policy = ValidatingAdmissionPolicy;
type Binding = ValidatingAdmissionPolicyBinding;

const codes: Readonly<Record<string, number>> = {
  Forbidden: 403,
  Unauthorized: 401,
  RequestEntityTooLarge: 413,
  Invalid: 422,
};
const maxAnnotationLength = 10 * 1024;
const failureAnnotation = 'validation.policy.admission.k8s.io/validation_failure';

interface Refusal {
  readonly policy: Policy;
  readonly binding: Binding | undefined;
  readonly message: string;
  readonly reason: StatusReason;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** One request before all policies that are bound (upstream: policy/validating/dispatcher.go). */
class Court {
  readonly #parts: PolicyParts;
  readonly #request: AdmissionRequest;
  readonly #shown: ShownRequests;
  readonly refusals: Refusal[] = [];

  constructor(parts: PolicyParts, request: AdmissionRequest) {
    this.#parts = parts;
    this.#request = request;
    this.#shown = new ShownRequests(request, parts.versions);
  }

  async judge({ policy, bindings }: BoundPolicy): Promise<void> {
    let matched: Resource | undefined;
    let paramResource: Resource | undefined;
    try {
      const constraints = policy.spec?.matchConstraints;
      if (!constraints) throw new Error('policy contained no match constraints, a required field');
      matched = await matchResources(this.#parts, constraints, this.#request);
      if (!matched) return;
      const { paramKind } = policy.spec ?? {};
      if (paramKind) paramResource = resourceOfParams(this.#parts.versions, paramKind);
    } catch (error) {
      return this.#misconfigured(policy, undefined, error);
    }
    const annotations = new Map<string, Set<string>>();
    for (const binding of bindings)
      // oxlint-disable-next-line no-await-in-loop -- in order, so that the first refusal is always the same
      await this.#binding(policy, binding, matched, paramResource, annotations);
    for (const [key, values] of annotations)
      this.#request.annotate?.(`${policy.metadata.name ?? ''}/${key}`, [...values].join(', '));
  }

  #misconfigured(policy: Policy, binding: Binding | undefined, error: unknown): void {
    if (policy.spec?.failurePolicy === 'Ignore') return;
    const message = `failed to configure ${binding ? 'binding' : 'policy'}: ${messageOf(error)}`;
    this.refusals.push({ policy, binding, message, reason: '' });
  }

  async #binding(
    policy: Policy,
    binding: Binding,
    matched: Resource,
    paramResource: Resource | undefined,
    annotations: Map<string, Set<string>>,
  ): Promise<void> {
    let params: Array<KubeObject | undefined>;
    try {
      const { matchResources: own, paramRef } = binding.spec;
      if (own && !(await matchResources(this.#parts, own, this.#request))) return;
      params = await collectParams(this.#parts, paramResource, paramRef, namespaceOf(this.#request));
    } catch (error) {
      return this.#misconfigured(policy, binding, error);
    }
    if (params.length === 0) return;
    const shown = await this.#shown.in(matched);
    const inputs = {
      object: shown.object,
      oldObject: shown.oldObject,
      request: requestFacts(this.#request, shown),
      admission: this.#request,
      authorizer: this.#parts.authorizer,
      namespace: await this.#namespace(),
    };
    for (const each of params) {
      // oxlint-disable-next-line no-await-in-loop -- as above
      const judgement = await evaluatorOf(policy).judge({ ...inputs, params: each });
      this.#take(policy, binding, judgement, annotations);
    }
  }

  /** The namespace that the object is in; a Namespace itself is in none. */
  async #namespace(): Promise<Namespace | undefined> {
    const { namespace, resource } = this.#request;
    if (namespace === '' || groupResourceOf(resource) === 'namespaces') return undefined;
    const found = await lookup(this.#parts.caches, core.namespaces, { namespace: '', name: namespace });
    if (!found) throw errors.notFound(core.namespaces, namespace);
    return found;
  }

  #take(
    policy: Policy,
    binding: Binding,
    { denials, annotations }: Judgement,
    collected: Map<string, Set<string>>,
  ): void {
    for (const denial of denials) this.#deny(policy, binding, denial);
    for (const { key, value } of annotations) {
      const values = collected.get(key) ?? new Set();
      collected.set(key, values.add(value.slice(0, maxAnnotationLength)));
    }
  }

  #deny(policy: Policy, binding: Binding, { index, message, reason }: Denial): void {
    const policyName = policy.metadata.name ?? '';
    const bindingName = binding.metadata.name ?? '';
    // An audit annotation that fails refuses the request whatever the binding does about validations.
    if (index < 0) {
      this.refusals.push({ policy, binding, message, reason });
      return;
    }
    for (const action of binding.spec.validationActions) {
      if (action === 'Deny') this.refusals.push({ policy, binding, message, reason });
      if (action === 'Warn')
        this.#request.warn(
          `Validation failed for ValidatingAdmissionPolicy '${policyName}' with binding '${bindingName}': ${message}`,
        );
      if (action === 'Audit') {
        const { validationActions } = binding.spec;
        const failure = {
          message,
          policy: policyName,
          binding: bindingName,
          expressionIndex: index,
          validationActions,
        };
        this.#request.annotate?.(failureAnnotation, JSON.stringify([failure]));
      }
    }
  }
}

function refusalOf(request: AdmissionRequest, { policy, binding, message, reason }: Refusal): StatusError {
  const name = policy.metadata.name ?? '';
  const by = binding ? ` with binding '${binding.metadata.name ?? ''}'` : '';
  const text = `ValidatingAdmissionPolicy '${name}'${by} denied request: ${message}`;
  const { message: whole, details } = forbidden(request, text);
  const known = reason === '' ? 'Invalid' : reason;
  return new StatusError(codes[known] ?? 422, known, whole, { ...details, causes: [{ message: text }] });
}

/** Judges a request by all policies. Throws what the first of those that refuse says. */
export async function judgeByPolicies(
  parts: PolicyParts,
  bound: readonly BoundPolicy[],
  request: AdmissionRequest,
): Promise<void> {
  const court = new Court(parts, request);
  // oxlint-disable-next-line no-await-in-loop -- in order, so that the first refusal is always the same
  for (const each of bound) await court.judge(each);
  const [first] = court.refusals;
  if (first) throw refusalOf(request, first);
}
