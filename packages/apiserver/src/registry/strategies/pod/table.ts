/** The row of a pod, as `kubectl get pods` shows it (upstream: printPod in pkg/printers/internalversion). */
import type { ContainerStatus, Pod, PodCondition } from '@cloudless/kube/types/core-v1';
import { age } from '../table/age.ts';
import { isRestartableInit } from './containers.ts';
import { ageColumn, ageOf, orNone, table, text, wideText } from '../table/table.ts';

const columns = [
  text('Ready', 'Containers that are ready, of all.'),
  text('Status', 'What the pod is doing, or why it is not running.'),
  text('Restarts', 'How often containers were restarted, and when last.'),
  ageColumn,
  wideText('IP', "The pod's primary address."),
  wideText('Node', 'The node that the pod is bound to.'),
  wideText('Nominated Node', 'The node that preemption makes room on for this pod.'),
  wideText('Readiness Gates', 'Readiness gates that are satisfied, of all.'),
];

const isTrue = (conditions: readonly PodCondition[] | undefined, type: string): boolean =>
  conditions?.find((condition) => condition.type === type)?.status === 'True';

interface Restarts {
  count: number;
  /** RFC 3339; '' for never. */
  last: string;
}

function countRestarts(restarts: Restarts, status: ContainerStatus): void {
  restarts.count += status.restartCount ?? 0;
  const finished = status.lastState?.terminated?.finishedAt;
  if (finished && (restarts.last === '' || Date.parse(finished) > Date.parse(restarts.last))) {
    restarts.last = finished;
  }
}

/** Why an init container holds the pod up; undefined when it does not. */
function initReason(status: ContainerStatus, i: number, total: number): string | undefined {
  const { terminated, waiting } = status.state ?? {};
  if (terminated) {
    if ((terminated.exitCode ?? 0) === 0) return undefined;
    if (terminated.reason) return `Init:${terminated.reason}`;
    return terminated.signal ? `Init:Signal:${terminated.signal}` : `Init:ExitCode:${terminated.exitCode}`;
  }
  if (waiting?.reason && waiting.reason !== 'PodInitializing') return `Init:${waiting.reason}`;
  return `Init:${i}/${total}`;
}

interface Summary {
  reason: string;
  ready: number;
  total: number;
  restarts: Restarts;
}

function summarizeInit(pod: Pod, summary: Summary): { initializing: boolean; sidecars: Restarts } {
  const inits = pod.spec?.initContainers ?? [];
  const sidecars: Restarts = { count: 0, last: '' };
  summary.total += inits.filter(isRestartableInit).length;
  for (const [i, status] of (pod.status?.initContainerStatuses ?? []).entries()) {
    countRestarts(summary.restarts, status);
    const isSidecar = isRestartableInit(inits.find((container) => container.name === status.name));
    if (isSidecar) countRestarts(sidecars, status);
    const succeeded = status.state?.terminated && (status.state.terminated.exitCode ?? 0) === 0;
    if (!succeeded && isSidecar && status.started) {
      if (status.ready) summary.ready++;
      continue;
    }
    const reason = initReason(status, i, inits.length);
    if (reason === undefined) continue;
    summary.reason = reason;
    return { initializing: true, sidecars };
  }
  return { initializing: false, sidecars };
}

/** The reason a container gives the pod, or 'ready'. */
function containerReason(status: ContainerStatus): string | undefined {
  const { terminated, waiting, running } = status.state ?? {};
  if (waiting?.reason) return waiting.reason;
  if (terminated?.reason) return terminated.reason;
  if (terminated) {
    return terminated.signal ? `Signal:${terminated.signal}` : `ExitCode:${terminated.exitCode ?? 0}`;
  }
  return status.ready && running ? 'ready' : undefined;
}

function summarizeContainers(pod: Pod, summary: Summary): void {
  let hasRunning = false;
  for (const status of [...(pod.status?.containerStatuses ?? [])].reverse()) {
    countRestarts(summary.restarts, status);
    const reason = containerReason(status);
    if (reason === 'ready') {
      hasRunning = true;
      summary.ready++;
    } else if (reason !== undefined) summary.reason = reason;
  }
  if (summary.reason === 'Completed' && hasRunning) {
    summary.reason = isTrue(pod.status?.conditions, 'Ready') ? 'Running' : 'NotReady';
  }
}

function summarize(pod: Pod): Summary {
  const status = pod.status ?? {};
  const summary: Summary = {
    reason: status.reason || status.phase || '',
    ready: 0,
    total: pod.spec?.containers?.length ?? 0,
    restarts: { count: 0, last: '' },
  };
  const gated = status.conditions?.some(
    (condition) => condition.type === 'PodScheduled' && condition.reason === 'SchedulingGated',
  );
  if (gated) summary.reason = 'SchedulingGated';
  const { initializing, sidecars } = summarizeInit(pod, summary);
  if (!initializing || isTrue(status.conditions, 'Initialized')) {
    summary.restarts = sidecars;
    summarizeContainers(pod, summary);
  }
  if (pod.metadata.deletionTimestamp) {
    if (status.reason === 'NodeLost') summary.reason = 'Unknown';
    else if (status.phase !== 'Succeeded' && status.phase !== 'Failed') summary.reason = 'Terminating';
  }
  return summary;
}

function readinessGates(pod: Pod): string {
  const gates = pod.spec?.readinessGates ?? [];
  if (gates.length === 0) return '<none>';
  const satisfied = gates.filter((gate) => isTrue(pod.status?.conditions, gate.conditionType));
  return `${satisfied.length}/${gates.length}`;
}

export const podTable = table<Pod>(columns, (pod, nowMs) => {
  const { reason, ready, total, restarts } = summarize(pod);
  const ago = restarts.count !== 0 && restarts.last !== '' ? ` (${age(restarts.last, nowMs)} ago)` : '';
  return [
    `${ready}/${total}`,
    reason,
    `${restarts.count}${ago}`,
    ageOf(pod, nowMs),
    orNone(pod.status?.podIPs?.[0]?.ip),
    orNone(pod.spec?.nodeName),
    orNone(pod.status?.nominatedNodeName),
    readinessGates(pod),
  ];
});
