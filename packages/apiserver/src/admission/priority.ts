import type { Resource } from '@cloudless/kube/object';
import { scheduling } from '@cloudless/kube/resources';
import type { Pod } from '@cloudless/kube/types/core-v1';
import type { PriorityClass } from '@cloudless/kube/types/scheduling-v1';
import { lookup } from '../authn/lookup.ts';
import type { Caches } from '../cache/cache.ts';
import { forbidden, isPod } from './forbid.ts';
import type { AdmissionPlugin, AdmissionRequest, Operation } from './plugin.ts';

const defaultPolicy = 'PreemptLowerPriority';

/** Turns `priorityClassName` into the number the scheduler reads (upstream: plugin/pkg/admission/priority). */
export class Priority implements AdmissionPlugin {
  readonly name = 'Priority';
  readonly #caches: Caches;

  constructor(options: { caches: Caches }) {
    this.#caches = options.caches;
  }

  handles(operation: Operation, resource: Resource, subresource: string): boolean {
    if (operation !== 'CREATE' && operation !== 'UPDATE') return false;
    return isPod(resource, subresource) || (resource.plural === 'priorityclasses' && subresource === '');
  }

  async admit(request: AdmissionRequest): Promise<void> {
    if (request.resource.plural !== 'pods') return;
    const { spec } = request.object as Pod;
    if (!spec) return;
    if (request.operation === 'UPDATE') {
      // Clients that do not know the field leave it out.
      const old = (request.oldObject as Pod).spec;
      if (spec.priority === undefined && old?.priority !== undefined) spec.priority = old.priority;
      if (spec.preemptionPolicy === undefined && old?.preemptionPolicy !== undefined)
        spec.preemptionPolicy = old.preemptionPolicy;
      return;
    }
    const found = await this.#classOf(request, spec.priorityClassName ?? '');
    if (found.name !== '') spec.priorityClassName = found.name;
    if (spec.priority !== undefined && spec.priority !== found.value)
      throw forbidden(
        request,
        `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${found.value} from the given PriorityClass name`,
      );
    spec.priority = found.value;
    if (spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== found.preemptionPolicy)
      throw forbidden(
        request,
        `the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${found.preemptionPolicy} from the given PriorityClass name`,
      );
    spec.preemptionPolicy = found.preemptionPolicy;
  }

  async validate(request: AdmissionRequest): Promise<void> {
    if (request.resource.plural !== 'priorityclasses') return;
    const created = request.object as PriorityClass;
    if (created.globalDefault !== true) return;
    const cache = this.#caches.of(scheduling.priorityclasses);
    await cache.ready;
    for (const { globalDefault, metadata } of cache.list())
      if (globalDefault === true && metadata.name !== created.metadata.name)
        throw forbidden(
          request,
          `PriorityClass ${metadata.name} is already marked as default. Only one default can exist`,
        );
  }

  async #classOf(request: AdmissionRequest, name: string) {
    const asFound = (found: PriorityClass) => ({
      name: found.metadata.name ?? '',
      value: found.value ?? 0,
      preemptionPolicy: found.preemptionPolicy ?? defaultPolicy,
    });
    if (name !== '') {
      const found = await lookup(this.#caches, scheduling.priorityclasses, { namespace: '', name });
      if (!found) throw forbidden(request, `no PriorityClass with name ${name} was found`);
      return asFound(found);
    }
    const cache = this.#caches.of(scheduling.priorityclasses);
    await cache.ready;
    const defaults = [...cache.list()].filter(({ globalDefault }) => globalDefault === true);
    const lowest = defaults.sort((a, b) => (a.value ?? 0) - (b.value ?? 0))[0];
    return lowest ? asFound(lowest) : { name: '', value: 0, preemptionPolicy: defaultPolicy };
  }
}
