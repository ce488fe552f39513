import { keyOf } from '@cloudless/kube/informer/informer';
import type { ContainerPort, Pod, PodAffinityTerm } from '@cloudless/kube/types/core-v1';
import { type AffinityTerm, affinityTerm } from '../core/affinity-term.ts';
import { type Amounts, requestsOf, scoringRequestsOf } from '../core/resources.ts';

/** What a pod takes from its node. */
interface Needs {
  readonly requests: Amounts;
  readonly scoring: { readonly milliCpu: number; readonly memoryBytes: number };
  readonly hostPorts: readonly HostPort[];
}

/** A pod with everything the scheduler computes from it once. Immutable. */
export interface PodInfo extends Needs {
  readonly pod: Pod;
  /** `namespace/name`. */
  readonly key: string;
  readonly uid: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly priority: number;
  /** Uid of its controller, such as a ReplicaSet. */
  readonly controller: string | undefined;
  /** Has terms about other pods. */
  readonly isAffine: boolean;
  readonly requiredAffinity: readonly AffinityTerm[];
  readonly requiredAntiAffinity: readonly AffinityTerm[];
  readonly preferredAffinity: readonly WeightedTerm[];
  readonly preferredAntiAffinity: readonly WeightedTerm[];
}

export interface WeightedTerm {
  readonly weight: number;
  readonly term: AffinityTerm;
}

export interface HostPort {
  readonly ip: string;
  readonly protocol: string;
  readonly port: number;
}

export function podInfo(pod: Pod): PodInfo {
  const { podAffinity, podAntiAffinity } = pod.spec?.affinity ?? {};
  const terms = (list: readonly PodAffinityTerm[] | undefined): readonly AffinityTerm[] =>
    list?.map((term) => affinityTerm(term, pod)) ?? none;
  const weighted = (
    list: ReadonlyArray<{ weight: number; podAffinityTerm: PodAffinityTerm }> | undefined,
  ): readonly WeightedTerm[] =>
    list?.map(({ weight, podAffinityTerm }) => ({ weight, term: affinityTerm(podAffinityTerm, pod) })) ??
    none;
  return {
    pod,
    key: keyOf(pod),
    uid: pod.metadata.uid ?? '',
    namespace: pod.metadata.namespace ?? '',
    labels: pod.metadata.labels ?? {},
    priority: pod.spec?.priority ?? 0,
    controller: pod.metadata.ownerReferences?.find(({ controller }) => controller)?.uid,
    isAffine: podAffinity !== undefined || podAntiAffinity !== undefined,
    ...needsOf(pod),
    requiredAffinity: terms(podAffinity?.requiredDuringSchedulingIgnoredDuringExecution),
    requiredAntiAffinity: terms(podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution),
    preferredAffinity: weighted(podAffinity?.preferredDuringSchedulingIgnoredDuringExecution),
    preferredAntiAffinity: weighted(podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution),
  };
}

const none: readonly never[] = Object.freeze([]);

/** Needs by their text: the pods of a template share one. */
const needsByText = new Map<string, Needs>();
const maxNeeds = 1_000;

function needsOf(pod: Pod): Needs {
  const needs = { requests: requestsOf(pod), scoring: scoringRequestsOf(pod), hostPorts: hostPortsOf(pod) };
  const text = JSON.stringify([[...needs.requests], needs.scoring, needs.hostPorts]);
  const known = needsByText.get(text);
  if (known) return known;
  if (needsByText.size >= maxNeeds) needsByText.clear();
  needsByText.set(text, needs);
  return needs;
}

function hostPortsOf(pod: Pod): HostPort[] {
  const sidecars = (pod.spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  const ports = [...(pod.spec?.containers ?? []), ...sidecars].flatMap((container) => container.ports ?? []);
  return ports
    .filter((port: ContainerPort) => (port.hostPort ?? 0) > 0)
    .map((port) => ({
      ip: port.hostIP === undefined || port.hostIP === '' ? '0.0.0.0' : port.hostIP,
      protocol: port.protocol ?? 'TCP',
      port: port.hostPort as number,
    }));
}

/** Whether two pods cannot have these ports on one node: the same port on the same address, or on all. */
export function portsConflict(a: HostPort, b: HostPort): boolean {
  const wild = (ip: string): boolean => ip === '0.0.0.0' || ip === '::';
  return a.port === b.port && a.protocol === b.protocol && (a.ip === b.ip || wild(a.ip) || wild(b.ip));
}
