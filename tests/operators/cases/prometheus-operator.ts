import { type Case, changeSpec, create, createSpec, type Sample } from './case.ts';

const prometheus: Sample = {
  apiVersion: 'monitoring.coreos.com/v1',
  kind: 'Prometheus',
  plural: 'prometheuses',
  spec: { replicas: 2, serviceMonitorSelector: {} },
};
const service: Sample = {
  ...prometheus,
  kind: 'ServiceMonitor',
  plural: 'servicemonitors',
  spec: { selector: { matchLabels: { app: 'web' } }, endpoints: [{ port: 'metrics', interval: '30s' }] },
};
const pod: Sample = {
  ...prometheus,
  kind: 'PodMonitor',
  plural: 'podmonitors',
  spec: { selector: {}, podMetricsEndpoints: [{ portNumber: 9090, targetPort: 'web' }] },
};
const rule: Sample = {
  ...prometheus,
  kind: 'PrometheusRule',
  plural: 'prometheusrules',
  spec: { groups: [{ name: 'up', rules: [{ alert: 'Down', expr: 'up == 0', for: '5m' }] }] },
};
const probe: Sample = {
  ...prometheus,
  kind: 'Probe',
  plural: 'probes',
  spec: { prober: { url: 'prober:9115' }, targets: { staticConfig: { static: ['example.com'] } } },
};
const scrape: Sample = {
  ...prometheus,
  apiVersion: 'monitoring.coreos.com/v1alpha1',
  kind: 'ScrapeConfig',
  plural: 'scrapeconfigs',
  spec: { staticConfigs: [{ targets: ['a:1'] }] },
};
const alerting: Sample = {
  ...scrape,
  kind: 'AlertmanagerConfig',
  plural: 'alertmanagerconfigs',
  spec: {
    route: { receiver: 'mail' },
    receivers: [{ name: 'mail', emailConfigs: [{ to: 'a@example.com' }] }],
  },
};
const key = { name: 's', key: 'k' };

export const cases: readonly Case[] = [
  createSpec('a Prometheus gets its defaults', prometheus),
  createSpec('a Prometheus with containers and volumes', prometheus, {
    containers: [
      {
        name: 'proxy',
        image: 'proxy:1',
        ports: [{ containerPort: 8080 }],
        env: [{ name: 'A', valueFrom: { secretKeyRef: key } }],
        livenessProbe: { httpGet: { port: 'web', path: '/' } },
      },
    ],
    resources: { limits: { memory: '2Gi', cpu: 1 } },
    storage: {
      volumeClaimTemplate: {
        metadata: { name: 'data' },
        spec: { resources: { requests: { storage: '5Gi' } } },
      },
    },
    retention: '15d',
  }),
  createSpec('a monitor of services', service),
  createSpec('a monitor of services by many fields', service, {
    endpoints: [
      {
        targetPort: 8080,
        scheme: 'https',
        relabelings: [{ sourceLabels: ['__name__'], regex: 'go_.*', action: 'drop' }],
        tlsConfig: { ca: { configMap: key }, minVersion: 'TLS12' },
      },
    ],
    sampleLimit: 0,
    scrapeProtocols: ['PrometheusProto', 'PrometheusText0.0.4'],
  }),
  createSpec('a monitor of pods', pod),
  createSpec('a rule', rule),
  createSpec('a rule by a number', rule, { groups: [{ name: 'n', rules: [{ record: 'one', expr: 1 }] }] }),
  createSpec('a probe gets its defaults', probe),
  createSpec('a scrape configuration', scrape),
  createSpec('alerts of a namespace', alerting),
  createSpec('unknown fields are dropped', service, { color: 1, endpoints: [{ port: 'a', color: 2 }] }),
  {
    title: 'a strict creation names unknown fields',
    of: service,
    steps: [
      { do: 'create', strict: true, with: { spec: { color: 1, endpoints: [{ port: 'a', color: 2 }] } } },
    ],
  },
  {
    title: 'a Prometheus is scaled by its shards',
    of: prometheus,
    steps: [
      { do: 'create', with: { spec: { shards: 1 } } },
      { do: 'scale', replicas: 3 },
      {
        do: 'status',
        with: {
          status: {
            paused: false,
            replicas: 2,
            updatedReplicas: 2,
            availableReplicas: 1,
            unavailableReplicas: 1,
            shards: 3,
            selector: 'app=prometheus',
          },
        },
      },
      { do: 'scale', replicas: 1 },
    ],
  },
  {
    title: 'a Prometheus without shards has none to scale',
    of: prometheus,
    steps: [{ do: 'create' }, { do: 'scale', replicas: 2 }],
  },
  {
    title: 'columns of a Prometheus',
    of: prometheus,
    steps: [{ do: 'create', with: { spec: { version: 'v3.0.0', paused: true } } }, { do: 'table' }],
  },
  create('a monitor without spec', service, { spec: null }),
  createSpec('a monitor without selector', service, { selector: null }),
  createSpec('a monitor with an interval out of form', service, {
    endpoints: [{ port: 'a', interval: '30' }],
  }),
  createSpec('a monitor with a negative limit and an empty class', service, {
    sampleLimit: -1,
    scrapeClass: '',
  }),
  createSpec('a monitor with a protocol twice', service, {
    scrapeProtocols: ['PrometheusProto', 'PrometheusProto'],
  }),
  createSpec('a monitor with an unknown protocol', service, { scrapeProtocols: ['Telepathy'] }),
  createSpec('a monitor whose selector lacks an operator', service, {
    selector: { matchExpressions: [{ key: 'a' }] },
  }),
  createSpec('a monitor of a port that is neither number nor text', service, {
    endpoints: [{ targetPort: true }],
  }),
  createSpec('a monitor of pods on a port too high', pod, { podMetricsEndpoints: [{ portNumber: 65536 }] }),
  createSpec('a monitor of pods with a body of an odd size', pod, { bodySizeLimit: 'huge' }),
  createSpec('a rule of a group twice', rule, { groups: [{ name: 'a' }, { name: 'a' }] }),
  createSpec('a rule without expression', rule, { groups: [{ name: 'a', rules: [{ alert: 'A' }] }] }),
  createSpec('a rule in a group without name', rule, { groups: [{ rules: [] }] }),
  createSpec('a rule with a duration out of form', rule, {
    groups: [{ name: 'a', interval: '5 min', rules: [{ alert: 'A', expr: 'a', for: 'long' }] }],
  }),
  createSpec('a probe without its prober', probe, { prober: { url: '' } }),
  createSpec('a probe with empty parameters', probe, { params: [] }),
  createSpec('a Prometheus with an unknown level and policy', prometheus, {
    logLevel: 'loud',
    imagePullPolicy: 'Rarely',
  }),
  createSpec('a Prometheus with a port twice', prometheus, {
    containers: [{ name: 'a', ports: [{ containerPort: 1 }, { containerPort: 1 }] }],
  }),
  createSpec('a Prometheus with amounts out of form', prometheus, {
    resources: { limits: { memory: 'much' } },
    walCompression: 'yes',
  }),
  createSpec('a scrape configuration with two ways to prove who asks', scrape, {
    basicAuth: { username: key },
    authorization: { credentials: key },
  }),
  createSpec('a scrape configuration of an unknown role', scrape, {
    kubernetesSDConfigs: [{ role: 'Moon' }],
  }),
  createSpec('alerts to a receiver twice', alerting, { receivers: [{ name: 'a' }, { name: 'a' }] }),
  createSpec('alerts to a page without its key', alerting, {
    receivers: [{ name: 'a', opsgenieConfigs: [{ responders: [{ type: 'user' }] }] }],
  }),
  changeSpec('a monitor may be changed to what its schema allows', service, { jobLabel: 'app' }),
];
