import { node } from '@cloudless/kube/resources';
import { Quantity } from '@cloudless/kube/quantity';
import type { Pod, PodSpec, Toleration } from '@cloudless/kube/types/core-v1';
import type { RuntimeClass as RuntimeClassObject } from '@cloudless/kube/types/node-v1';
import { lookup } from '../authn/lookup.ts';
import type { Caches } from '../cache/cache.ts';
import { forbidden, isPod } from './forbid.ts';
import type { AdmissionPlugin, AdmissionRequest } from './plugin.ts';

type Amounts = Readonly<Record<string, unknown>> | undefined;

function sameAmounts(a: Amounts, b: Amounts): boolean {
  const keys = new Set([...Object.keys(a ?? {}), ...Object.keys(b ?? {})]);
  return [...keys].every((key) => {
    const [one, other] = [Quantity.tryParse(a?.[key]), Quantity.tryParse(b?.[key])];
    return one !== undefined && other !== undefined && one.equals(other);
  });
}

async function classOf(caches: Caches, request: AdmissionRequest): Promise<RuntimeClassObject | undefined> {
  const name = (request.object as Pod).spec?.runtimeClassName;
  if (name === undefined) return undefined;
  const found = await lookup(caches, node.runtimeclasses, { namespace: '', name });
  if (!found) throw forbidden(request, `pod rejected: RuntimeClass "${name}" not found`);
  return found;
}

function schedule(request: AdmissionRequest, spec: PodSpec, found: RuntimeClassObject): void {
  const { nodeSelector = {}, tolerations = [] } = found.scheduling ?? {};
  for (const [key, value] of Object.entries(nodeSelector)) {
    const own = spec.nodeSelector?.[key];
    if (own !== undefined && own !== value)
      throw forbidden(
        request,
        `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${own}`,
      );
    spec.nodeSelector = { ...spec.nodeSelector, [key]: value };
  }
  const same = (a: Toleration, b: Toleration): boolean =>
    a.key === b.key &&
    a.operator === b.operator &&
    a.value === b.value &&
    a.effect === b.effect &&
    a.tolerationSeconds === b.tolerationSeconds;
  const missing = tolerations.filter((toleration) => !spec.tolerations?.some((own) => same(own, toleration)));
  if (missing.length > 0) spec.tolerations = [...(spec.tolerations ?? []), ...structuredClone(missing)];
}

/** Overhead and placement of a pod's RuntimeClass (upstream: plugin/pkg/admission/runtimeclass). */
export const runtimeClass = (caches: Caches): AdmissionPlugin => ({
  name: 'RuntimeClass',
  handles: (operation, resource, subresource) => operation === 'CREATE' && isPod(resource, subresource),
  async admit(request) {
    const { spec } = request.object as Pod;
    const found = await classOf(caches, request);
    if (!spec || !found) return;
    const fixed = found.overhead?.podFixed;
    if (fixed) {
      if (Object.keys(spec.overhead ?? {}).length > 0 && !sameAmounts(spec.overhead, fixed))
        throw forbidden(
          request,
          "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
        );
      spec.overhead = { ...fixed };
    }
    schedule(request, spec, found);
  },
  async validate(request) {
    const fixed = (await classOf(caches, request))?.overhead?.podFixed;
    const { overhead } = (request.object as Pod).spec ?? {};
    if (fixed) {
      if (!sameAmounts(overhead, fixed))
        throw forbidden(
          request,
          "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
        );
    } else if (Object.keys(overhead ?? {}).length > 0) {
      throw forbidden(
        request,
        'pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead',
      );
    }
  },
});
