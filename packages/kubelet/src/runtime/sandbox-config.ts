import type { Pod } from '@cloudless/kube/types/core-v1';
import { type Init, type PodSandboxConfig, Protocol } from '../cri/generated/types.ts';
import type { ResolverConfig } from '../environment/resolv-conf.ts';
import { identityOf } from '../naming/pod.ts';
import { podResources } from '../resources/amounts.ts';
import { linuxLimits } from '../resources/linux.ts';
import { sandboxSecurity } from '../security/context.ts';
import { labels } from './labels.ts';

export interface SandboxInput {
  pod: Pod;
  attempt: number;
  hostname: string;
  resolver: ResolverConfig;
  /** Folder of the pod's logs. */
  logFolder: string;
  /** In the form that the runtime's cgroup driver takes. */
  cgroupParent: string;
}

/** What RunPodSandbox is asked for (upstream: kuberuntime_sandbox.go generatePodSandboxConfig). */
export function sandboxConfig(input: SandboxInput): Init<PodSandboxConfig> {
  const { pod } = input;
  const { uid, namespace, name } = identityOf(pod);
  const spec = pod.spec;
  const hostNetwork = spec?.hostNetwork === true;
  const resources = podResources(pod);
  const limits = linuxLimits(resources.requests, resources.limits);
  return {
    metadata: { name, namespace, uid, attempt: input.attempt },
    hostname: hostNetwork ? '' : input.hostname,
    logDirectory: input.logFolder,
    dnsConfig: input.resolver,
    portMappings: hostNetwork ? [] : portMappings(pod),
    labels: {
      ...pod.metadata.labels,
      [labels.podName]: name,
      [labels.podNamespace]: namespace,
      [labels.podUid]: uid,
    },
    annotations: { ...pod.metadata.annotations },
    linux: {
      cgroupParent: input.cgroupParent,
      securityContext: sandboxSecurity(pod),
      sysctls: Object.fromEntries(
        (spec?.securityContext?.sysctls ?? []).map((sysctl) => [
          sysctl.name.replaceAll('/', '.'),
          sysctl.value,
        ]),
      ),
      resources: {
        cpuPeriod: BigInt(limits.cpuPeriodMicros),
        cpuShares: BigInt(limits.cpuShares),
        cpuQuota: BigInt(limits.cpuQuotaMicros ?? 0),
        memoryLimitInBytes: BigInt(limits.memoryLimitBytes ?? 0),
      },
    },
  };
}

function portMappings(pod: Pod): Init<PodSandboxConfig>['portMappings'] {
  const protocols: Record<string, Protocol> = { TCP: Protocol.TCP, UDP: Protocol.UDP, SCTP: Protocol.SCTP };
  const containers = [
    ...(pod.spec?.initContainers ?? []).filter((c) => c.restartPolicy === 'Always'),
    ...(pod.spec?.containers ?? []),
  ];
  return containers.flatMap((container) =>
    (container.ports ?? []).map((port) => ({
      protocol: protocols[port.protocol ?? 'TCP'] ?? Protocol.TCP,
      containerPort: port.containerPort,
      hostPort: port.hostPort ?? 0,
      hostIp: port.hostIP ?? '',
    })),
  );
}
