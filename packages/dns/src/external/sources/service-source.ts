import { type Informer, keyOf, splitKey } from '@cloudless/kube/informer/informer';
import { core, discovery } from '@cloudless/kube/resources';
import { selectorFromSet } from '@cloudless/kube/selector/selector';
import type { Node, Pod, Service } from '@cloudless/kube/types/core-v1';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import { serviceEndpoints, type ServiceSurroundings, type Surrounding, surroundingsOf } from './service.ts';
import type { SourceSet } from './source-set.ts';

const serviceNameLabel = 'kubernetes.io/service-name';
const byService = 'service';

function ownerOf({ metadata }: EndpointSlice): string {
  return `${metadata.namespace}/${metadata.labels?.[serviceNameLabel] ?? ''}`;
}

/**
 * Derives the records of Services. EndpointSlices, Pods and Nodes are watched once a Service depends on them: most clusters
 * have no such Service, and thousands of pods.
 */
export function deriveServices(set: SourceSet): void {
  /** Services that depend on a kind. */
  const dependents: Record<Surrounding, Set<string>> = {
    endpointslices: new Set(),
    pods: new Set(),
    nodes: new Set(),
  };
  const touch = (kind: Surrounding, concerns: (key: string) => boolean): void => {
    for (const key of dependents[kind]) if (concerns(key)) set.touch(core.services, key);
  };
  const slices = once((): Informer<EndpointSlice> => {
    const informer = set.watch(discovery.endpointslices);
    informer.addIndex(byService, (slice) => [ownerOf(slice)]);
    const changed = (slice: EndpointSlice): void => {
      const owner = ownerOf(slice);
      if (dependents.endpointslices.has(owner)) set.touch(core.services, owner);
    };
    informer.addHandler({
      add: changed,
      update: (slice, old) => {
        if (ownerOf(old) !== ownerOf(slice)) changed(old);
        changed(slice);
      },
      delete: changed,
    });
    return informer;
  });
  const pods = once((): Informer<Pod> => {
    const informer = set.watch(core.pods);
    const changed = ({ metadata: { namespace } }: Pod): void =>
      touch('pods', (key) => splitKey(key).namespace === namespace);
    informer.addHandler({
      add: changed,
      update: (pod, old) => {
        if (podFacts(pod) !== podFacts(old)) changed(pod);
      },
      delete: changed,
    });
    return informer;
  });
  const nodes = once((): Informer<Node> => {
    const informer = set.watch(core.nodes);
    const changed = (): void => touch('nodes', () => true);
    informer.addHandler({
      add: changed,
      update: (node, old) => {
        // A node's status changes with each heartbeat, its addresses hardly ever.
        if (addressFacts(node) !== addressFacts(old)) changed();
      },
      delete: changed,
    });
    return informer;
  });
  const around = (service: Service): ServiceSurroundings => {
    const { namespace } = service.metadata;
    return {
      slices: () => slices().store.byIndex(byService, keyOf(service)),
      pod: (name) => pods().store.get(`${namespace}/${name}`),
      pods: () => {
        const selector = service.spec?.selector;
        if (!selector || Object.keys(selector).length === 0) return [];
        const matching = selectorFromSet(selector);
        return pods()
          .store.list(namespace)
          .filter((pod) => matching.matches(pod.metadata.labels));
      },
      node: (name) => nodes().store.get(name),
      nodes: () => nodes().store.list(),
    };
  };
  const watchers = { endpointslices: slices, pods, nodes };
  const services = set.derive(core.services, {
    endpoints: (service) => serviceEndpoints(service, around(service)),
  });
  const look = (service: Service): void => {
    const needed = surroundingsOf(service);
    for (const kind of Object.keys(dependents) as Surrounding[])
      if (!needed.includes(kind)) dependents[kind].delete(keyOf(service));
    for (const kind of needed) {
      dependents[kind].add(keyOf(service));
      watchers[kind]();
    }
  };
  services.addHandler({
    add: look,
    update: look,
    delete: (service) => {
      for (const keys of Object.values(dependents)) keys.delete(keyOf(service));
    },
  });
}

function once<T>(begin: () => T): () => T {
  let value: T | undefined;
  return () => (value ??= begin());
}

/** What a Service's endpoints have of a pod. */
function podFacts({ spec, status, metadata }: Pod): string {
  const isReady = status?.conditions?.find(({ type }) => type === 'Ready')?.status;
  const { hostname, nodeName } = spec ?? {};
  const { annotations, labels, deletionTimestamp } = metadata;
  return JSON.stringify([
    hostname,
    nodeName,
    status?.phase,
    status?.hostIP,
    isReady,
    annotations,
    labels,
    deletionTimestamp,
  ]);
}

function addressFacts({ status }: Node): string {
  return JSON.stringify(status?.addresses);
}
