import type { ContainerStatus, Pod } from '@cloudless/kube/types/core-v1';
import { isSidecar, isStaticPod } from '../naming/pod.ts';
import { restartsAfter } from './restart.ts';

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed';

interface Tally {
  waiting: number;
  running: number;
  stopped: number;
  succeeded: number;
  unknown: number;
}

/**
 * The phase of a pod from its container statuses (upstream: kubelet_pods.go getPhase).
 * `terminal` says that every container has been stopped for good.
 */
export function phaseOf(pod: Pod, statuses: readonly ContainerStatus[], terminal: boolean): PodPhase {
  const byName = new Map(statuses.map((status) => [status.name, status]));
  const init = initTally(pod, byName);
  if (init.failed) return 'Failed';
  const started = (pod.spec?.containers ?? []).some((spec) => hasStarted(byName.get(spec.name)));
  if (init.pending && !started) return 'Pending';
  const tally = regularTally(pod, byName);
  if (tally.waiting > 0 || tally.unknown > 0) return 'Pending';
  if (tally.running > 0) return 'Running';
  if (tally.stopped === 0) return 'Pending';
  if (terminal && !isStaticPod(pod)) return tally.stopped === tally.succeeded ? 'Succeeded' : 'Failed';
  if (willRestart(pod, byName)) return 'Running';
  if (init.sidecarsRunning && !terminal) return 'Running';
  return tally.stopped === tally.succeeded ? 'Succeeded' : 'Failed';
}

function hasStarted(status: ContainerStatus | undefined): boolean {
  return (
    status?.state?.running !== undefined ||
    status?.state?.terminated !== undefined ||
    status?.lastState?.terminated !== undefined
  );
}

function initTally(
  pod: Pod,
  byName: Map<string, ContainerStatus>,
): { failed: boolean; pending: boolean; sidecarsRunning: boolean } {
  const tally = { failed: false, pending: false, sidecarsRunning: false };
  for (const spec of pod.spec?.initContainers ?? []) {
    const status = byName.get(spec.name);
    if (isSidecar(spec)) {
      if (status?.state?.running) tally.sidecarsRunning = true;
      if (status?.started !== true && status?.state?.terminated === undefined) tally.pending = true;
      continue;
    }
    const ended = status?.state?.terminated;
    if (ended === undefined) tally.pending = true;
    else if (ended.exitCode !== 0) {
      if (restartsAfter(pod, spec, ended.exitCode)) tally.pending = true;
      else tally.failed = true;
    }
  }
  return tally;
}

function regularTally(pod: Pod, byName: Map<string, ContainerStatus>): Tally {
  const tally: Tally = { waiting: 0, running: 0, stopped: 0, succeeded: 0, unknown: 0 };
  for (const spec of pod.spec?.containers ?? []) {
    const status = byName.get(spec.name);
    if (status?.state === undefined) tally.unknown++;
    else if (status.state.running) tally.running++;
    else if (status.state.terminated) {
      tally.stopped++;
      if (status.state.terminated.exitCode === 0) tally.succeeded++;
    } else if (status.lastState?.terminated) tally.stopped++;
    else tally.waiting++;
  }
  return tally;
}

function willRestart(pod: Pod, byName: Map<string, ContainerStatus>): boolean {
  return (pod.spec?.containers ?? []).some((spec) => {
    const status = byName.get(spec.name);
    const ended = status?.state?.terminated ?? status?.lastState?.terminated;
    return ended !== undefined && restartsAfter(pod, spec, ended.exitCode);
  });
}
