import type { Resource } from '@cloudless/kube/object';

/**
 * Where upstream's kube-apiserver keeps each resource below the storage prefix. The rule is the lower-case plural
 * without the group; these are the exceptions (kubernetes/pkg/kubeapiserver/default_storage_factory_builder.go,
 * SpecialDefaultResourcePrefixes).
 */
const oddPrefixes: Readonly<Record<string, string>> = {
  '/replicationcontrollers': 'controllers',
  '/endpoints': 'services/endpoints',
  '/nodes': 'minions',
  '/services': 'services/specs',
  'extensions/ingresses': 'ingress',
  'networking.k8s.io/ingresses': 'ingress',
};

/**
 * Groups whose servers put the group into the key: the aggregator's and apiextensions' own resources, and every
 * custom resource (apiextensions-apiserver/pkg/cmd/server/options, kube-aggregator/pkg/apiserver).
 */
const groupInKey: ReadonlySet<string> = new Set(['apiregistration.k8s.io', 'apiextensions.k8s.io']);

/** Keys are `PREFIX/RESOURCE/[NAMESPACE/]NAME`; this is RESOURCE. `custom`: a custom resource. */
export function resourcePrefix(resource: { group: string; plural: string }, custom = false): string {
  if (custom || groupInKey.has(resource.group)) return `${resource.group}/${resource.plural}`;
  return oddPrefixes[`${resource.group}/${resource.plural}`] ?? resource.plural;
}

/** The keys of one resource. Texts are ASCII below the names, so key order is the order of these strings. */
export interface ResourceKeys {
  /** `/registry/pods/` */
  readonly root: string;
  /** Of the storage prefix, with which keys begin. */
  readonly prefixLength: number;
  /** `/registry/pods/NAMESPACE/`, or the root for cluster-scoped resources and every namespace. */
  under(namespace: string): string;
  of(namespace: string, name: string): string;
  /** The inverse of {@link of}; undefined for a key that is not of this resource. */
  parse(key: string): { namespace: string; name: string } | undefined;
}

/** `storagePrefix` as upstream's `--etcd-prefix`, `/registry`. */
export function resourceKeys(storagePrefix: string, resource: Resource, custom = false): ResourceKeys {
  const prefix = storagePrefix.replace(/\/+$/, '');
  const root = `${prefix}/${resourcePrefix(resource, custom)}/`;
  const { namespaced } = resource;
  return {
    root,
    prefixLength: prefix.length,
    under: (namespace) => (namespaced && namespace !== '' ? `${root}${namespace}/` : root),
    of: (namespace, name) => (namespaced ? `${root}${namespace}/${name}` : `${root}${name}`),
    parse(key) {
      if (!key.startsWith(root)) return undefined;
      const rest = key.slice(root.length);
      if (!namespaced) return rest === '' || rest.includes('/') ? undefined : { namespace: '', name: rest };
      const slash = rest.indexOf('/');
      if (slash <= 0) return undefined;
      const name = rest.slice(slash + 1);
      return name === '' || name.includes('/') ? undefined : { namespace: rest.slice(0, slash), name };
    },
  };
}

/** UTF-8 of a key. From Node's pool, at a sixth of what TextEncoder's memory of its own costs: not for keeping. */
export const keyBytes = (key: string): Uint8Array => Buffer.from(key);
