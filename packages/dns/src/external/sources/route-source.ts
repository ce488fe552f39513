import { type Informer, keyOf } from '@cloudless/kube/informer/informer';
import { core } from '@cloudless/kube/resources';
import type { Resource } from '@cloudless/kube/object';
import type { Namespace } from '@cloudless/kube/types/core-v1';
import { type Gateway, gateways, type Route } from '../kinds.ts';
import { gatewaysOf, routeEndpoints } from './gateway.ts';
import type { SourceSet } from './source-set.ts';

/** Derives the records of these kinds of routes, as far as the cluster has them, and their Gateways. */
export function deriveRoutes(set: SourceSet, kinds: ReadonlyArray<Resource<Route>>): void {
  if (kinds.length === 0) return;
  const touch = (concerns: (route: Route) => boolean): void => {
    for (const kind of kinds)
      for (const route of set.store(kind)?.list() ?? []) if (concerns(route)) set.touch(kind, keyOf(route));
  };
  set.whenDefined(gateways, (resource) => {
    const changed = (gateway: Gateway): void => touch((route) => gatewaysOf(route).includes(keyOf(gateway)));
    set.watch(resource).addHandler({ add: changed, update: changed, delete: changed });
  });
  /** Labels of namespaces count for listeners that select them. */
  let namespaces: Informer<Namespace> | undefined;
  const watchNamespaces = (): Informer<Namespace> => {
    if (namespaces) return namespaces;
    namespaces = set.watch(core.namespaces);
    const changed = ({ metadata: { name } }: Namespace): void =>
      touch((route) => route.metadata.namespace === name);
    namespaces.addHandler({
      add: changed,
      update: (namespace, old) => {
        if (JSON.stringify(namespace.metadata.labels) !== JSON.stringify(old.metadata.labels))
          changed(namespace);
      },
    });
    return namespaces;
  };
  for (const kind of kinds)
    set.whenDefined(kind, (resource) => {
      const labels = watchNamespaces().store;
      set.derive(resource, {
        endpoints: (route) =>
          routeEndpoints(kind.kind, route, {
            gateway: (namespace, name) => set.store(gateways)?.get(`${namespace}/${name}`),
            namespaceLabels(name) {
              const namespace = labels.get(name);
              return namespace && (namespace.metadata.labels ?? {});
            },
          }),
      });
    });
}
