import type { KubeObject, Resource } from '@cloudless/kube/object';
import type { MatchResources, ParamKind, ParamRef } from '@cloudless/kube/types/admissionregistration-v1';
import type { Caches } from '../../cache/cache.ts';

/** What policies that judge and policies that change have in common. */
export interface AnyPolicy extends KubeObject {
  spec?: { matchConstraints?: MatchResources; paramKind?: ParamKind; failurePolicy?: string };
}

export interface AnyBinding extends KubeObject {
  spec?: { policyName?: string; matchResources?: MatchResources; paramRef?: ParamRef };
}

/** A policy with the bindings that make it count. */
export interface BoundPolicy<P extends AnyPolicy, B extends AnyBinding> {
  readonly policy: P;
  readonly bindings: readonly B[];
}

const byName = (a: KubeObject, b: KubeObject): number =>
  (a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1;

/** All policies of a kind that are bound, by name. Follows the caches, so that a change counts from the next request on. */
export class PolicySource<P extends AnyPolicy, B extends AnyBinding> {
  readonly #caches: Caches;
  readonly #policies: Resource<P>;
  readonly #bindings: Resource<B>;
  #bound: ReadonlyArray<BoundPolicy<P, B>> | undefined;
  #starting: Promise<void> | undefined;
  #ready = false;

  constructor(caches: Caches, policies: Resource<P>, bindings: Resource<B>) {
    this.#caches = caches;
    this.#policies = policies;
    this.#bindings = bindings;
  }

  /** Whether there is, or may be, any policy. */
  get mayHaveSome(): boolean {
    return !this.#ready || this.#current().length > 0;
  }

  /** Waits for the first load. */
  async get(): Promise<ReadonlyArray<BoundPolicy<P, B>>> {
    if (!this.#ready) await (this.#starting ??= this.#start());
    return this.#current();
  }

  async #start(): Promise<void> {
    for (const resource of [this.#policies, this.#bindings]) {
      const cache = this.#caches.of<KubeObject>(resource);
      cache.subscribe(() => void (this.#bound = undefined));
      // oxlint-disable-next-line no-await-in-loop -- two of them
      await cache.ready;
    }
    this.#ready = true;
  }

  #current(): ReadonlyArray<BoundPolicy<P, B>> {
    return (this.#bound ??= this.#collect());
  }

  #collect(): Array<BoundPolicy<P, B>> {
    const byPolicy = Map.groupBy(
      [...this.#caches.of(this.#bindings).list()].sort(byName),
      ({ spec }) => spec?.policyName,
    );
    return [...this.#caches.of(this.#policies).list()].sort(byName).flatMap((policy) => {
      const own = byPolicy.get(policy.metadata.name ?? '');
      return own ? [{ policy, bindings: own }] : [];
    });
  }
}
