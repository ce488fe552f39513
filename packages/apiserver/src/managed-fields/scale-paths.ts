import { apiVersionOf } from '@cloudless/kube/object';
import type { Catalogue, Served } from '../registry/catalogue.ts';
import type { ReplicasPaths } from './scale-fields.ts';

/** Versions that upstream's scale subresources still know, though none is served (ReplicasPathMappings). */
const former: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries<readonly string[]>({
    Deployment: ['apps/v1beta1', 'apps/v1beta2', 'extensions/v1beta1'],
    ReplicaSet: ['apps/v1beta2', 'extensions/v1beta1'],
    StatefulSet: ['apps/v1beta1', 'apps/v1beta2'],
  }),
);

const replicas = ['spec', 'replicas'];

/** Where a kind keeps its replicas, in each of its versions; custom kinds say it in their definition. */
export function replicasPathsOf({ custom, resource }: Served, catalogue: Catalogue): ReplicasPaths {
  const paths = new Map<string, readonly string[] | undefined>();
  if (custom) {
    const { group, versions } = custom.definition.spec;
    for (const { name, subresources } of versions) {
      const path = subresources?.scale?.specReplicasPath;
      paths.set(
        `${group}/${name}`,
        path?.split('.').filter((part) => part !== ''),
      );
    }
    return paths;
  }
  for (const version of former.get(resource.kind) ?? []) paths.set(version, replicas);
  for (const served of catalogue.all()) {
    const same = served.resource.group === resource.group && served.resource.kind === resource.kind;
    if (same) paths.set(apiVersionOf(served.resource), replicas);
  }
  return paths;
}
