import type { ContainerStatus, Pod, PodCondition } from '@cloudless/kube/types/core-v1';
import { isSidecar } from '../naming/pod.ts';
import type { PodPhase } from './phase.ts';

/** Condition types the kubelet owns; every other one on a pod is left as it is. */
export const ownedConditions: ReadonlySet<string> = new Set([
  'PodReadyToStartContainers',
  'Initialized',
  'Ready',
  'ContainersReady',
  'PodScheduled',
  'PodResizePending',
  'PodResizeInProgress',
]);

const goList = (names: readonly string[]): string => `[${names.join(' ')}]`;

function condition(type: string, status: 'True' | 'False', reason = '', message = ''): PodCondition {
  return { type, status, ...(reason === '' ? {} : { reason }), ...(message === '' ? {} : { message }) };
}

interface ConditionInput {
  pod: Pod;
  /** Init, regular and ephemeral statuses. */
  statuses: readonly ContainerStatus[];
  phase: PodPhase;
  sandboxUsable: boolean;
  /** Conditions now on the object: the readiness gates' among them. */
  present: readonly PodCondition[];
}

/** The five conditions of every pod (upstream: status/generate.go), without times. */
export function podConditions(input: ConditionInput): PodCondition[] {
  const ready = containersReady(input);
  return [
    condition('PodReadyToStartContainers', input.sandboxUsable ? 'True' : 'False'),
    initialized(input),
    podReady(input, ready),
    ready,
    condition('PodScheduled', 'True'),
  ];
}

function containersReady({ pod, statuses, phase }: ConditionInput): PodCondition {
  const type = 'ContainersReady';
  const byName = new Map(statuses.map((status) => [status.name, status]));
  const counted = [...(pod.spec?.initContainers ?? []).filter(isSidecar), ...(pod.spec?.containers ?? [])];
  const unknown = counted.filter((spec) => !byName.has(spec.name)).map((spec) => spec.name);
  const unready = counted.filter((spec) => byName.get(spec.name)?.ready === false).map((spec) => spec.name);
  if (phase === 'Succeeded' && unknown.length === 0) return condition(type, 'False', 'PodCompleted');
  if (phase === 'Failed') return condition(type, 'False', 'PodFailed');
  const messages: string[] = [];
  if (unknown.length > 0) messages.push(`containers with unknown status: ${goList(unknown)}`);
  if (unready.length > 0) messages.push(`containers with unready status: ${goList(unready)}`);
  if (messages.length > 0) return condition(type, 'False', 'ContainersNotReady', messages.join(', '));
  return condition(type, 'True');
}

function podReady({ pod, present }: ConditionInput, ready: PodCondition): PodCondition {
  if (ready.status !== 'True') return { ...ready, type: 'Ready' };
  const messages: string[] = [];
  for (const gate of pod.spec?.readinessGates ?? []) {
    const found = present.find((entry) => entry.type === gate.conditionType);
    if (found === undefined) {
      messages.push(`corresponding condition of pod readiness gate "${gate.conditionType}" does not exist.`);
    } else if (found.status !== 'True') {
      messages.push(
        `the status of pod readiness gate "${gate.conditionType}" is not "True", but ${found.status}`,
      );
    }
  }
  if (messages.length > 0) return condition('Ready', 'False', 'ReadinessGatesNotReady', messages.join(', '));
  return condition('Ready', 'True');
}

function initialized({ pod, statuses, phase }: ConditionInput): PodCondition {
  const type = 'Initialized';
  const byName = new Map(statuses.map((status) => [status.name, status]));
  const unknown: string[] = [];
  const incomplete: string[] = [];
  for (const spec of pod.spec?.initContainers ?? []) {
    const status = byName.get(spec.name);
    if (status === undefined) unknown.push(spec.name);
    else if (isSidecar(spec) ? status.started !== true : !status.ready) incomplete.push(spec.name);
  }
  if (phase === 'Succeeded' && unknown.length === 0) return condition(type, 'True', 'PodCompleted');
  const anyStarted = (pod.spec?.containers ?? []).some((spec) => {
    const status = byName.get(spec.name);
    return (
      status?.started === true ||
      status?.state?.terminated !== undefined ||
      status?.lastState?.terminated !== undefined
    );
  });
  if (anyStarted) return condition(type, 'True');
  const messages: string[] = [];
  if (unknown.length > 0) messages.push(`containers with unknown status: ${goList(unknown)}`);
  if (incomplete.length > 0) messages.push(`containers with incomplete status: ${goList(incomplete)}`);
  if (messages.length > 0) return condition(type, 'False', 'ContainersNotInitialized', messages.join(', '));
  return condition(type, 'True');
}
