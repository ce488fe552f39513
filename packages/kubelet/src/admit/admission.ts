import type { Node, Pod } from '@cloudless/kube/types/core-v1';
import { isStaticPod } from '../naming/pod.ts';
import { type Amounts, podResources } from '../resources/amounts.ts';
import { isCritical } from '../resources/qos.ts';
import { fitsNode } from './node-affinity.ts';
import { hostPortsOf, type Occupancy } from './occupancy.ts';

/** Why a pod may not run here: becomes its status and an event. */
export interface Rejection {
  reason: string;
  message: string;
}

export interface AdmissionFacts {
  /** Undefined until the node is registered. */
  node: Node | undefined;
  allocatable: Amounts;
  /** By the pods that run here. */
  taken: Occupancy;
  appArmor: boolean;
  /** KubeletConfiguration.allowedUnsafeSysctls; `*` at the end matches any rest. */
  allowedUnsafeSysctls: readonly string[];
}

/**
 * Whether this node can run a pod that was bound to it (upstream: kubelet's pod admit handlers): a scheduler may
 * have decided on old news, and a pod may name its node itself. Static pods are always taken.
 */
export function rejectionOf(pod: Pod, facts: AdmissionFacts): Rejection | undefined {
  if (isStaticPod(pod)) return undefined;
  return (
    unsupported(pod) ??
    badSystem(pod) ??
    badAffinity(pod, facts) ??
    badSysctl(pod, facts.allowedUnsafeSysctls) ??
    badAppArmor(pod, facts.appArmor) ??
    badPorts(pod, facts.taken) ??
    badResources(pod, facts)
  );
}

/** What would run with less than was asked for does not run. */
function unsupported(pod: Pod): Rejection | undefined {
  const reason = 'UnsupportedPod';
  if (pod.spec?.hostUsers === false) {
    return {
      reason,
      message: 'spec.hostUsers: user namespaces are not supported by this kubelet; leave it out',
    };
  }
  if ((pod.spec?.resourceClaims ?? []).length > 0) {
    return { reason, message: 'spec.resourceClaims: dynamic resources are not supported by this kubelet' };
  }
  return undefined;
}

function badSystem(pod: Pod): Rejection | undefined {
  const name = pod.spec?.os?.name;
  if (name === undefined || name === 'linux') return undefined;
  return {
    reason: 'PodOSNotSupported',
    message: "Failed to admit pod as the OS field doesn't match node OS",
  };
}

function badAffinity(pod: Pod, { node }: AdmissionFacts): Rejection | undefined {
  if (!node || fitsNode(pod, node)) return undefined;
  return { reason: 'NodeAffinity', message: 'Predicate NodeAffinity failed' };
}

/** Sysctls that stay within a pod (upstream: sysctl/safe_sysctls.go). */
const safeSysctls = new Set([
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.ping_group_range',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_rmem',
  'net.ipv4.tcp_wmem',
]);

function badSysctl(pod: Pod, allowed: readonly string[]): Rejection | undefined {
  const permitted = (name: string): boolean =>
    safeSysctls.has(name) ||
    allowed.some((rule) => (rule.endsWith('*') ? name.startsWith(rule.slice(0, -1)) : rule === name));
  for (const { name } of pod.spec?.securityContext?.sysctls ?? []) {
    if (!permitted(name.replaceAll('/', '.'))) {
      return { reason: 'SysctlForbidden', message: `forbidden sysctl: "${name}" not allowlisted` };
    }
  }
  return undefined;
}

function badAppArmor(pod: Pod, enabled: boolean): Rejection | undefined {
  if (enabled) return undefined;
  const contexts = [
    pod.spec?.securityContext,
    ...[...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])].map((c) => c.securityContext),
  ];
  const wanted = contexts.some(
    (context) => context?.appArmorProfile && context.appArmorProfile.type !== 'Unconfined',
  );
  if (!wanted) return undefined;
  return { reason: 'AppArmor', message: 'Cannot enforce AppArmor: AppArmor is not enabled on the host' };
}

function badPorts(pod: Pod, taken: Occupancy): Rejection | undefined {
  if (!hostPortsOf(pod).some((port) => taken.holds(port))) return undefined;
  return { reason: 'NodePorts', message: 'Predicate NodePorts failed' };
}

/** Upstream counts cpu in thousandths in this message, all else in units. */
const shown = (name: string, amount: number): number => Math.round(name === 'cpu' ? amount * 1000 : amount);

function badResources(pod: Pod, { allocatable, taken }: AdmissionFacts): Rejection | undefined {
  if (isCritical(pod)) return undefined;
  const wanted = new Map([...podResources(pod).requests, ['pods', 1] as const]);
  for (const name of ['pods', 'cpu', 'memory', 'ephemeral-storage']) {
    const request = wanted.get(name) ?? 0;
    const capacity = allocatable.get(name);
    const before = taken.used(name);
    // What sums of fractions add must not reject what fits exactly.
    if (request === 0 || capacity === undefined || before + request <= capacity + 1e-6) continue;
    const numbers = [request, before, capacity].map((amount) => shown(name, amount));
    return {
      reason: `OutOf${name}`,
      message: `Node didn't have enough resource: ${name}, requested: ${numbers[0]}, used: ${numbers[1]}, capacity: ${numbers[2]}`,
    };
  }
  return undefined;
}
