import { readFileSync } from 'node:fs';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { apps, core, policy, rbac } from '@cloudless/kube/resources';
import { parseAllDocuments } from 'yaml';
import { clusterRules, namespaceRules } from '../external/rbac.ts';

const folder = new URL('../../deploy/', import.meta.url);
const usualNamespace = 'cloudless-dns';

const resources: Readonly<Record<string, Resource>> = {
  Namespace: core.namespaces,
  ServiceAccount: core.serviceaccounts,
  Service: core.services,
  ClusterRole: rbac.clusterroles,
  ClusterRoleBinding: rbac.clusterrolebindings,
  Role: rbac.roles,
  RoleBinding: rbac.rolebindings,
  Deployment: apps.deployments,
  PodDisruptionBudget: policy.poddisruptionbudgets,
};

/** One object of a deployment, in the order in which they are applied. */
export interface Manifest {
  readonly resource: Resource;
  readonly object: KubeObject;
}

/** The authoritative DNS as pods of any cluster: namespace, rights, Deployment, and the Services that lead to it. */
export function externalDnsDeployment(options: { image: string; namespace: string }): Manifest[] {
  return manifestsOf('external.yaml', {
    IMAGE: options.image,
    [usualNamespace]: options.namespace,
    NAMESPACE_RULES: namespaceRules,
    CLUSTER_RULES: clusterRules,
  });
}

/** Cluster DNS as pods of any cluster, behind the Service kube-dns, in CoreDNS's place. */
export function clusterDnsDeployment(options: { image: string; clusterIp: string }): Manifest[] {
  return manifestsOf('cluster.yaml', { IMAGE: options.image, CLUSTER_IP: options.clusterIp });
}

/** Of the authoritative DNS's Deployment. */
export const externalDeploymentName = 'external-dns';

/** Labels of the pods of the authoritative DNS, which Services select. */
export const externalPodLabels = {
  'app.kubernetes.io/name': 'dns',
  'app.kubernetes.io/component': 'external',
};

function manifestsOf(file: string, given: Readonly<Record<string, unknown>>): Manifest[] {
  const place = (value: unknown): unknown => {
    if (typeof value === 'string') {
      if (Object.hasOwn(given, value)) return given[value];
      const prefixed = Object.keys(given).find((word) => value.startsWith(`${word}:`));
      return prefixed === undefined
        ? placed(value)
        : `${String(given[prefixed])}${value.slice(prefixed.length)}`;
    }
    if (Array.isArray(value)) return value.map(place);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, place(one)]));
  };
  /** A word of ours in the middle of an argument: `--cluster-ip=CLUSTER_IP`. */
  const placed = (value: string): string =>
    value.replace(/(?<==)[A-Z_]+$/, (word) => (Object.hasOwn(given, word) ? String(given[word]) : word));
  return parseAllDocuments(readFileSync(new URL(file, folder), 'utf8')).map((document) => {
    const object = place(document.toJS()) as KubeObject;
    const resource = resources[object.kind ?? ''];
    if (!resource) throw new Error(`deploy/ has a ${object.kind}, which nothing here applies`);
    return { resource, object };
  });
}
