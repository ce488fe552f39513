/** Valid objects by `group/Kind` of kinds that the strategies' own samples hold too little of. */
import { samples as ofStrategies } from '../../packages/apiserver/src/registry/strategies/samples.ts';

type Sample = Record<string, unknown>;
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
/** Matches nothing that the tests send. */
const ruleOfNothing = {
  operations: ['CREATE', 'UPDATE'],
  apiGroups: ['nothing.example.com'],
  apiVersions: ['v1'],
  resources: ['things', 'things/status'],
  scope: 'Namespaced',
};
const webhook = {
  name: 'a.example.com',
  clientConfig: { service: { namespace: 'default', name: 'hook', path: '/hook', port: 443 } },
  sideEffects: 'None',
  admissionReviewVersions: ['v1', 'v1beta1'],
  rules: [ruleOfNothing],
  failurePolicy: 'Ignore',
  matchPolicy: 'Exact',
  namespaceSelector: selector,
  objectSelector: selector,
  timeoutSeconds: 5,
  matchConditions: [{ name: 'always', expression: 'true' }],
};
const matchResources = {
  resourceRules: [{ ...ruleOfNothing, resourceNames: ['a'] }],
  excludeResourceRules: [ruleOfNothing],
  namespaceSelector: selector,
  objectSelector: selector,
  matchPolicy: 'Exact',
};
const deviceRequest = {
  name: 'gpu',
  exactly: {
    deviceClassName: 'gpu.example.com',
    selectors: [{ cel: { expression: 'device.driver == "gpu.example.com"' } }],
    allocationMode: 'ExactCount',
    count: 2,
    tolerations: [
      { key: 'example.com/a', operator: 'Equal', value: 'b', effect: 'NoExecute', tolerationSeconds: 5 },
    ],
  },
};
const claimSpec = {
  devices: {
    requests: [
      deviceRequest,
      {
        name: 'either',
        firstAvailable: [
          { name: 'large', deviceClassName: 'gpu.example.com', allocationMode: 'All' },
          { name: 'small', deviceClassName: 'gpu.example.com', allocationMode: 'ExactCount', count: 1 },
        ],
      },
    ],
    constraints: [{ requests: ['gpu'], matchAttribute: 'example.com/numa' }],
    config: [
      {
        requests: ['gpu'],
        opaque: { driver: 'gpu.example.com', parameters: { apiVersion: 'v1', kind: 'GpuConfig' } },
      },
    ],
  },
};

/** A real request of a kubelet for its serving certificate; upstream parses it. */
const certificateRequest = [
  'LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlJQkV6Q0J1Z0lCQURBME1SVXdFd1lEVlFRS0RBeHplWE4w',
  'WlcwNmJtOWtaWE14R3pBWkJnTlZCQU1NRW5ONQpjM1JsYlRwdWIyUmxPbTV2WkdVdFlUQlpNQk1HQnlxR1NNNDlBZ0VHQ0Nx',
  'R1NNNDlBd0VIQTBJQUJNakNRUjkxClJsLzc0OWFZMzh5eUVTOU8vYlNibVA5Rno2NWVUZzRwcC9Kbis0SlU2ZDFuUHQzcXFm',
  'Tk5Fa3ByWmpYR0NYaWgKTnBZM1J6Y0pYQVNnZ2R1Z0pEQWlCZ2txaGtpRzl3MEJDUTR4RlRBVE1CRUdBMVVkRVFRS01BaUNC',
  'bTV2WkdVdApZVEFLQmdncWhrak9QUVFEQWdOSUFEQkZBaUVBaUxLSDIzbDFxRlFZQTJMK0JRY2RJSi9GaEtlRWpkdmRCZ3c1',
  'CkRyYWlET3NDSUE2U1FNQnJZOC9Pems3QitrTHU0REwyTC85VllzVWlla3Y5Z3hmckUrYWoKLS0tLS1FTkQgQ0VSVElGSUNB',
  'VEUgUkVRVUVTVC0tLS0tCg==',
].join('');
const pod = ofStrategies['/Pod'] as unknown as { metadata: object; spec: Sample };
const job = ofStrategies['batch/Job'] as unknown as { spec: Sample };
const { overhead: _overhead, ...podSpec } = pod.spec;

const others: Record<string, Sample> = {
  // Without what admission adds, so that an update sends all that is there.
  '/Pod': { metadata: pod.metadata, spec: { ...podSpec, automountServiceAccountToken: false } },
  'batch/Job': {
    metadata,
    spec: { ...job.spec, manualSelector: true, selector: { matchLabels: { app: 'web' } } },
  },
  'certificates.k8s.io/CertificateSigningRequest': {
    metadata: clusterMetadata,
    spec: {
      request: certificateRequest,
      signerName: 'kubernetes.io/kubelet-serving',
      usages: ['digital signature', 'server auth'],
      expirationSeconds: 3600,
    },
  },
  'admissionregistration.k8s.io/MutatingWebhookConfiguration': {
    metadata: clusterMetadata,
    webhooks: [{ ...webhook, reinvocationPolicy: 'IfNeeded' }],
  },
  'admissionregistration.k8s.io/ValidatingWebhookConfiguration': {
    metadata: clusterMetadata,
    webhooks: [
      webhook,
      { ...webhook, name: 'b.example.com', clientConfig: { url: 'https://hook.example.com/a' } },
    ],
  },
  'admissionregistration.k8s.io/ValidatingAdmissionPolicy': {
    metadata: clusterMetadata,
    spec: {
      paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
      matchConstraints: matchResources,
      validations: [
        {
          expression: 'object.metadata.name != "a"',
          message: 'not a',
          reason: 'Forbidden',
          messageExpression: '"not " + object.metadata.name',
        },
      ],
      failurePolicy: 'Ignore',
      matchConditions: [{ name: 'always', expression: 'true' }],
      variables: [{ name: 'who', expression: 'object.metadata.name' }],
      auditAnnotations: [{ key: 'who', valueExpression: '"x"' }],
    },
  },
  'admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding': {
    metadata: clusterMetadata,
    spec: {
      policyName: 'policy.example.com',
      paramRef: { name: 'params', namespace: 'default', parameterNotFoundAction: 'Allow' },
      matchResources,
      validationActions: ['Warn', 'Audit'],
    },
  },
  'admissionregistration.k8s.io/MutatingAdmissionPolicy': {
    metadata: clusterMetadata,
    spec: {
      matchConstraints: matchResources,
      mutations: [
        { patchType: 'ApplyConfiguration', applyConfiguration: { expression: 'Object{}' } },
        {
          patchType: 'JSONPatch',
          jsonPatch: { expression: '[JSONPatch{op: "test", path: "/a", value: 1}]' },
        },
      ],
      failurePolicy: 'Ignore',
      reinvocationPolicy: 'IfNeeded',
    },
  },
  'admissionregistration.k8s.io/MutatingAdmissionPolicyBinding': {
    metadata: clusterMetadata,
    spec: { policyName: 'policy.example.com', matchResources },
  },
  'apiregistration.k8s.io/APIService': {
    metadata: { name: 'v1.nothing.example.com' },
    spec: {
      group: 'nothing.example.com',
      version: 'v1',
      groupPriorityMinimum: 1000,
      versionPriority: 15,
      insecureSkipTLSVerify: true,
      service: { name: 'nothing', namespace: 'default', port: 443 },
    },
  },
  'apiextensions.k8s.io/CustomResourceDefinition': {
    metadata: { name: 'samples.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: {
        plural: 'samples',
        singular: 'sample',
        kind: 'Sample',
        listKind: 'SampleList',
        shortNames: ['smp'],
      },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: {
            openAPIV3Schema: {
              type: 'object',
              properties: { spec: { type: 'object', properties: { size: { type: 'integer', minimum: 0 } } } },
            },
          },
          additionalPrinterColumns: [{ name: 'Size', type: 'integer', jsonPath: '.spec.size' }],
        },
      ],
    },
  },
  'autoscaling/HorizontalPodAutoscaler': {
    metadata,
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
      minReplicas: 2,
      maxReplicas: 5,
      metrics: [
        {
          type: 'Resource',
          resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } },
        },
        {
          type: 'ContainerResource',
          containerResource: {
            name: 'memory',
            container: 'main',
            target: { type: 'AverageValue', averageValue: '1Gi' },
          },
        },
        {
          type: 'Pods',
          pods: { metric: { name: 'hits', selector }, target: { type: 'AverageValue', averageValue: '10' } },
        },
        {
          type: 'Object',
          object: {
            describedObject: { apiVersion: 'v1', kind: 'Service', name: 'web' },
            metric: { name: 'hits' },
            target: { type: 'Value', value: '10' },
          },
        },
        {
          type: 'External',
          external: { metric: { name: 'queue' }, target: { type: 'Value', value: '10' } },
        },
      ],
      behavior: {
        scaleUp: {
          stabilizationWindowSeconds: 10,
          selectPolicy: 'Min',
          policies: [{ type: 'Pods', value: 4, periodSeconds: 60 }],
        },
        scaleDown: { policies: [{ type: 'Percent', value: 10, periodSeconds: 60 }] },
      },
    },
  },
  'certificates.k8s.io/ClusterTrustBundle': { metadata: clusterMetadata, spec: { trustBundle: '' } },
  'coordination.k8s.io/Lease': {
    metadata,
    spec: {
      holderIdentity: 'a',
      leaseDurationSeconds: 15,
      acquireTime: '2026-01-01T00:00:00.000000Z',
      renewTime: '2026-01-01T00:00:05.000000Z',
      leaseTransitions: 1,
    },
  },
  'coordination.k8s.io/LeaseCandidate': {
    metadata,
    spec: {
      leaseName: 'a',
      binaryVersion: '1.36.0',
      emulationVersion: '1.36.0',
      strategy: 'OldestEmulationVersion',
      pingTime: '2026-01-01T00:00:00.000000Z',
      renewTime: '2026-01-01T00:00:05.000000Z',
    },
  },
  'discovery.k8s.io/EndpointSlice': {
    metadata,
    addressType: 'IPv4',
    endpoints: [
      {
        addresses: ['192.0.2.1'],
        conditions: { ready: true, serving: true, terminating: false },
        hostname: 'a',
        targetRef: { kind: 'Pod', namespace: 'default', name: 'web' },
        nodeName: 'node-a',
        zone: 'z',
        hints: { forZones: [{ name: 'z' }] },
        deprecatedTopology: { 'example.com/rack': 'r' },
      },
    ],
    ports: [{ name: 'http', port: 80, protocol: 'TCP', appProtocol: 'http' }],
  },
  'events.k8s.io/Event': {
    metadata: { ...metadata, name: 'sample-of-events' },
    eventTime: '2026-01-01T00:00:00.000000Z',
    reportingController: 'example.com/controller',
    reportingInstance: 'controller-1',
    action: 'Started',
    reason: 'Started',
    regarding: { kind: 'Pod', namespace: 'default', name: 'web' },
    note: 'Started container',
    type: 'Normal',
    series: { count: 2, lastObservedTime: '2026-01-01T00:00:00.000000Z' },
  },
  'flowcontrol.apiserver.k8s.io/FlowSchema': {
    metadata: clusterMetadata,
    spec: {
      priorityLevelConfiguration: { name: 'workload-low' },
      matchingPrecedence: 9000,
      distinguisherMethod: { type: 'ByUser' },
      rules: [
        {
          subjects: [
            { kind: 'User', user: { name: 'nobody' } },
            { kind: 'Group', group: { name: 'nobodies' } },
            { kind: 'ServiceAccount', serviceAccount: { name: 'nobody', namespace: 'default' } },
          ],
          resourceRules: [{ verbs: ['get'], apiGroups: [''], resources: ['pods'], namespaces: ['default'] }],
          nonResourceRules: [{ verbs: ['get'], nonResourceURLs: ['/nothing'] }],
        },
      ],
    },
  },
  'flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration': {
    metadata: clusterMetadata,
    spec: {
      type: 'Limited',
      limited: {
        nominalConcurrencyShares: 1,
        lendablePercent: 10,
        borrowingLimitPercent: 20,
        limitResponse: { type: 'Queue', queuing: { queues: 16, handSize: 4, queueLengthLimit: 10 } },
      },
    },
  },
  'internal.apiserver.k8s.io/StorageVersion': {
    metadata: { name: 'nothing.example.com.things' },
    spec: {},
  },
  'networking.k8s.io/IPAddress': {
    metadata: { name: '10.96.0.77' },
    spec: { parentRef: { group: '', resource: 'services', namespace: 'default', name: 'nothing' } },
  },
  // Of a family that no Service has: in a dry run upstream takes an address from whichever range its map gives first.
  'networking.k8s.io/ServiceCIDR': {
    metadata: clusterMetadata,
    spec: { cidrs: ['fd00::/112'] },
  },
  'networking.k8s.io/NetworkPolicy': {
    metadata,
    spec: {
      podSelector: selector,
      policyTypes: ['Ingress', 'Egress'],
      ingress: [
        {
          from: [{ podSelector: selector, namespaceSelector: selector }, { namespaceSelector: selector }],
          ports: [{ port: 80, endPort: 90, protocol: 'TCP' }, { port: 'http' }],
        },
      ],
      egress: [{ to: [{ ipBlock: { cidr: '192.0.2.0/24', except: ['192.0.2.128/25'] } }] }],
    },
  },
  'node.k8s.io/RuntimeClass': {
    metadata: clusterMetadata,
    handler: 'runc',
    overhead: { podFixed: { cpu: '250m' } },
    scheduling: {
      nodeSelector: { disk: 'ssd' },
      tolerations: [{ key: 'a', operator: 'Equal', value: 'b', effect: 'NoSchedule' }],
    },
  },
  'policy/PodDisruptionBudget': {
    metadata,
    spec: { maxUnavailable: '10%', selector, unhealthyPodEvictionPolicy: 'AlwaysAllow' },
  },
  'resource.k8s.io/DeviceClass': {
    metadata: clusterMetadata,
    spec: {
      selectors: [{ cel: { expression: 'device.driver == "gpu.example.com"' } }],
      config: [{ opaque: { driver: 'gpu.example.com', parameters: { a: 'b' } } }],
    },
  },
  'resource.k8s.io/ResourceClaim': { metadata, spec: claimSpec },
  'resource.k8s.io/ResourceClaimTemplate': {
    metadata,
    spec: { metadata: { labels: { app: 'web' } }, spec: claimSpec },
  },
  'resource.k8s.io/ResourceSlice': {
    metadata: clusterMetadata,
    spec: {
      driver: 'gpu.example.com',
      pool: { name: 'pool-a', generation: 1, resourceSliceCount: 1 },
      nodeName: 'node-a',
      devices: [
        {
          name: 'gpu-0',
          attributes: {
            model: { string: 'a100' },
            'example.com/numa': { int: 1 },
            fast: { bool: true },
            driverVersion: { version: '1.2.3' },
          },
          capacity: { memory: { value: '40Gi' } },
        },
      ],
    },
  },
  'resource.k8s.io/DeviceTaintRule': {
    metadata: clusterMetadata,
    spec: {
      deviceSelector: { driver: 'gpu.example.com', pool: 'pool-a', device: 'gpu-0' },
      taint: { key: 'example.com/broken', value: 'yes', effect: 'NoExecute' },
    },
  },
  'scheduling.k8s.io/PriorityClass': {
    metadata: clusterMetadata,
    value: 1000,
    description: 'a thousand',
    preemptionPolicy: 'Never',
  },
  'storage.k8s.io/CSIDriver': {
    metadata: { name: 'csi.example.com' },
    spec: {
      attachRequired: true,
      podInfoOnMount: true,
      volumeLifecycleModes: ['Persistent', 'Ephemeral'],
      storageCapacity: true,
      fsGroupPolicy: 'File',
      tokenRequests: [{ audience: 'a', expirationSeconds: 3600 }],
      requiresRepublish: true,
      seLinuxMount: true,
    },
  },
  'storage.k8s.io/CSINode': {
    metadata: clusterMetadata,
    spec: {
      drivers: [
        {
          name: 'csi.example.com',
          nodeID: 'b',
          topologyKeys: ['example.com/zone'],
          allocatable: { count: 5 },
        },
      ],
    },
  },
  'storage.k8s.io/CSIStorageCapacity': {
    metadata,
    storageClassName: 'fast',
    capacity: '1Gi',
    maximumVolumeSize: '1Gi',
    nodeTopology: selector,
  },
  'storage.k8s.io/StorageClass': {
    metadata: clusterMetadata,
    provisioner: 'example.com/fast',
    parameters: { a: 'b' },
    reclaimPolicy: 'Retain',
    mountOptions: ['ro'],
    allowVolumeExpansion: true,
    volumeBindingMode: 'WaitForFirstConsumer',
    allowedTopologies: [{ matchLabelExpressions: [{ key: 'zone', values: ['a', 'b'] }] }],
  },
  'storage.k8s.io/VolumeAttachment': {
    metadata: clusterMetadata,
    spec: { attacher: 'csi.example.com', nodeName: 'node-b', source: { persistentVolumeName: 'c' } },
  },
  'storage.k8s.io/VolumeAttributesClass': {
    metadata: clusterMetadata,
    driverName: 'csi.example.com',
    parameters: { b: 'c' },
  },
  'storagemigration.k8s.io/StorageVersionMigration': {
    metadata: clusterMetadata,
    spec: { resource: { group: '', resource: 'configmaps' } },
  },
};

const withoutUid = ({ metadata: own, ...rest }: { metadata: object }): Sample => {
  const { uid: _uid, ...kept } = own as { uid?: string };
  return { metadata: kept, ...rest };
};

const balanced = ofStrategies['/Service'] as { spec?: object };

/** By `group/Kind`. A kind without one gets a bare object with a name. */
export const samples: Readonly<Record<string, Sample>> = {
  ...Object.fromEntries(Object.entries(ofStrategies).map(([key, object]) => [key, withoutUid(object)])),
  // Node ports are given on both servers when they are asked for.
  '/Service': { ...balanced, spec: { ...balanced.spec, allocateLoadBalancerNodePorts: true } },
  ...others,
};

/** Names of second objects of kinds in which any name will not do. */
export const secondNames: Readonly<Record<string, string>> = {
  'networking.k8s.io/IPAddress': '10.96.0.78',
  'storage.k8s.io/CSIDriver': 'other.csi.example.com',
  'apiregistration.k8s.io/APIService': 'v2.nothing.example.com',
  'apiextensions.k8s.io/CustomResourceDefinition': 'samples.example.com',
  'internal.apiserver.k8s.io/StorageVersion': 'nothing.example.com.others',
};
