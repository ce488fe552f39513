import { StatusError, type StatusReason } from '@cloudless/kube/status';
import type {
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
} from '@cloudless/kube/types/admissionregistration-v1';
import { forbidden } from '../forbid.ts';
import { requestFacts, ShownRequests } from '../matching/shown.ts';
import type { AdmissionRequest } from '../plugin.ts';
import { type Denial, evaluatorOf, type Judgement } from './evaluator.ts';
import type { PolicyParts } from './index.ts';
import { type Invocation, invocationsOf, namespaceAround } from './invocations.ts';
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

  async judge(bound: BoundPolicy<Policy, Binding>): Promise<void> {
    const { policy } = bound;
    const invocations = await invocationsOf(this.#parts, bound, this.#request, (binding, message) => {
      if (policy.spec?.failurePolicy !== 'Ignore')
        this.refusals.push({ policy, binding, message, reason: '' });
    });
    const annotations = new Map<string, Set<string>>();
    for (const invocation of invocations)
      // oxlint-disable-next-line no-await-in-loop -- in order, so that the first refusal is always the same
      await this.#invoke(policy, invocation, annotations);
    for (const [key, values] of annotations)
      this.#request.annotate?.(`${policy.metadata.name ?? ''}/${key}`, [...values].join(', '));
  }

  async #invoke(
    policy: Policy,
    { binding, matched, params }: Invocation<Binding>,
    annotations: Map<string, Set<string>>,
  ): Promise<void> {
    const shown = await this.#shown.in(matched);
    const judgement = await evaluatorOf(policy).judge({
      object: shown.object,
      oldObject: shown.oldObject,
      request: requestFacts(this.#request, shown),
      admission: this.#request,
      authorizer: this.#parts.authorizer,
      namespace: await namespaceAround(this.#parts.caches, this.#request),
      params,
    });
    this.#take(policy, binding, judgement, annotations);
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
  bound: ReadonlyArray<BoundPolicy<Policy, Binding>>,
  request: AdmissionRequest,
): Promise<void> {
  const court = new Court(parts, request);
  // oxlint-disable-next-line no-await-in-loop -- in order, so that the first refusal is always the same
  for (const each of bound) await court.judge(each);
  const [first] = court.refusals;
  if (first) throw refusalOf(request, first);
}
