import { type Case, changeSpec, create, createSpec, type Sample } from './case.ts';

const repository: Sample = {
  apiVersion: 'source.toolkit.fluxcd.io/v1',
  kind: 'GitRepository',
  plural: 'gitrepositories',
  spec: { interval: '5m', url: 'https://git.example.com/app' },
};
const bucket: Sample = {
  ...repository,
  kind: 'Bucket',
  plural: 'buckets',
  spec: { bucketName: 'b', endpoint: 's3.example.com', interval: '1h30m' },
};
const oci: Sample = {
  ...repository,
  kind: 'OCIRepository',
  plural: 'ocirepositories',
  spec: { interval: '10m', url: 'oci://registry.example.com/app' },
};
const kustomization: Sample = {
  apiVersion: 'kustomize.toolkit.fluxcd.io/v1',
  kind: 'Kustomization',
  plural: 'kustomizations',
  spec: { interval: '10m', prune: true, sourceRef: { kind: 'GitRepository', name: 'app' } },
};
const release: Sample = {
  apiVersion: 'helm.toolkit.fluxcd.io/v2',
  kind: 'HelmRelease',
  plural: 'helmreleases',
  spec: { interval: '10m', chartRef: { kind: 'OCIRepository', name: 'app' } },
};
const receiver: Sample = {
  apiVersion: 'notification.toolkit.fluxcd.io/v1',
  kind: 'Receiver',
  plural: 'receivers',
  spec: {
    type: 'github',
    secretRef: { name: 'token' },
    resources: [{ kind: 'GitRepository', name: 'app' }],
  },
};
const alert: Sample = {
  apiVersion: 'notification.toolkit.fluxcd.io/v1beta3',
  kind: 'Alert',
  plural: 'alerts',
  spec: { providerRef: { name: 'chat' }, eventSources: [{ kind: 'GitRepository', name: '*' }] },
};

export const cases: readonly Case[] = [
  createSpec('a repository gets its defaults', repository),
  createSpec('a repository at a branch', repository, {
    ref: { branch: 'main' },
    include: [{ repository: { name: 'x' } }],
  }),
  createSpec('a bucket gets its defaults', bucket),
  createSpec('an OCI repository', oci, { ref: { semver: '>= 1.0.0' }, verify: { provider: 'cosign' } }),
  createSpec('a kustomization gets its defaults', kustomization),
  createSpec('a kustomization by many fields', kustomization, {
    patches: [{ patch: '- op: remove', target: { kind: 'Deployment' } }],
    images: [{ name: 'app', newTag: '2' }],
    postBuild: { substitute: { a: 'b' } },
    wait: true,
    timeout: '3m',
  }),
  createSpec('a release keeps whatever its values are', release, {
    values: { deep: { er: [1, 'two', null, { three: 3.5 }] }, big: 9007199254740991 },
  }),
  createSpec('a release of a chart', release, {
    chartRef: null,
    chart: { spec: { chart: 'app', version: '1.x', sourceRef: { kind: 'HelmRepository', name: 'repo' } } },
  }),
  createSpec('a receiver gets its defaults', receiver),
  createSpec('an alert gets its defaults', alert),
  {
    title: 'a strict creation names unknown fields, but not those of values',
    of: release,
    steps: [{ do: 'create', strict: true, with: { spec: { values: { any: 1 }, install: { color: 1 } } } }],
  },
  createSpec('unknown fields are dropped', kustomization, { color: 1, sourceRef: { color: 2 } }),
  {
    title: 'columns of a repository with a status',
    of: repository,
    steps: [
      { do: 'create' },
      {
        do: 'status',
        with: {
          status: {
            conditions: [
              {
                type: 'Ready',
                status: 'True',
                reason: 'Succeeded',
                message: 'stored artifact',
                lastTransitionTime: '2026-01-02T03:04:05Z',
              },
            ],
          },
        },
      },
      { do: 'table' },
    ],
  },
  {
    title: 'a status with a condition out of form',
    of: repository,
    steps: [
      { do: 'create' },
      {
        do: 'status',
        with: {
          status: {
            conditions: [
              { type: 'Ready', status: 'Maybe', reason: '', message: 'm', lastTransitionTime: 'yesterday' },
            ],
          },
        },
      },
    ],
  },
  createSpec('a repository without an interval', repository, { interval: null }),
  createSpec('a repository whose interval has no unit', repository, { interval: '5' }),
  createSpec('a repository over an unknown scheme', repository, { url: 'ftp://git.example.com/app' }),
  createSpec('a repository of an unknown provider', repository, { provider: 'none' }),
  createSpec('a repository with a service account it cannot use', repository, { serviceAccountName: 'sa' }),
  createSpec('a bucket without anything', bucket, { bucketName: null, endpoint: null, interval: null }),
  createSpec('a bucket with a token service of another provider', bucket, {
    provider: 'gcp',
    sts: { provider: 'aws', endpoint: 'https://sts' },
  }),
  createSpec('a kustomization without prune', kustomization, { prune: null }),
  createSpec('a kustomization of a source of an unknown kind', kustomization, {
    sourceRef: { kind: 'Folder' },
  }),
  createSpec('a kustomization with an empty prefix and a long namespace', kustomization, {
    namePrefix: '',
    targetNamespace: 'n'.repeat(64),
  }),
  createSpec('a kustomization with two kubeconfigs', kustomization, {
    kubeConfig: { configMapRef: { name: 'a' }, secretRef: { name: 'b' } },
  }),
  createSpec('a kustomization with an empty kubeconfig', kustomization, { kubeConfig: {} }),
  createSpec('a release of nothing', release, { chartRef: null }),
  createSpec('a release of two things', release, {
    chart: { spec: { chart: 'app', sourceRef: { kind: 'HelmRepository', name: 'repo' } } },
  }),
  createSpec('a release whose name is too long', release, { releaseName: 'r'.repeat(54) }),
  createSpec('a receiver of OpenID Connect without a provider', receiver, {
    type: 'generic-oidc',
    secretRef: null,
  }),
  createSpec('an alert of a severity unknown', alert, { eventSeverity: 'fatal' }),
  createSpec('an alert of no sources', alert, { eventSources: null }),
  changeSpec('a repository may move', repository, { url: 'ssh://git@git.example.com/app' }),
  create('a repository whose spec is a list', repository, { spec: [] }),
];
