import { createHash } from 'node:crypto';
import type { KubeObject } from '@cloudless/kube/object';
import type { Deployment } from '@cloudless/kube/types/apps-v1';
import type { ConfigMap, Service } from '@cloudless/kube/types/core-v1';
import type { Website } from './website.ts';

/** What a Website consists of: pure functions, so that what the operator wants can be tested without a cluster. */

function child(website: Website): Pick<KubeObject, 'metadata'> {
  const { name = '', namespace, uid = '' } = website.metadata;
  return {
    metadata: {
      name,
      namespace,
      labels: { 'app.kubernetes.io/name': 'website', 'app.kubernetes.io/instance': name },
      // The garbage collector removes it with the Website.
      ownerReferences: [
        {
          apiVersion: website.apiVersion ?? 'example.cloudless.dev/v1',
          kind: 'Website',
          name,
          uid,
          controller: true,
          blockOwnerDeletion: false,
        },
      ],
    },
  };
}

const selector = ({ metadata }: Website): Record<string, string> => ({
  'app.kubernetes.io/instance': metadata.name ?? '',
});

export function configMapFor(website: Website): ConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', ...child(website), data: website.spec.pages };
}

/** The pods carry the pages' hash, so that other pages are a rollout. */
export function deploymentFor(website: Website): Deployment {
  const { spec } = website;
  const pages = createHash('sha256').update(JSON.stringify(spec.pages)).digest('hex').slice(0, 16);
  const { metadata } = child(website);
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata,
    spec: {
      replicas: spec.replicas,
      selector: { matchLabels: selector(website) },
      template: {
        metadata: { labels: metadata.labels, annotations: { 'example.cloudless.dev/pages': pages } },
        spec: {
          containers: [
            {
              name: 'web',
              image: spec.image,
              ports: [{ name: 'http', containerPort: 80 }],
              volumeMounts: [{ name: 'pages', mountPath: '/usr/share/nginx/html', readOnly: true }],
            },
          ],
          volumes: [{ name: 'pages', configMap: { name: metadata.name } }],
        },
      },
    },
  };
}

export function serviceFor(website: Website): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    ...child(website),
    spec: { selector: selector(website), ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
  };
}
