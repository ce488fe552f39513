import type { KubeObject } from '@cloudless/kube/object';
import { errors, StatusError, type StatusReason } from '@cloudless/kube/status';
import type {
  MutatingAdmissionPolicy,
  MutatingAdmissionPolicyBinding,
} from '@cloudless/kube/types/admissionregistration-v1';
import type { Namespace } from '@cloudless/kube/types/core-v1';
import { equalJson } from '../../../storage/codec.ts';
import type { Inputs } from '../../expressions/environment.ts';
import { forbidden } from '../../forbid.ts';
import { requestFacts, type ShownRequest, ShownRequests } from '../../matching/shown.ts';
import type { AdmissionRequest } from '../../plugin.ts';
import { replaceContent } from '../../replace-content.ts';
import type { PolicyParts } from '../index.ts';
import { type Invocation, invocationsOf, messageOf, namespaceAround } from '../invocations.ts';
import type { BoundPolicy } from '../source.ts';
import { applyConfiguration } from './apply-configuration.ts';
import { patchByOperations } from './json-patch.ts';
import { type Mutator, mutatorsOf, type PolicyMutators } from './mutator.ts';
import { Rounds } from './rounds.ts';

type Policy = MutatingAdmissionPolicy;
type Binding = MutatingAdmissionPolicyBinding;
type PolicyInvocation = Invocation<Binding> & { readonly policy: Policy };

interface Refusal {
  readonly text: string;
  readonly reason: StatusReason;
}

const nameOf = ({ metadata }: KubeObject): string => metadata.name ?? '';

/** What tells one invocation from another between rounds. */
const keyOf = ({ policy, binding, params }: PolicyInvocation): string =>
  [nameOf(policy), nameOf(binding), params?.metadata.namespace ?? '', params ? nameOf(params) : ''].join('/');

/** One request before all policies that are bound (upstream: policy/mutating/dispatcher.go). */
class Dispatch {
  readonly #parts: PolicyParts;
  readonly #request: AdmissionRequest;
  readonly #shown: ShownRequests;
  readonly refusals: Refusal[] = [];

  constructor(parts: PolicyParts, request: AdmissionRequest) {
    this.#parts = parts;
    this.#request = request;
    this.#shown = new ShownRequests(request, parts.versions);
  }

  /** All that count, selected before the first of them changes anything. */
  async select(all: ReadonlyArray<BoundPolicy<Policy, Binding>>): Promise<PolicyInvocation[]> {
    const found: PolicyInvocation[] = [];
    for (const bound of all) {
      const { policy } = bound;
      // oxlint-disable-next-line no-await-in-loop -- in order, so that the first refusal is always the same
      const invocations = await invocationsOf(this.#parts, bound, this.#request, (binding, why) =>
        this.#refuse(policy, binding, why, 'Forbidden'),
      );
      for (const invocation of invocations) found.push({ policy, ...invocation });
    }
    return found;
  }

  async run(invocations: readonly PolicyInvocation[]): Promise<void> {
    const request = this.#request;
    const rounds = Rounds.of(request);
    rounds.begin(request.object);
    try {
      const namespace = await namespaceAround(this.#parts.caches, request);
      let mutated = false;
      for (const invocation of invocations)
        // oxlint-disable-next-line no-await-in-loop -- each sees what the one before made
        mutated = (await this.#invoke(invocation, rounds, namespace)) || mutated;
      // As upstream, even where every mutation left the object as it was.
      if (mutated) rounds.changed();
    } finally {
      rounds.end(request.object);
    }
  }

  #refuse(policy: Policy, binding: Binding | undefined, why: string, reason: StatusReason): void {
    if (policy.spec?.failurePolicy === 'Ignore') return;
    const who = binding
      ? `policy '${nameOf(policy)}' with binding '${nameOf(binding)}'`
      : `policy ${JSON.stringify(nameOf(policy))}`;
    this.refusals.push({ text: `${who} denied request: ${why}`, reason });
  }

  async #inputs(
    { matched, params }: PolicyInvocation,
    namespace: Namespace | undefined,
  ): Promise<{ inputs: Inputs; shown: ShownRequest }> {
    const shown = await this.#shown.in(matched);
    const inputs = {
      object: shown.object,
      oldObject: shown.oldObject,
      request: requestFacts(this.#request, shown),
      admission: this.#request,
      authorizer: this.#parts.authorizer,
      namespace,
      params,
    };
    return { inputs, shown };
  }

  /** Lets one policy change the object; whether any of its mutations was carried out. */
  async #invoke(
    invocation: PolicyInvocation,
    rounds: Rounds,
    namespace: Namespace | undefined,
  ): Promise<boolean> {
    const { policy, binding } = invocation;
    const mutators = mutatorsOf(policy);
    const { inputs } = await this.#inputs(invocation, namespace);
    const matches = mutators.matches(inputs);
    if (matches instanceof Error) this.#refuse(policy, binding, matches.message, 'Invalid');
    const key = keyOf(invocation);
    if (matches !== true || rounds.skips(key)) return false;
    let mutated = false;
    let changed = false;
    for (const mutator of this.#request.object ? mutators.mutators : []) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- each sees what the one before made
        changed = (await this.#mutate(mutators, mutator, invocation, namespace)) || changed;
        mutated = true;
      } catch (error) {
        if (error instanceof StatusError) throw error;
        this.#refuse(policy, binding, messageOf(error), 'Invalid');
      }
    }
    if (changed) rounds.changed();
    if (policy.spec?.reinvocationPolicy === 'IfNeeded') rounds.asked(key);
    return mutated;
  }

  /** Carries out one mutation; whether the object is another one now. */
  async #mutate(
    mutators: PolicyMutators,
    mutator: Mutator,
    invocation: PolicyInvocation,
    namespace: Namespace | undefined,
  ): Promise<boolean> {
    const { inputs, shown } = await this.#inputs(invocation, namespace);
    const { versions } = this.#parts;
    const current = this.#request.object as KubeObject;
    const object = shown.object as KubeObject;
    const place = { resource: shown.resource, subresource: this.#request.subresource };
    const value = mutators.evaluate(mutator, inputs);
    const isApply = mutator.kind === 'apply';
    const changed = isApply
      ? applyConfiguration(versions.mergeTypeOf(place), object, value)
      : patchByOperations(object, value);
    let adopted: KubeObject;
    try {
      adopted = await versions.adopt(changed, place, current, isApply ? 'Ignore' : 'Strict');
    } catch (error) {
      const why = messageOf(error);
      throw isApply ? new Error(why, { cause: error }) : errors.internal(why, error);
    }
    if (equalJson(current, adopted)) return false;
    replaceContent(current, adopted);
    this.#shown.forget();
    return true;
  }
}

/** 403 with what the first refusal says, all of them among the causes (upstream: generic/policy_dispatcher.go). */
function refusalOf(request: AdmissionRequest, refusals: readonly [Refusal, ...Refusal[]]): StatusError {
  const { details } = forbidden(request, 'admission request denied by policy');
  const causes = refusals.map(({ text }) => ({ message: text }));
  const [{ text, reason }] = refusals;
  return new StatusError(403, reason, text, { ...details, causes });
}

/**
 * Lets all policies that count for a request change its object, one after the other. Throws what they refuse it for,
 * after all had their turn.
 */
export async function mutateByPolicies(
  parts: PolicyParts,
  all: ReadonlyArray<BoundPolicy<Policy, Binding>>,
  request: AdmissionRequest,
): Promise<void> {
  const dispatch = new Dispatch(parts, request);
  const invocations = await dispatch.select(all);
  if (invocations.length > 0) await dispatch.run(invocations);
  const [first, ...rest] = dispatch.refusals;
  if (first) throw refusalOf(request, [first, ...rest]);
}
