import type { Container, EphemeralContainer, Pod, SecurityContext } from '@cloudless/kube/types/core-v1';
import {
  type Init,
  type LinuxContainerSecurityContext,
  type LinuxSandboxSecurityContext,
  type NamespaceOption,
  type SecurityProfile,
  NamespaceMode,
  SecurityProfileProfileType,
  SupplementalGroupsPolicy,
} from '../cri/generated/types.ts';
import { ConfigError } from '../environment/variables.ts';

/** The container's own security context over the pod's (upstream: securitycontext.DetermineEffectiveSecurityContext). */
export function effectiveContext(pod: Pod, container: Container | EphemeralContainer): SecurityContext {
  const shared = pod.spec?.securityContext ?? {};
  const own = container.securityContext ?? {};
  return {
    ...own,
    ...pick('runAsUser', own.runAsUser ?? shared.runAsUser),
    ...pick('runAsGroup', own.runAsGroup ?? shared.runAsGroup),
    ...pick('runAsNonRoot', own.runAsNonRoot ?? shared.runAsNonRoot),
    ...pick('seccompProfile', own.seccompProfile ?? shared.seccompProfile),
    ...pick('appArmorProfile', own.appArmorProfile ?? shared.appArmorProfile),
  };
}

const pick = <K extends keyof SecurityContext>(
  key: K,
  value: SecurityContext[K],
): Pick<SecurityContext, K> | {} => (value === undefined ? {} : { [key]: value });

/** The user an image declares; both absent means root. */
export interface ImageUser {
  uid: number | undefined;
  username: string;
}

/** Throws when runAsNonRoot is set and the container would run as root (upstream: verifyRunAsNonRoot). */
export function verifyNonRoot(pod: Pod, container: Container | EphemeralContainer, image: ImageUser): void {
  const context = effectiveContext(pod, container);
  if (context.runAsNonRoot !== true) return;
  const podText = `"${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})"`;
  if (context.runAsUser !== undefined) {
    if (context.runAsUser !== 0) return;
    throw new ConfigError(
      `container's runAsUser breaks non-root policy (pod: ${podText}, container: ${container.name})`,
    );
  }
  if (image.uid !== undefined ? image.uid === 0 : image.username === '') {
    throw new ConfigError(
      `container has runAsNonRoot and image will run as root (pod: ${podText}, container: ${container.name})`,
    );
  }
  if (image.uid === undefined) {
    throw new ConfigError(
      `container has runAsNonRoot and image has non-numeric user (${image.username}), cannot verify user is non-root (pod: ${podText}, container: ${container.name})`,
    );
  }
}

export interface SecurityInput {
  pod: Pod;
  container: Container | EphemeralContainer;
  image: ImageUser;
  /** Groups that volumes ask for. */
  volumeGroups: readonly number[];
  /** Runtime id of an ephemeral container's target, for its process namespace. */
  targetId?: string | undefined;
  options: SecurityOptions;
}

export interface SecurityOptions {
  /** Folder of Localhost seccomp profiles. */
  seccompRoot: string;
  /** KubeletConfiguration.seccompDefault. */
  seccompDefault: boolean;
  appArmor: boolean;
}

/** A container's security context for CRI (upstream: kuberuntime/security_context.go). */
export function containerSecurity(input: SecurityInput): Init<LinuxContainerSecurityContext> {
  const { pod, container } = input;
  const context = effectiveContext(pod, container);
  const user = context.runAsUser ?? input.image.uid;
  const unmasked = context.procMount === 'Unmasked';
  const apparmor = input.options.appArmor ? profile(context.appArmorProfile, '') : undefined;
  return {
    privileged: context.privileged === true,
    namespaceOptions: namespaces(pod, input.targetId),
    ...(user !== undefined
      ? { runAsUser: { value: BigInt(user) } }
      : input.image.username === ''
        ? {}
        : { runAsUsername: input.image.username }),
    ...(context.runAsGroup === undefined ? {} : { runAsGroup: { value: BigInt(context.runAsGroup) } }),
    readonlyRootfs: context.readOnlyRootFilesystem === true,
    supplementalGroups: groupsOf(pod, input.volumeGroups).map(BigInt),
    supplementalGroupsPolicy: groupsPolicy(pod),
    noNewPrivs: context.allowPrivilegeEscalation === false,
    capabilities: {
      addCapabilities: context.capabilities?.add ?? [],
      dropCapabilities: context.capabilities?.drop ?? [],
      addAmbientCapabilities: [],
    },
    maskedPaths: unmasked ? [] : maskedPaths,
    readonlyPaths: unmasked ? [] : readonlyPaths,
    seccomp: seccompOf(context, input.options),
    ...(apparmor ? { apparmor } : {}),
  };
}

/** The sandbox's security context (upstream: kuberuntime_sandbox.go generatePodSandboxLinuxConfig). */
export function sandboxSecurity(pod: Pod): Init<LinuxSandboxSecurityContext> {
  const shared = pod.spec?.securityContext;
  const containers = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
  return {
    privileged: containers.some((container) => container.securityContext?.privileged === true),
    namespaceOptions: namespaces(pod, undefined),
    ...(shared?.runAsUser === undefined ? {} : { runAsUser: { value: BigInt(shared.runAsUser) } }),
    ...(shared?.runAsGroup === undefined ? {} : { runAsGroup: { value: BigInt(shared.runAsGroup) } }),
    supplementalGroups: groupsOf(pod, []).map(BigInt),
    supplementalGroupsPolicy: groupsPolicy(pod),
    seccomp: { profileType: SecurityProfileProfileType.RuntimeDefault, localhostRef: '' },
  };
}

function namespaces(pod: Pod, targetId: string | undefined): Init<NamespaceOption> {
  const spec = pod.spec;
  const pid = spec?.hostPID
    ? NamespaceMode.NODE
    : spec?.shareProcessNamespace
      ? NamespaceMode.POD
      : NamespaceMode.CONTAINER;
  return {
    network: spec?.hostNetwork ? NamespaceMode.NODE : NamespaceMode.POD,
    ipc: spec?.hostIPC ? NamespaceMode.NODE : NamespaceMode.POD,
    pid: targetId === undefined ? pid : NamespaceMode.TARGET,
    targetId: targetId ?? '',
  };
}

function groupsOf(pod: Pod, volumeGroups: readonly number[]): number[] {
  const shared = pod.spec?.securityContext;
  return [
    ...(shared?.fsGroup === undefined ? [] : [shared.fsGroup]),
    ...(shared?.supplementalGroups ?? []),
    ...volumeGroups,
  ];
}

function groupsPolicy(pod: Pod): SupplementalGroupsPolicy {
  return pod.spec?.securityContext?.supplementalGroupsPolicy === 'Strict'
    ? SupplementalGroupsPolicy.Strict
    : SupplementalGroupsPolicy.Merge;
}

function seccompOf(context: SecurityContext, options: SecurityOptions): Init<SecurityProfile> {
  const none = options.seccompDefault
    ? SecurityProfileProfileType.RuntimeDefault
    : SecurityProfileProfileType.Unconfined;
  if (context.privileged === true)
    return { profileType: SecurityProfileProfileType.Unconfined, localhostRef: '' };
  return (
    profile(context.seccompProfile, `${options.seccompRoot}/`) ?? { profileType: none, localhostRef: '' }
  );
}

function profile(
  wanted: { type: string; localhostProfile?: string } | undefined,
  localhostPrefix: string,
): Init<SecurityProfile> | undefined {
  if (wanted === undefined) return undefined;
  switch (wanted.type) {
    case 'Unconfined':
      return { profileType: SecurityProfileProfileType.Unconfined, localhostRef: '' };
    case 'Localhost':
      return {
        profileType: SecurityProfileProfileType.Localhost,
        localhostRef: `${localhostPrefix}${wanted.localhostProfile ?? ''}`,
      };
    default:
      return { profileType: SecurityProfileProfileType.RuntimeDefault, localhostRef: '' };
  }
}

/** Parts of /proc and /sys that containers do not see (upstream: securitycontext defaultMaskedPaths). */
const maskedPaths = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
];
const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];
