import { admissionregistration } from '@cloudless/kube/resources';
import type {
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
} from '@cloudless/kube/types/admissionregistration-v1';
import type { Caches } from '../../cache/cache.ts';

/** A policy with the bindings that make it count. */
export interface BoundPolicy {
  readonly policy: ValidatingAdmissionPolicy;
  readonly bindings: readonly ValidatingAdmissionPolicyBinding[];
}

const { validatingadmissionpolicies: policies, validatingadmissionpolicybindings: bindings } =
  admissionregistration;
type Named = ValidatingAdmissionPolicy | ValidatingAdmissionPolicyBinding;
const byName = (a: Named, b: Named): number => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1);

/** All policies that are bound, by name. Follows the caches, so that a change counts from the next request on. */
export class PolicySource {
  readonly #caches: Caches;
  #bound: readonly BoundPolicy[] | undefined;
  #starting: Promise<void> | undefined;
  #ready = false;

  constructor(caches: Caches) {
    this.#caches = caches;
  }

  /** Whether there is, or may be, any policy. */
  get mayHaveSome(): boolean {
    return !this.#ready || this.#current().length > 0;
  }

  /** Waits for the first load. */
  async get(): Promise<readonly BoundPolicy[]> {
    if (!this.#ready) await (this.#starting ??= this.#start());
    return this.#current();
  }

  async #start(): Promise<void> {
    for (const resource of [policies, bindings]) {
      const cache = this.#caches.of<Named>(resource);
      cache.subscribe(() => void (this.#bound = undefined));
      // oxlint-disable-next-line no-await-in-loop -- two of them
      await cache.ready;
    }
    this.#ready = true;
  }

  #current(): readonly BoundPolicy[] {
    return (this.#bound ??= this.#collect());
  }

  #collect(): readonly BoundPolicy[] {
    const byPolicy = Map.groupBy(
      [...this.#caches.of(bindings).list()].sort(byName),
      ({ spec }) => spec.policyName,
    );
    return [...this.#caches.of(policies).list()].sort(byName).flatMap((policy) => {
      const own = byPolicy.get(policy.metadata.name ?? '');
      return own ? [{ policy, bindings: own }] : [];
    });
  }
}
