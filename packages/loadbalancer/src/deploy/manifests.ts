import { readFileSync } from 'node:fs';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { apps, core, rbac } from '@cloudless/kube/resources';
import { parseAllDocuments } from 'yaml';

const folder = new URL('../../deploy/', import.meta.url);
const files = ['namespace.yaml', 'rbac.yaml', 'controller.yaml', 'speaker.yaml'] as const;
const usualNamespace = 'metallb-system';

const resources: Readonly<Record<string, Resource>> = {
  Namespace: core.namespaces,
  ServiceAccount: core.serviceaccounts,
  ClusterRole: rbac.clusterroles,
  ClusterRoleBinding: rbac.clusterrolebindings,
  Role: rbac.roles,
  RoleBinding: rbac.rolebindings,
  Deployment: apps.deployments,
  DaemonSet: apps.daemonsets,
};

/** One object of the deployment, in the order in which they are applied. */
export interface Manifest {
  resource: Resource;
  object: KubeObject;
}

/**
 * Controller and speakers as pods of any cluster (`deploy/`): `image` is a reference as the nodes find it, of an image
 * with the command `cloudless`; names that begin with the namespace follow it.
 */
export function deployment(options: { image: string; namespace: string }): Manifest[] {
  const place = (value: unknown): unknown => {
    if (typeof value === 'string') {
      if (value === 'IMAGE') return options.image;
      if (value === usualNamespace) return options.namespace;
      return value.startsWith(`${usualNamespace}:`)
        ? `${options.namespace}${value.slice(usualNamespace.length)}`
        : value;
    }
    if (Array.isArray(value)) return value.map(place);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, place(one)]));
  };
  return files
    .flatMap((file) => parseAllDocuments(readFileSync(new URL(file, folder), 'utf8')))
    .map((document) => {
      const object = place(document.toJS()) as KubeObject;
      const resource = resources[object.kind ?? ''];
      if (!resource) throw new Error(`deploy/ has a ${object.kind}, which nothing here applies`);
      return { resource, object };
    });
}
