/** One full, valid object per kind, for tests: every rule has something to look at. */
import type { KubeObject } from '@cloudless/kube/object';

const metadata = {
  name: 'sample',
  namespace: 'default',
  labels: { app: 'web' },
  annotations: { 'example.com/a': 'b' },
};
const clusterMetadata = { name: 'sample', labels: { app: 'web' } };
const selector = {
  matchLabels: { app: 'web' },
  matchExpressions: [{ key: 'app', operator: 'In', values: ['web'] }],
};

const container = {
  name: 'main',
  image: 'registry.example.com/web:1.0',
  command: ['web'],
  ports: [{ name: 'http', containerPort: 8080, hostPort: 8080, protocol: 'TCP' }],
  env: [
    { name: 'A', value: '1' },
    { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
    { name: 'LABEL', valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
    { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1m' } } },
    { name: 'CONFIG', valueFrom: { configMapKeyRef: { name: 'config', key: 'a.b' } } },
    { name: 'SECRET', valueFrom: { secretKeyRef: { name: 'secret', key: 'c' } } },
  ],
  envFrom: [{ prefix: 'X_', configMapRef: { name: 'config' } }, { secretRef: { name: 'secret' } }],
  resources: {
    requests: { cpu: '100m', memory: '64Mi' },
    limits: { cpu: '1', memory: '128Mi', 'example.com/gpu': '1' },
  },
  volumeMounts: [
    { name: 'empty', mountPath: '/empty' },
    { name: 'config', mountPath: '/config', subPath: 'a', readOnly: true, recursiveReadOnly: 'Enabled' },
  ],
  livenessProbe: {
    httpGet: { port: 'http', httpHeaders: [{ name: 'X-A', value: 'b' }] },
    terminationGracePeriodSeconds: 5,
  },
  readinessProbe: { tcpSocket: { port: 8080 }, successThreshold: 2 },
  startupProbe: { grpc: { port: 8080 } },
  lifecycle: { preStop: { sleep: { seconds: 5 } }, postStart: { exec: { command: ['true'] } } },
  securityContext: {
    runAsUser: 1000,
    runAsGroup: 1000,
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
    appArmorProfile: { type: 'Localhost', localhostProfile: 'web' },
  },
};

const volumes = [
  { name: 'empty', emptyDir: { sizeLimit: '1Gi' } },
  { name: 'config', configMap: { name: 'config', items: [{ key: 'a', path: 'b/c', mode: 0o600 }] } },
  { name: 'secret', secret: { secretName: 'secret', defaultMode: 0o400 } },
  { name: 'host', hostPath: { path: '/data', type: 'Directory' } },
  { name: 'claim', persistentVolumeClaim: { claimName: 'data' } },
  { name: 'down', downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
  {
    name: 'all',
    projected: {
      sources: [
        { serviceAccountToken: { path: 'token', expirationSeconds: 3607 } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        { downwardAPI: { items: [{ path: 'ns', fieldRef: { fieldPath: 'metadata.namespace' } }] } },
      ],
    },
  },
];

const affinity = {
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchExpressions: [{ key: 'disk', operator: 'In', values: ['ssd'] }] }],
    },
    preferredDuringSchedulingIgnoredDuringExecution: [
      { weight: 10, preference: { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['a'] }] } },
    ],
  },
  podAntiAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: [
      {
        topologyKey: 'kubernetes.io/hostname',
        labelSelector: selector,
        matchLabelKeys: ['pod-template-hash'],
      },
    ],
    preferredDuringSchedulingIgnoredDuringExecution: [
      {
        weight: 1,
        podAffinityTerm: { topologyKey: 'zone', labelSelector: selector, namespaces: ['default'] },
      },
    ],
  },
};

const podSpec = {
  serviceAccountName: 'web',
  containers: [container],
  initContainers: [
    { name: 'setup', image: 'setup:1.0' },
    {
      name: 'sidecar',
      image: 'sidecar:1.0',
      restartPolicy: 'Always',
      readinessProbe: { exec: { command: ['ok'] } },
    },
  ],
  volumes,
  affinity,
  tolerations: [
    { key: 'a', operator: 'Equal', value: 'b', effect: 'NoExecute', tolerationSeconds: 300 },
    { operator: 'Exists' },
  ],
  topologySpreadConstraints: [
    {
      maxSkew: 1,
      topologyKey: 'zone',
      whenUnsatisfiable: 'DoNotSchedule',
      minDomains: 2,
      labelSelector: selector,
    },
  ],
  nodeSelector: { disk: 'ssd' },
  securityContext: {
    fsGroup: 2000,
    supplementalGroups: [3000],
    sysctls: [{ name: 'net.core.somaxconn', value: '1' }],
  },
  dnsPolicy: 'None',
  dnsConfig: {
    nameservers: ['192.0.2.1'],
    searches: ['example.com'],
    options: [{ name: 'ndots', value: '2' }],
  },
  hostAliases: [{ ip: '192.0.2.1', hostnames: ['a.example.com'] }],
  imagePullSecrets: [{ name: 'pull' }],
  priorityClassName: 'high',
  overhead: { cpu: '10m' },
  readinessGates: [{ conditionType: 'example.com/ready' }],
  hostname: 'web',
  subdomain: 'web',
  os: { name: 'linux' },
  activeDeadlineSeconds: 100,
};
const { activeDeadlineSeconds: _, ...endlessSpec } = podSpec;
const template = { metadata: { labels: { app: 'web', 'pod-template-hash': 'x' } }, spec: endlessSpec };
const jobTemplate = { metadata: { labels: { app: 'web' } }, spec: { ...podSpec, restartPolicy: 'Never' } };

const claimSpec = {
  accessModes: ['ReadWriteOnce'],
  resources: { requests: { storage: '1Gi' } },
  storageClassName: 'fast',
};
const clientConfig = { service: { namespace: 'default', name: 'hook' } };
const matchConstraints = {
  resourceRules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }],
};
const webhook = {
  name: 'a.example.com',
  clientConfig,
  sideEffects: 'None',
  admissionReviewVersions: ['v1'],
  rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }],
};
const request = Buffer.from(
  '-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n',
).toString('base64');

export const samples: Readonly<Record<string, KubeObject>> = {
  '/ConfigMap': { metadata, data: { 'a.b': 'c' }, binaryData: { d: 'AAA=' } },
  '/Endpoints': { metadata, subsets: [{ addresses: [{ ip: '192.0.2.1' }], ports: [{ port: 80 }] }] },
  '/Event': {
    metadata,
    involvedObject: { kind: 'Pod', namespace: 'default', name: 'web' },
    reason: 'Started',
    message: 'Started container',
    type: 'Normal',
    count: 3,
    firstTimestamp: '2026-01-01T00:00:00Z',
    lastTimestamp: '2026-01-01T00:05:00Z',
    source: { component: 'kubelet', host: 'node' },
  },
  '/LimitRange': {
    metadata,
    spec: { limits: [{ type: 'Container', max: { cpu: '2' }, min: { cpu: '100m' }, default: { cpu: '1' } }] },
  },
  '/Namespace': { metadata: { name: 'sample' }, spec: { finalizers: ['kubernetes'] } },
  '/Node': {
    metadata: { ...clusterMetadata, labels: { 'node-role.kubernetes.io/control-plane': '' } },
    spec: { podCIDRs: ['10.0.0.0/24'], taints: [{ key: 'a', value: 'b', effect: 'NoSchedule' }] },
    status: {
      capacity: { cpu: '4', memory: '8Gi', pods: '110' },
      conditions: [{ type: 'Ready', status: 'True' }],
      addresses: [{ type: 'InternalIP', address: '192.0.2.1' }],
    },
  },
  '/PersistentVolume': {
    metadata: clusterMetadata,
    spec: {
      capacity: { storage: '1Gi' },
      accessModes: ['ReadWriteOnce'],
      local: { path: '/data' },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: ['a'] }] },
          ],
        },
      },
    },
  },
  '/PersistentVolumeClaim': { metadata, spec: claimSpec },
  '/Pod': { metadata, spec: podSpec },
  '/PodTemplate': { metadata, template },
  '/ReplicationController': { metadata, spec: { replicas: 2, template } },
  '/ResourceQuota': {
    metadata,
    spec: { hard: { pods: '10', 'requests.cpu': '4' }, scopes: ['NotTerminating'] },
    status: { hard: { pods: '10', 'limits.cpu': '1' }, used: { pods: '1' } },
  },
  '/Secret': { metadata, type: 'kubernetes.io/basic-auth', stringData: { username: 'a', password: 'b' } },
  '/Service': {
    metadata,
    spec: {
      type: 'LoadBalancer',
      ports: [
        { name: 'http', port: 80, targetPort: 'http', appProtocol: 'example.com/http' },
        { name: 'dns', port: 53, protocol: 'UDP' },
      ],
      selector: { app: 'web' },
      sessionAffinity: 'ClientIP',
      clusterIP: '10.96.0.10',
      clusterIPs: ['10.96.0.10'],
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      externalIPs: ['192.0.2.7'],
      loadBalancerSourceRanges: ['192.0.2.0/24'],
      loadBalancerClass: 'example.com/lb',
    },
    status: { loadBalancer: { ingress: [{ ip: '192.0.2.8' }] } },
  },
  '/ServiceAccount': { metadata, secrets: [{ name: 'a' }] },
  'admissionregistration.k8s.io/MutatingAdmissionPolicy': {
    metadata: clusterMetadata,
    spec: {
      mutations: [
        {
          patchType: 'JSONPatch',
          jsonPatch: { expression: '[JSONPatch{op: "remove", path: "/metadata/labels/a"}]' },
        },
      ],
      reinvocationPolicy: 'Never',
      matchConstraints,
    },
  },
  'admissionregistration.k8s.io/MutatingAdmissionPolicyBinding': {
    metadata: clusterMetadata,
    spec: { policyName: 'a', paramRef: { name: 'b', parameterNotFoundAction: 'Deny' } },
  },
  'admissionregistration.k8s.io/MutatingWebhookConfiguration': {
    metadata: clusterMetadata,
    webhooks: [webhook],
  },
  'admissionregistration.k8s.io/ValidatingAdmissionPolicy': {
    metadata: clusterMetadata,
    spec: {
      validations: [{ expression: 'true' }],
      paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
      matchConstraints,
    },
  },
  'admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding': {
    metadata: clusterMetadata,
    spec: {
      policyName: 'a',
      paramRef: { selector, parameterNotFoundAction: 'Allow' },
      validationActions: ['Deny'],
    },
  },
  'admissionregistration.k8s.io/ValidatingWebhookConfiguration': {
    metadata: clusterMetadata,
    webhooks: [webhook],
  },
  'apiextensions.k8s.io/CustomResourceDefinition': {
    metadata: { name: 'samples.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'samples', singular: 'sample', kind: 'Sample', listKind: 'SampleList' },
      versions: [
        { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } },
      ],
    },
  },
  'apiregistration.k8s.io/APIService': {
    metadata: { name: 'v1.metrics.example.com' },
    spec: {
      group: 'metrics.example.com',
      version: 'v1',
      groupPriorityMinimum: 100,
      versionPriority: 10,
      service: { namespace: 'default', name: 'metrics' },
    },
  },
  'apps/ControllerRevision': { metadata, data: { a: 1 }, revision: 2 },
  'apps/DaemonSet': { metadata, spec: { selector, template } },
  'apps/Deployment': { metadata, spec: { replicas: 3, selector, template } },
  'apps/ReplicaSet': { metadata, spec: { replicas: 3, selector, template } },
  'apps/StatefulSet': {
    metadata,
    spec: {
      serviceName: 'web',
      selector,
      template,
      volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: claimSpec }],
    },
  },
  'autoscaling/HorizontalPodAutoscaler': {
    metadata,
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
      maxReplicas: 5,
      behavior: {},
    },
  },
  'batch/CronJob': {
    metadata,
    spec: {
      schedule: '*/5 0-6/2 1,15 jan-mar mon',
      timeZone: 'Europe/Berlin',
      jobTemplate: { spec: { template: jobTemplate } },
    },
  },
  'batch/Job': { metadata: { ...metadata, uid: 'u-1' }, spec: { template: jobTemplate, backoffLimit: 3 } },
  'certificates.k8s.io/CertificateSigningRequest': {
    metadata: clusterMetadata,
    spec: {
      request,
      signerName: 'kubernetes.io/kubelet-serving',
      usages: ['server auth'],
      expirationSeconds: 3600,
    },
  },
  'certificates.k8s.io/ClusterTrustBundle': { metadata: clusterMetadata, spec: { trustBundle: '' } },
  'certificates.k8s.io/PodCertificateRequest': {
    metadata,
    spec: { podName: 'a', signerName: 'example.com/a' },
  },
  'coordination.k8s.io/Lease': { metadata, spec: { holderIdentity: 'a', leaseDurationSeconds: 15 } },
  'coordination.k8s.io/LeaseCandidate': { metadata, spec: { leaseName: 'a', binaryVersion: '1.0' } },
  'discovery.k8s.io/EndpointSlice': {
    metadata,
    addressType: 'IPv4',
    endpoints: [
      {
        addresses: ['192.0.2.1'],
        conditions: { ready: true },
        nodeName: 'a',
        hints: { forZones: [{ name: 'z' }] },
      },
    ],
    ports: [{ name: 'http', port: 80 }],
  },
  'flowcontrol.apiserver.k8s.io/FlowSchema': {
    metadata: clusterMetadata,
    spec: { priorityLevelConfiguration: { name: 'a' } },
  },
  'flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration': {
    metadata: clusterMetadata,
    spec: { type: 'Limited', limited: { limitResponse: { type: 'Queue', queuing: {} } } },
  },
  'internal.apiserver.k8s.io/StorageVersion': {
    metadata: clusterMetadata,
    spec: {},
    status: { storageVersions: [{ apiServerID: 'a', encodingVersion: 'v1', decodableVersions: ['v1'] }] },
  },
  'networking.k8s.io/IPAddress': {
    metadata: { name: '10.96.0.1' },
    spec: { parentRef: { group: '', resource: 'services', namespace: 'default', name: 'kubernetes' } },
  },
  'networking.k8s.io/Ingress': {
    metadata,
    spec: {
      ingressClassName: 'web',
      rules: [
        {
          host: '*.example.com',
          http: {
            paths: [
              { path: '/', pathType: 'Prefix', backend: { service: { name: 'web', port: { number: 80 } } } },
            ],
          },
        },
      ],
      tls: [{ hosts: ['a.example.com'], secretName: 'tls' }],
    },
  },
  'networking.k8s.io/IngressClass': {
    metadata: clusterMetadata,
    spec: { controller: 'example.com/web', parameters: { apiGroup: 'example.com', kind: 'Web', name: 'a' } },
  },
  'networking.k8s.io/NetworkPolicy': {
    metadata,
    spec: {
      podSelector: selector,
      ingress: [{ from: [{ podSelector: selector }], ports: [{ port: 80, endPort: 90 }] }],
      egress: [{ to: [{ ipBlock: { cidr: '192.0.2.0/24', except: ['192.0.2.128/25'] } }] }],
    },
  },
  'networking.k8s.io/ServiceCIDR': {
    metadata: clusterMetadata,
    spec: { cidrs: ['10.96.0.0/12', 'fd00::/112'] },
  },
  'node.k8s.io/RuntimeClass': {
    metadata: clusterMetadata,
    handler: 'runc',
    overhead: { podFixed: { cpu: '0.25' } },
  },
  'policy/PodDisruptionBudget': { metadata, spec: { maxUnavailable: '10%', selector } },
  'rbac.authorization.k8s.io/ClusterRole': {
    metadata: clusterMetadata,
    rules: [{ verbs: ['get'], nonResourceURLs: ['/healthz'] }],
    aggregationRule: { clusterRoleSelectors: [selector] },
  },
  'rbac.authorization.k8s.io/ClusterRoleBinding': {
    metadata: clusterMetadata,
    roleRef: { kind: 'ClusterRole', name: 'system:node' },
    subjects: [
      { kind: 'User', name: 'a' },
      { kind: 'ServiceAccount', name: 'b', namespace: 'default' },
    ],
  },
  'rbac.authorization.k8s.io/Role': {
    metadata,
    rules: [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }],
  },
  'rbac.authorization.k8s.io/RoleBinding': {
    metadata,
    roleRef: { kind: 'Role', name: 'a' },
    subjects: [{ kind: 'Group', name: 'b' }],
  },
  'resource.k8s.io/DeviceClass': {
    metadata: clusterMetadata,
    spec: {
      selectors: [{ cel: { expression: 'device.driver == "gpu.example.com"' } }],
      config: [{ opaque: { driver: 'gpu.example.com', parameters: { a: 'b' } } }],
    },
  },
  'resource.k8s.io/ResourceClaimTemplate': {
    metadata,
    spec: {
      metadata: { labels: { app: 'web' } },
      spec: { devices: { requests: [{ name: 'gpu', exactly: { deviceClassName: 'gpu.example.com' } }] } },
    },
  },
  'resource.k8s.io/ResourceClaim': { metadata, spec: {} },
  'resource.k8s.io/DeviceTaintRule': {
    metadata: clusterMetadata,
    spec: {
      deviceSelector: { driver: 'gpu.example.com', pool: 'pool-a', device: 'gpu-0' },
      taint: { key: 'example.com/broken', value: 'yes', effect: 'NoExecute' },
    },
  },
  'resource.k8s.io/ResourceSlice': {
    metadata: clusterMetadata,
    spec: {
      driver: 'gpu.example.com',
      pool: { name: 'pool-a', generation: 1, resourceSliceCount: 1 },
      perDeviceNodeSelection: true,
      devices: [
        {
          name: 'gpu-0',
          nodeName: 'node-a',
          attributes: { model: { string: 'a100' }, 'example.com/numa': { int: 1 }, v: { version: '1.2.3' } },
          allowMultipleAllocations: true,
          capacity: {
            memory: {
              value: '40Gi',
              requestPolicy: { default: '1Gi', validRange: { min: '1Gi', max: '8Gi', step: '1Gi' } },
            },
          },
          consumesCounters: [{ counterSet: 'memory', counters: { memory: { value: '40Gi' } } }],
          taints: [{ key: 'example.com/broken', effect: 'NoSchedule' }],
          bindingConditions: ['example.com/ready'],
          bindingFailureConditions: ['example.com/failed'],
        },
        { name: 'gpu-1', allNodes: true },
      ],
    },
  },
  'scheduling.k8s.io/PriorityClass': { metadata: clusterMetadata, value: 1000 },
  'storage.k8s.io/CSIDriver': { metadata: { name: 'csi.example.com' }, spec: {} },
  'storage.k8s.io/CSINode': { metadata: clusterMetadata, spec: { drivers: [{ name: 'a', nodeID: 'b' }] } },
  'storage.k8s.io/CSIStorageCapacity': { metadata, storageClassName: 'a', capacity: '1Gi' },
  'storage.k8s.io/StorageClass': {
    metadata: clusterMetadata,
    provisioner: 'example.com/fast',
    parameters: { a: 'b' },
  },
  'storage.k8s.io/VolumeAttachment': {
    metadata: clusterMetadata,
    spec: { attacher: 'a', nodeName: 'b', source: { persistentVolumeName: 'c' } },
  },
  'storage.k8s.io/VolumeAttributesClass': {
    metadata: clusterMetadata,
    driverName: 'a',
    parameters: { b: 'c' },
  },
} as unknown as Record<string, KubeObject>;
