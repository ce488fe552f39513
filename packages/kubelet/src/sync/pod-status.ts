import type { ContainerStatus, Pod, PodStatus } from '@cloudless/kube/types/core-v1';
import { containersOf } from '../naming/pod.ts';
import { podConditions, ownedConditions } from './conditions.ts';
import { containerStatus } from './container-status.ts';
import type { ObservedPod } from './observed.ts';
import { phaseOf, type PodPhase } from './phase.ts';
import { type ProbeVerdicts, sandboxVerdict, type Waiting } from './plan.ts';
import { qosClassOf } from '../resources/qos.ts';

/** What ended a pod from outside its containers: it stays so. */
export interface PodVerdict {
  phase: 'Failed' | 'Succeeded';
  reason: string;
  message: string;
}

export interface PodStatusInput {
  pod: Pod;
  observed: ObservedPod;
  verdicts: ProbeVerdicts;
  waiting: ReadonlyMap<string, Waiting>;
  /** The status last known: on the object, or last written by us. */
  previous: PodStatus;
  runtimeName: string;
  terminal: boolean;
  verdict: PodVerdict | undefined;
  hostIps: readonly string[];
  nowMs: number;
}

/** The whole status of a pod from what is observed; times of unchanged conditions are kept. */
export function podStatus(input: PodStatusInput): PodStatus {
  const { pod, previous } = input;
  const usable = sandboxVerdict(pod, input.observed).usable;
  const statuses = allContainerStatuses(input, usable?.id);
  const all = [...statuses.init, ...statuses.regular];
  const phase = settledPhase(input, all);
  const status: PodStatus = {
    phase,
    ...reasonOf(input),
    conditions: withTimes(input, phase, all, usable !== undefined),
    ...addresses(input, usable?.ips ?? []),
    startTime: previous.startTime ?? isoSeconds(input.nowMs),
    qosClass: previous.qosClass ?? qosClassOf(pod),
    containerStatuses: statuses.regular,
    ...(statuses.init.length > 0 ? { initContainerStatuses: statuses.init } : {}),
    ...(statuses.ephemeral.length > 0 ? { ephemeralContainerStatuses: statuses.ephemeral } : {}),
    ...(pod.metadata.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }),
  };
  return status;
}

const isoSeconds = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');

function allContainerStatuses(
  input: PodStatusInput,
  sandboxId: string | undefined,
): { init: ContainerStatus[]; regular: ContainerStatus[]; ephemeral: ContainerStatus[] } {
  const { previous } = input;
  const before = [
    ...(previous.initContainerStatuses ?? []),
    ...(previous.containerStatuses ?? []),
    ...(previous.ephemeralContainerStatuses ?? []),
  ];
  const result = {
    init: [] as ContainerStatus[],
    regular: [] as ContainerStatus[],
    ephemeral: [] as ContainerStatus[],
  };
  for (const { kind, spec } of containersOf(input.pod)) {
    const status = containerStatus({ ...input, previous: before, sandboxId }, kind, spec);
    if (kind === 'ephemeral') result.ephemeral.push(status);
    else if (kind === 'regular') result.regular.push(status);
    else result.init.push(status);
  }
  return result;
}

/** A pod that has reached its end never leaves it. */
function settledPhase(input: PodStatusInput, statuses: readonly ContainerStatus[]): PodPhase {
  const before = input.previous.phase;
  if (before === 'Failed' || before === 'Succeeded') return before;
  if (input.verdict) return input.verdict.phase;
  const phase = phaseOf(input.pod, statuses, input.terminal);
  // A running pod never goes back to Pending (upstream: status manager's transition check).
  return before === 'Running' && phase === 'Pending' ? 'Running' : phase;
}

function reasonOf(input: PodStatusInput): { reason?: string; message?: string } {
  const reason = input.verdict?.reason ?? input.previous.reason ?? '';
  const message = input.verdict?.message ?? input.previous.message ?? '';
  return { ...(reason === '' ? {} : { reason }), ...(message === '' ? {} : { message }) };
}

function withTimes(
  input: PodStatusInput,
  phase: PodPhase,
  statuses: readonly ContainerStatus[],
  sandboxUsable: boolean,
): PodStatus['conditions'] {
  const present = input.previous.conditions ?? [];
  const made = podConditions({ pod: input.pod, statuses, phase, sandboxUsable, present });
  const generation = input.pod.metadata.generation;
  const own = made.map((condition) => {
    const before = present.find((entry) => entry.type === condition.type);
    const kept = before?.status === condition.status ? before.lastTransitionTime : undefined;
    return {
      ...condition,
      lastTransitionTime: kept ?? isoSeconds(input.nowMs),
      ...(generation === undefined ? {} : { observedGeneration: generation }),
    };
  });
  return [...own, ...present.filter((condition) => !ownedConditions.has(condition.type))];
}

function addresses(input: PodStatusInput, sandboxIps: readonly string[]): Partial<PodStatus> {
  const [hostIp] = input.hostIps;
  const host: Partial<PodStatus> =
    hostIp === undefined ? {} : { hostIP: hostIp, hostIPs: input.hostIps.map((ip) => ({ ip })) };
  const ips = input.pod.spec?.hostNetwork ? input.hostIps : sandboxIps;
  if (ips.length > 0) return { ...host, podIP: ips[0]!, podIPs: ips.map((ip) => ({ ip })) };
  // Addresses stay on a pod that ends: endpoints are drained by readiness, logs and events still name it.
  const kept = input.previous.podIPs ?? [];
  return kept.length > 0 ? { ...host, podIP: kept[0]!.ip, podIPs: kept } : host;
}
