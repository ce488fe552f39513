import { type Amounts, amountsOf, podAmounts } from '@cloudless/kube/pod-amounts';
import type { Resource } from '@cloudless/kube/object';
import { Quantity } from '@cloudless/kube/quantity';
import { core } from '@cloudless/kube/resources';
import type { Container, LimitRangeItem, PersistentVolumeClaim, Pod } from '@cloudless/kube/types/core-v1';
import type { Caches } from '../cache/cache.ts';
import { forbidden, isPod } from './forbid.ts';
import type { AdmissionPlugin, AdmissionRequest, Operation } from './plugin.ts';

const annotation = 'kubernetes.io/limit-ranger';

/** Defaults and bounds of a namespace's LimitRanges (upstream: plugin/pkg/admission/limitranger). */
export class LimitRanger implements AdmissionPlugin {
  readonly name = 'LimitRanger';
  readonly #caches: Caches;

  constructor(options: { caches: Caches }) {
    this.#caches = options.caches;
  }

  handles(operation: Operation, resource: Resource, subresource: string): boolean {
    if (resource.group !== '') return false;
    if (resource.plural === 'pods' && subresource === 'resize') return operation === 'UPDATE';
    if (isPod(resource, subresource)) return operation === 'CREATE';
    const isClaim = resource.plural === 'persistentvolumeclaims' && subresource === '';
    return isClaim && (operation === 'CREATE' || operation === 'UPDATE');
  }

  async admit(request: AdmissionRequest): Promise<void> {
    if (request.resource.plural !== 'pods') return;
    for (const limits of await this.#limits(request)) setDefaults(request.object as Pod, limits);
  }

  async validate(request: AdmissionRequest): Promise<void> {
    for (const limits of await this.#limits(request)) {
      const found =
        request.resource.plural === 'pods'
          ? podProblems(request.object as Pod, limits)
          : claimProblems(request.object as PersistentVolumeClaim, limits);
      const unique = [...new Set(found)];
      if (unique.length > 0)
        throw forbidden(request, unique.length === 1 ? (unique[0] as string) : `[${unique.join(', ')}]`);
    }
  }

  async #limits(request: AdmissionRequest): Promise<LimitRangeItem[][]> {
    if (request.oldObject?.metadata.deletionTimestamp !== undefined) return [];
    const cache = this.#caches.of(core.limitranges);
    await cache.ready;
    return [...cache.list(request.namespace)].map(({ spec }) => spec?.limits ?? []);
  }
}

type Lists = Record<string, unknown>;

/** Sets what is not set; returns the names that were. */
function fill(container: Container, side: 'requests' | 'limits', defaults: Lists): string[] {
  const own: Lists = { ...container.resources?.[side] };
  const missing = Object.keys(defaults).filter((name) => own[name] === undefined);
  if (missing.length === 0) return [];
  for (const name of missing) own[name] = defaults[name];
  container.resources = { ...container.resources, [side]: own };
  return missing.sort();
}

function setDefaults({ spec, metadata }: Pod, limits: readonly LimitRangeItem[]): void {
  const requests: Lists = {};
  const maxima: Lists = {};
  for (const item of limits) {
    if (item.type !== 'Container') continue;
    Object.assign(requests, item.defaultRequest);
    Object.assign(maxima, item.default);
  }
  const done: string[] = [];
  for (const [what, list] of [
    ['container', spec?.containers],
    ['init container', spec?.initContainers],
  ] as const)
    for (const container of list ?? []) {
      const setLimits = fill(container, 'limits', maxima);
      const setRequests = fill(container, 'requests', requests);
      if (setRequests.length > 0)
        done.push(`${setRequests.join(', ')} request for ${what} ${container.name}`);
      if (setLimits.length > 0) done.push(`${setLimits.join(', ')} limit for ${what} ${container.name}`);
    }
  if (done.length > 0)
    metadata.annotations = {
      ...metadata.annotations,
      [annotation]: `LimitRanger plugin set: ${done.join('; ')}`,
    };
}

interface Asked {
  requests: Amounts;
  limits: Amounts;
}

function belowMinimum(type: string, name: string, bound: Quantity, asked: Asked): string | undefined {
  const [request, limit] = [asked.requests.get(name), asked.limits.get(name)];
  const head = `minimum ${name} usage per ${type} is ${bound.toString()}`;
  if (!request) return `${head}.  No request is specified`;
  if (request.compare(bound) < 0) return `${head}, but request is ${request.toString()}`;
  return limit && limit.compare(bound) < 0 ? `${head}, but limit is ${limit.toString()}` : undefined;
}

function aboveMaximum(type: string, name: string, bound: Quantity, asked: Asked): string | undefined {
  const [request, limit] = [asked.requests.get(name), asked.limits.get(name)];
  const head = `maximum ${name} usage per ${type} is ${bound.toString()}`;
  if (!limit) return `${head}.  No limit is specified`;
  if (limit.compare(bound) > 0) return `${head}, but limit is ${limit.toString()}`;
  return request && request.compare(bound) > 0 ? `${head}, but request is ${request.toString()}` : undefined;
}

function aboveRatio(type: string, name: string, bound: Quantity, asked: Asked): string | undefined {
  const [request, limit] = [asked.requests.get(name), asked.limits.get(name)];
  const head = `${name} max limit to request ratio per ${type} is ${bound.toString()}`;
  if (!request || request.isZero) return `${head}, but no request is specified or request is 0`;
  if (!limit || limit.isZero) return `${head}, but no limit is specified or limit is 0`;
  const ratio = limit.toNumber() / request.toNumber();
  return ratio > bound.toNumber() ? `${head}, but provided ratio is ${ratio.toFixed(6)}` : undefined;
}

function problems(item: LimitRangeItem, asked: Asked): string[] {
  const each = (list: Lists | undefined, check: typeof belowMinimum): Array<string | undefined> =>
    [...amountsOf(list)].map(([name, bound]) => check(item.type, name, bound, asked));
  return [
    ...each(item.min, belowMinimum),
    ...each(item.max, aboveMaximum),
    ...each(item.maxLimitRequestRatio, aboveRatio),
  ].filter((found) => found !== undefined);
}

function podProblems({ spec }: Pod, limits: readonly LimitRangeItem[]): string[] {
  if (!spec) return [];
  const containers = [...spec.containers, ...(spec.initContainers ?? [])];
  return limits.flatMap((item) => {
    if (item.type === 'Pod')
      return problems(item, { requests: podAmounts(spec, 'requests'), limits: podAmounts(spec, 'limits') });
    if (item.type !== 'Container') return [];
    return containers.flatMap(({ resources }) =>
      problems(item, { requests: amountsOf(resources?.requests), limits: amountsOf(resources?.limits) }),
    );
  });
}

function claimProblems({ spec }: PersistentVolumeClaim, limits: readonly LimitRangeItem[]): string[] {
  const requests = amountsOf(spec?.resources?.requests);
  const asked: Asked = { requests, limits: new Map() };
  return limits
    .filter(({ type }) => type === 'PersistentVolumeClaim')
    .flatMap(({ type, min, max }) => {
      const low = [...amountsOf(min)].map(([name, bound]) => belowMinimum(type, name, bound, asked));
      const high = [...amountsOf(max)].map(([name, bound]) => {
        const request = requests.get(name);
        const head = `maximum ${name} usage per ${type} is ${bound.toString()}`;
        if (!request) return `${head}.  No request is specified`;
        return request.compare(bound) > 0 ? `${head}, but request is ${request.toString()}` : undefined;
      });
      return [...low, ...high].filter((found) => found !== undefined);
    });
}
