import type { Clock } from '@cloudless/kube/clock';
import { groupResourceOf, type KubeObject, type Resource } from '@cloudless/kube/object';
import { addAmounts, type Amounts, amountsOf, quantities } from '@cloudless/kube/pod-amounts';
import { Quantity } from '@cloudless/kube/quantity';
import { computeCharges, concerns, isChargedTo, usageOf } from '@cloudless/kube/quota/usage';
import { core } from '@cloudless/kube/resources';
import type { Pod, ResourceQuota as Quota } from '@cloudless/kube/types/core-v1';
import type { Caches } from '../../cache/cache.ts';
import { forbidden } from '../forbid.ts';
import type { AdmissionPlugin, AdmissionRequest, Operation } from '../plugin.ts';

/** Names that each container must then say something about. No further ones: upstream calls it a mistake. */
const mustBeSaid: ReadonlySet<string> = new Set([
  'cpu',
  'memory',
  'requests.cpu',
  'requests.memory',
  'limits.cpu',
  'limits.memory',
]);
/** How long a charge may take until the next one goes ahead. */
const turnMs = 50;
const uncounted: ReadonlySet<string> = new Set(['events', 'events.events.k8s.io']);

/**
 * Keeps namespaces within their ResourceQuotas (upstream: apiserver/pkg/admission/plugin/resourcequota). The usage is
 * counted from the objects themselves, and the quota's new status commits in one transaction with the object: two
 * that would exceed it together cannot both be created, and no count drifts.
 */
export class ResourceQuota implements AdmissionPlugin {
  readonly name = 'ResourceQuota';
  readonly #caches: Caches;
  readonly #clock: Clock;
  /** Ends of the last charge in each namespace. */
  readonly #turns = new Map<string, Promise<void>>();

  constructor(options: { caches: Caches; clock: Clock }) {
    this.#caches = options.caches;
    this.#clock = options.clock;
  }

  handles(operation: Operation, resource: Resource, subresource: string): boolean {
    if (!resource.namespaced || uncounted.has(groupResourceOf(resource))) return false;
    if (resource.plural === 'pods')
      return subresource === 'resize' ? operation === 'UPDATE' : subresource === '' && operation === 'CREATE';
    if (subresource !== '') return false;
    if (operation === 'UPDATE')
      return resource.plural === 'services' || resource.plural === 'persistentvolumeclaims';
    return operation === 'CREATE';
  }

  async validate(request: AdmissionRequest): Promise<void> {
    const { object, namespace } = request;
    const quotas = this.#caches.of(core.resourcequotas);
    await quotas.ready;
    if (!object || quotas.list(namespace)[Symbol.iterator]().next().done === true) return;
    const ended = request.transaction && !request.dryRun ? await this.#turn(namespace) : undefined;
    try {
      await this.#check(request, object);
    } catch (error) {
      ended?.();
      throw error;
    }
  }

  /**
   * Waits until the charge before this one is seen to be committed, so that those who create at the same time queue
   * up here instead of losing one race after another. Not needed for correctness: another API server does not wait.
   */
  async #turn(namespace: string): Promise<() => void> {
    const before = this.#turns.get(namespace);
    let end: () => void = () => {};
    const turn = new Promise<void>((resolve) => (end = resolve));
    const queued = (before ?? Promise.resolve()).then(() => turn);
    this.#turns.set(namespace, queued);
    await before;
    const unsubscribe = this.#caches.of(core.resourcequotas).subscribe(({ object }) => {
      if (object.metadata.namespace === namespace) finish();
    });
    const timer = this.#clock.setTimeout(() => finish(), turnMs);
    const finish = (): void => {
      unsubscribe();
      timer.cancel();
      end();
      if (this.#turns.get(namespace) === queued) this.#turns.delete(namespace);
    };
    return finish;
  }

  async #check(request: AdmissionRequest, object: KubeObject): Promise<void> {
    const { resource, namespace } = request;
    const quotas = this.#caches.of(core.resourcequotas);
    // The quotas first, then the objects: what was charged to a quota as it is read here is then among the objects.
    await quotas.fresh();
    const concerned = [...quotas.list(namespace)].filter((quota) => concerns(quota, resource, object));
    if (concerned.length === 0) return;
    const nowMs = this.#clock.nowMs();
    const usage = usageOf(resource, object, nowMs);
    const negative = [...usage].filter(([, quantity]) => quantity.sign < 0).map(([name]) => name);
    if (negative.length > 0)
      throw forbidden(request, `quota usage is negative for resource(s): ${negative.sort().join(',')}`);
    if (resource.plural === 'pods') for (const quota of concerned) requireSaid(request, quota);
    const others = await this.#others(request);
    for (const quota of concerned) this.#charge(request, quota, usage, others, nowMs);
  }

  /** Every stored object of the resource in the namespace but the one that is written. */
  async #others({ resource, namespace, name, operation }: AdmissionRequest): Promise<KubeObject[]> {
    const cache = this.#caches.of(resource);
    await cache.fresh();
    const all = [...cache.list(namespace)];
    return operation === 'CREATE' ? all : all.filter(({ metadata }) => metadata.name !== name);
  }

  #charge(
    request: AdmissionRequest,
    quota: Quota,
    usage: Amounts,
    others: readonly KubeObject[],
    nowMs: number,
  ): void {
    const { resource, oldObject, transaction } = request;
    const hard = new Map([...amountsOf(quota.spec?.hard)].filter(([name]) => isChargedTo(resource, name)));
    const used: Amounts = new Map([...hard.keys()].map((name) => [name, Quantity.zero]));
    for (const other of others)
      if (concerns(quota, resource, other))
        addAmounts(used, masked(usageOf(resource, other, nowMs), hard), quantities);
    const before =
      oldObject && concerns(quota, resource, oldObject)
        ? usageOf(resource, oldObject, nowMs)
        : new Map<string, Quantity>();
    const exceeded = [...masked(usage, hard)].filter(([name, quantity]) => {
      const grows = quantity.compare(before.get(name) ?? Quantity.zero) > 0;
      const after = (used.get(name) as Quantity).add(quantity);
      return grows && after.compare(hard.get(name) as Quantity) > 0;
    });
    if (exceeded.length > 0) throw this.#exceeded(request, quota, new Map(exceeded), before, used, hard);
    const after = addAmounts(used, masked(usage, hard), quantities);
    const status = {
      hard: { ...quota.spec?.hard },
      used: {
        ...quota.status?.used,
        ...Object.fromEntries([...after].map(([name, quantity]) => [name, quantity.toString()])),
      },
    };
    transaction?.add({
      type: 'update',
      resource: core.resourcequotas,
      object: { ...structuredClone(quota), status } as Quota,
    });
  }

  #exceeded(
    request: AdmissionRequest,
    quota: Quota,
    asked: Amounts,
    before: Amounts,
    used: Amounts,
    hard: Amounts,
  ) {
    const requested: Amounts = new Map();
    const usedNow: Amounts = new Map();
    for (const [name, quantity] of asked) {
      const old = before.get(name) ?? Quantity.zero;
      requested.set(name, quantity.sub(old));
      usedNow.set(name, (used.get(name) ?? Quantity.zero).add(old));
    }
    return forbidden(
      request,
      `exceeded quota: ${quota.metadata.name}, requested: ${amountsText(requested)}, used: ${amountsText(usedNow)}, limited: ${amountsText(masked(hard, asked))}`,
    );
  }
}

/** `cpu=1,memory=1Gi`, by name. */
const amountsText = (amounts: Amounts): string =>
  [...amounts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, quantity]) => `${name}=${quantity.toString()}`)
    .join(',');

const masked = (amounts: Amounts, by: Amounts): Amounts =>
  new Map([...amounts].filter(([name]) => by.has(name)));

/** Where cpu or memory is limited, every container must say what it takes. */
function requireSaid(request: AdmissionRequest, quota: Quota): void {
  const { spec } = request.object as Pod;
  if (
    !spec ||
    Object.keys(spec.resources?.requests ?? {}).length > 0 ||
    Object.keys(spec.resources?.limits ?? {}).length > 0
  )
    return;
  const required = Object.keys(quota.spec?.hard ?? {})
    .filter((name) => mustBeSaid.has(name))
    .sort();
  const missing = required.flatMap((name) => {
    const silent = [...spec.containers, ...(spec.initContainers ?? [])]
      .filter(
        ({ resources }) =>
          !computeCharges(amountsOf(resources?.requests), amountsOf(resources?.limits)).has(name),
      )
      .map((container) => container.name);
    return silent.length === 0 ? [] : [`${name} for: ${[...new Set(silent)].sort().join(',')}`];
  });
  if (missing.length > 0)
    throw forbidden(request, `failed quota: ${quota.metadata.name}: must specify ${missing.join('; ')}`);
}
