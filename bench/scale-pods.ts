// The objects of the benchmarks: nodes, pods and statuses as they are in real clusters.

export const nodeName = (i: number): string => `bench-${i}`;
const now = (): string => new Date().toISOString().replace(/\.\d+Z/, 'Z');

/** Conditions of a node whose kubelet is well. */
export const nodeConditions = (): object[] =>
  ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'Ready'].map((type) => ({
    type,
    status: type === 'Ready' ? 'True' : 'False',
    reason: `Kubelet${type}`,
    message: `kubelet has told about ${type}`,
    lastHeartbeatTime: now(),
    lastTransitionTime: now(),
  }));

export function nodeBody(i: number): string {
  const amounts = { cpu: '64', memory: '256Gi', pods: '110', 'ephemeral-storage': '900Gi' };
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: nodeName(i), labels: { 'kubernetes.io/hostname': nodeName(i), zone: `zone-${i % 3}` } },
    status: {
      capacity: amounts,
      allocatable: amounts,
      addresses: [{ type: 'InternalIP', address: `10.${i >> 8}.${i & 255}.1` }],
      conditions: nodeConditions(),
      nodeInfo: {
        machineID: nodeName(i),
        systemUUID: nodeName(i),
        bootID: nodeName(i),
        kernelVersion: '6.18',
        osImage: 'Debian',
        containerRuntimeVersion: 'containerd://2.0.0',
        kubeletVersion: 'v1.36.0',
        kubeProxyVersion: '',
        operatingSystem: 'linux',
        architecture: 'amd64',
      },
      images: Array.from({ length: 20 }, (_, n) => ({
        names: [`registry.example.org/team/image-${n}:v1.${n}`],
        sizeBytes: 50_000_000 + n,
      })),
    },
  });
}

const env = Array.from({ length: 12 }, (_, i) => ({
  name: `SETTING_${i}`,
  value: `value of setting number ${i}`,
}));

/** A pod as a Deployment makes them, with probes, settings and a volume. */
export function podBody(name: string, namespace: string, node: string | undefined): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      labels: { app: name.replace(/-\d+$/, ''), 'app.kubernetes.io/part-of': 'bench', version: 'v1' },
      annotations: { 'prometheus.io/scrape': 'true', 'checksum/config': 'f'.repeat(64) },
    },
    spec: {
      ...(node === undefined ? {} : { nodeName: node }),
      containers: [
        {
          name: 'main',
          image: 'registry.example.org/team/image-1:v1.1',
          ports: [{ name: 'http', containerPort: 8080 }],
          env,
          resources: { requests: { cpu: '100m', memory: '64Mi' }, limits: { memory: '256Mi' } },
          readinessProbe: { httpGet: { path: '/ready', port: 'http' }, periodSeconds: 5 },
          livenessProbe: { httpGet: { path: '/live', port: 'http' }, periodSeconds: 10 },
          volumeMounts: [{ name: 'config', mountPath: '/etc/config' }],
        },
      ],
      volumes: [{ name: 'config', configMap: { name: 'config', optional: true } }],
    },
  });
}

/** The status that a kubelet writes once a pod runs. */
export function runningStatus(i: number): string {
  const at = now();
  return JSON.stringify({
    status: {
      phase: 'Running',
      hostIP: '10.0.0.1',
      podIP: `10.${128 + ((i >> 16) & 127)}.${(i >> 8) & 255}.${i & 255}`,
      podIPs: [{ ip: `10.${128 + ((i >> 16) & 127)}.${(i >> 8) & 255}.${i & 255}` }],
      startTime: at,
      conditions: [
        'PodReadyToStartContainers',
        'Initialized',
        'Ready',
        'ContainersReady',
        'PodScheduled',
      ].map((type) => ({ type, status: 'True', lastProbeTime: null, lastTransitionTime: at })),
      containerStatuses: [
        {
          name: 'main',
          image: 'registry.example.org/team/image-1:v1.1',
          imageID: `registry.example.org/team/image-1@sha256:${'a'.repeat(64)}`,
          containerID: `containerd://${'b'.repeat(64)}`,
          ready: true,
          started: true,
          restartCount: 0,
          state: { running: { startedAt: at } },
        },
      ],
    },
  });
}
