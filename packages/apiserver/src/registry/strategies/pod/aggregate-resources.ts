/** Requests and limits of a pod as a whole (upstream: component-helpers/resource/helpers.go). */
import { quantities, totalOfContainers } from '@cloudless/kube/pod-amounts';
import type { PodSpec } from '@cloudless/kube/types/core-v1';
import { type Amounts, amountsOf } from '../../validation/quantities.ts';

/** Resources that may be set for a whole pod. */
export const isPodLevelResource = (name: string): boolean =>
  name === 'cpu' || name === 'memory' || name.startsWith('hugepages-');

/** Resources that may be overcommitted: native ones other than huge pages. */
export const isOvercommitAllowed = (name: string): boolean =>
  (!name.includes('/') || name.includes('kubernetes.io/')) && !name.startsWith('hugepages-');

/** What the containers of a pod ask for together, whatever the pod asks for as a whole. */
export const aggregateResources = (spec: PodSpec, kind: 'requests' | 'limits'): Amounts =>
  totalOfContainers(spec, (container) => amountsOf(container.resources?.[kind]), quantities);

/** Pod-level requests follow the containers' requests, then the pod's limits. */
function defaultPodRequests(spec: PodSpec): void {
  const limits = spec.resources?.limits;
  if (!spec.resources || !limits || Object.keys(limits).length === 0) return;
  const requests = { ...spec.resources.requests };
  for (const [name, amount] of aggregateResources(spec, 'requests')) {
    if (isPodLevelResource(name) && isOvercommitAllowed(name)) requests[name] ??= amount.toString();
  }
  for (const name in limits) if (isPodLevelResource(name)) requests[name] ??= limits[name] as string;
  if (Object.keys(requests).length > 0) spec.resources.requests = requests;
}

/** Pod-level limits of huge pages equal their requests, or what the containers' limits add up to. */
function defaultHugePageLimits(spec: PodSpec): void {
  const resources = spec.resources;
  if (!resources) return;
  const { limits = {}, requests = {} } = resources;
  if (Object.keys(limits).length === 0 && Object.keys(requests).length === 0) return;
  const filled = { ...limits };
  for (const [name, amount] of aggregateResources(spec, 'limits')) {
    if (name.startsWith('hugepages-')) filled[name] ??= amount.toString();
  }
  if (Object.keys(filled).length > 0) resources.limits = filled;
}

/** Defaults of `spec.resources` (upstream: defaultHugePagePodLimits, defaultPodRequests). */
export function defaultPodLevelResources(spec: PodSpec): void {
  if (!spec.resources) return;
  defaultHugePageLimits(spec);
  defaultPodRequests(spec);
}
