import { type Informer, keyOf, namespaceIndex } from '@cloudless/kube/informer/informer';
import { type Selector, selectorFromSet } from '@cloudless/kube/selector/selector';
import type { Node, Pod, Service } from '@cloudless/kube/types/core-v1';
import type { WorkQueue } from '@cloudless/kube/workqueue/workqueue';
import { semanticEqual } from '../runtime/compare.ts';

/** Index of pods by the node they run on. */
export const nodeNameIndex = 'nodeName';
export const nodeName = (pod: Pod): string[] => (pod.spec?.nodeName ? [pod.spec.nodeName] : []);

/** Index of pods by namespace and one label: `namespace/key=value`. */
export const labelIndex = 'label';
export const labelsOf = ({ metadata }: Pod): string[] =>
  Object.entries(metadata.labels ?? {}).map(([key, value]) => `${metadata.namespace}/${key}=${value}`);

/** Objects of an informer stay the same until they change: each selector is built once. */
const selectors = new WeakMap<Service, Selector>();

function selectorOf(service: Service): Selector | undefined {
  const known = selectors.get(service);
  if (known) return known;
  const set = service.spec?.selector;
  if (!set || Object.keys(set).length === 0) return undefined;
  const selector = selectorFromSet(set);
  selectors.set(service, selector);
  return selector;
}

/** The pods behind a Service, by {@link labelIndex}; undefined when its endpoints are not ours to write: another's, or no endpoints at all. */
export function podsOf(service: Service, pods: Informer<Pod>): Pod[] | undefined {
  const selector = selectorOf(service);
  if (!selector || service.spec?.type === 'ExternalName') return undefined;
  const [key, value] = Object.entries(service.spec?.selector ?? {})[0] as [string, string];
  return pods.store
    .byIndex(labelIndex, `${service.metadata.namespace}/${key}=${value}`)
    .filter((pod) => selector.matches(pod.metadata.labels));
}

/** What of a pod shows in endpoints. */
function relevant(pod: Pod): unknown[] {
  return [
    pod.metadata.labels,
    pod.metadata.deletionTimestamp,
    pod.spec?.nodeName,
    pod.spec?.hostname,
    pod.spec?.subdomain,
    pod.status?.phase,
    pod.status?.podIP,
    pod.status?.podIPs,
    pod.status?.conditions?.find((condition) => condition.type === 'Ready')?.status,
  ];
}

/** Enqueues the Services whose endpoints may change with a Service, a pod or a node. */
export function watchServices(
  services: Informer<Service>,
  pods: Informer<Pod>,
  nodes: Informer<Node> | undefined,
  queue: WorkQueue,
): void {
  services.addHandler({
    add: (service) => queue.add(keyOf(service)),
    update: (service) => queue.add(keyOf(service)),
    delete: (service) => queue.add(keyOf(service)),
  });
  const enqueueFor = (pod: Pod): void => {
    for (const service of services.store.byIndex(namespaceIndex, pod.metadata.namespace ?? '')) {
      if (selectorOf(service)?.matches(pod.metadata.labels)) queue.add(keyOf(service));
    }
  };
  pods.addHandler({
    add: enqueueFor,
    update: (pod, old) => {
      if (semanticEqual(relevant(pod), relevant(old))) return;
      enqueueFor(pod);
      if (!semanticEqual(pod.metadata.labels, old.metadata.labels)) enqueueFor(old);
    },
    delete: enqueueFor,
  });
  nodes?.addHandler({
    add: (node) => {
      for (const pod of pods.store.byIndex(nodeNameIndex, node.metadata.name ?? '')) enqueueFor(pod);
    },
    update: (node, old) => {
      if (semanticEqual(node.metadata.labels, old.metadata.labels)) return;
      for (const pod of pods.store.byIndex(nodeNameIndex, node.metadata.name ?? '')) enqueueFor(pod);
    },
  });
}
