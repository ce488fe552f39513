import type { Container, Pod, VolumeMount } from '@cloudless/kube/types/core-v1';
import {
  type ContainerConfig,
  type Init,
  type LinuxContainerResources,
  type Mount,
  MountPropagation,
  Signal,
} from '../cri/generated/types.ts';
import { expand, unresolved } from '../environment/expand.ts';
import { ConfigError } from '../environment/variables.ts';
import { containerHash } from '../naming/hash.ts';
import { type ContainerKind, identityOf } from '../naming/pod.ts';
import { effectiveResources } from '../resources/amounts.ts';
import { linuxLimits } from '../resources/linux.ts';
import { oomScoreAdjustment } from '../resources/qos.ts';
import { containerSecurity, type ImageUser, type SecurityOptions } from '../security/context.ts';
import type { ReadyVolume } from '../volumes/pod-volumes.ts';
import { annotations, labels } from './labels.ts';

export interface ContainerInput {
  pod: Pod;
  kind: ContainerKind;
  spec: Container;
  attempt: number;
  environment: ReadonlyMap<string, string>;
  mounts: readonly Init<Mount>[];
  volumeGroups: readonly number[];
  /** The image as the runtime names it. */
  imageId: string;
  image: ImageUser;
  targetId: string | undefined;
  security: SecurityOptions;
  memoryCapacityBytes: number;
  cgroupV2: boolean;
}

/** Upstream's pause between "please" and "now". */
export const defaultGraceSeconds = 30;

/** What CreateContainer is asked for (upstream: kuberuntime_container.go generateContainerConfig). */
export function containerConfig(input: ContainerInput): Init<ContainerConfig> {
  const { pod, spec } = input;
  const { uid, namespace, name } = identityOf(pod);
  const lookup = (variable: string): string | undefined => input.environment.get(variable);
  const grace = pod.spec?.terminationGracePeriodSeconds ?? defaultGraceSeconds;
  return {
    metadata: { name: spec.name, attempt: input.attempt },
    image: { image: input.imageId, userSpecifiedImage: spec.image ?? '' },
    command: (spec.command ?? []).map((text) => expand(text, lookup)),
    args: (spec.args ?? []).map((text) => expand(text, lookup)),
    workingDir: spec.workingDir ?? '',
    envs: [...input.environment].map(([key, value]) => ({ key, value: Buffer.from(value) })),
    mounts: input.mounts,
    labels: {
      [labels.containerName]: spec.name,
      [labels.podName]: name,
      [labels.podNamespace]: namespace,
      [labels.podUid]: uid,
    },
    annotations: {
      [annotations.hash]: containerHash(spec),
      [annotations.restartCount]: String(input.attempt),
      [annotations.terminationMessagePath]: terminationPath(spec),
      [annotations.terminationMessagePolicy]: spec.terminationMessagePolicy ?? 'File',
      [annotations.gracePeriodSeconds]: String(grace),
      [annotations.kind]: input.kind,
      ...(spec.lifecycle?.preStop
        ? { [annotations.preStopHandler]: JSON.stringify(spec.lifecycle.preStop) }
        : {}),
    },
    logPath: `${spec.name}/${input.attempt}.log`,
    stdin: spec.stdin === true,
    stdinOnce: spec.stdinOnce === true,
    tty: spec.tty === true,
    linux: {
      resources: linuxResources(input),
      securityContext: containerSecurity({ ...input, container: spec, options: input.security }),
    },
    stopSignal: stopSignal(spec.lifecycle?.stopSignal),
  };
}

export const terminationPath = (spec: Container): string =>
  spec.terminationMessagePath || '/dev/termination-log';

function stopSignal(name: string | undefined): Signal {
  if (name === undefined) return Signal.SIGNAL_RUNTIME_DEFAULT;
  const key = `SIGNAL_${name.replace('+', 'PLUS').replace('-', 'MINUS')}`;
  const signal = (Signal as Record<string, Signal>)[key];
  if (signal === undefined) throw new ConfigError(`stopSignal "${name}" is not a signal`);
  return signal;
}

function linuxResources(input: ContainerInput): Init<LinuxContainerResources> {
  const { requests, limits } = effectiveResources(input.spec);
  const values = linuxLimits(requests, limits);
  return {
    cpuPeriod: BigInt(values.cpuPeriodMicros),
    cpuShares: BigInt(values.cpuShares),
    cpuQuota: BigInt(values.cpuQuotaMicros ?? 0),
    memoryLimitInBytes: BigInt(values.memoryLimitBytes ?? 0),
    oomScoreAdj: BigInt(oomScoreAdjustment(input.pod, input.spec, input.memoryCapacityBytes)),
    // A container whose one process is killed for memory is not left half alive (upstream: singleProcessOOMKill).
    ...(input.cgroupV2 ? { unified: { 'memory.oom.group': '1' } } : {}),
  };
}

export interface MountInput {
  spec: Container;
  volumes: ReadonlyMap<string, ReadyVolume>;
  environment: ReadonlyMap<string, string>;
  /** Resolves a subPath to the path to mount. */
  subPath(volume: ReadyVolume, mount: VolumeMount, subPath: string, index: number): Promise<string>;
  /** The pod's own hosts file; undefined where the runtime's stays. */
  hostsFile: string | undefined;
  /** Empty file for the termination message. */
  terminationFile: string | undefined;
}

/** A container's mounts (upstream: kubelet_pods.go makeMounts). */
export async function containerMounts(input: MountInput): Promise<Init<Mount>[]> {
  const mounts: Init<Mount>[] = [];
  for (const [index, mount] of (input.spec.volumeMounts ?? []).entries()) {
    const volume = input.volumes.get(mount.name);
    if (!volume)
      throw new ConfigError(
        `volumeMount "${mount.name}" of container ${input.spec.name} names no volume of the pod`,
      );
    if (mount.recursiveReadOnly === 'Enabled') {
      throw new ConfigError(
        `volumeMount "${mount.name}": recursiveReadOnly Enabled is not supported by the runtime; use IfPossible`,
      );
    }
    const subPath = subPathOf(input, mount);
    mounts.push({
      containerPath: absolute(mount.mountPath),
      hostPath: subPath === '' ? volume.path : await input.subPath(volume, mount, subPath, index),
      readonly: mount.readOnly === true || volume.readOnly,
      propagation: propagations[mount.mountPropagation ?? 'None'] ?? MountPropagation.PROPAGATION_PRIVATE,
    });
  }
  const taken = new Set(mounts.map((mount) => mount.containerPath));
  if (input.hostsFile !== undefined && !taken.has('/etc/hosts')) {
    mounts.push({ containerPath: '/etc/hosts', hostPath: input.hostsFile });
  }
  const message = terminationPath(input.spec);
  if (input.terminationFile !== undefined && !taken.has(message)) {
    mounts.push({ containerPath: message, hostPath: input.terminationFile });
  }
  return mounts;
}

const absolute = (path: string): string => (path.startsWith('/') ? path : `/${path}`);

const propagations: Record<string, MountPropagation> = {
  None: MountPropagation.PROPAGATION_PRIVATE,
  HostToContainer: MountPropagation.PROPAGATION_HOST_TO_CONTAINER,
  Bidirectional: MountPropagation.PROPAGATION_BIDIRECTIONAL,
};

function subPathOf(input: MountInput, mount: VolumeMount): string {
  if (mount.subPath) return mount.subPath;
  if (!mount.subPathExpr) return '';
  const lookup = (name: string): string | undefined => input.environment.get(name);
  const missing = unresolved(mount.subPathExpr, lookup);
  if (missing.length > 0)
    throw new ConfigError(`missing value for ${missing.map((name) => `"${name}"`).join(', ')}`);
  return expand(mount.subPathExpr, lookup);
}
