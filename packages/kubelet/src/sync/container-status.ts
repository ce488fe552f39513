import type {
  Container,
  ContainerState,
  ContainerStatus,
  EphemeralContainer,
  Pod,
} from '@cloudless/kube/types/core-v1';
import type { ContainerKind } from '../naming/pod.ts';
import type { ObservedContainer, ObservedPod } from './observed.ts';
import type { ProbeVerdicts, Waiting } from './plan.ts';
import { shouldRun } from './restart.ts';

export interface ContainerStatusInput {
  pod: Pod;
  observed: ObservedPod;
  verdicts: ProbeVerdicts;
  /** Why a container that should run does not, by name: back-off, pull and start errors. */
  waiting: ReadonlyMap<string, Waiting>;
  /** Statuses on the object, for what the runtime has forgotten. */
  previous: readonly ContainerStatus[];
  /** The runtime's name, which container ids start with: `containerd`. */
  runtimeName: string;
  /** Every container has been stopped for good. */
  terminal: boolean;
  /** The sandbox in which containers run now. */
  sandboxId: string | undefined;
}

/** One container's status (upstream: kubelet_pods.go convertToAPIContainerStatuses, prober UpdatePodStatus). */
export function containerStatus(
  input: ContainerStatusInput,
  kind: ContainerKind,
  spec: Container | EphemeralContainer,
): ContainerStatus {
  const runs = input.observed.containers.filter((container) => container.name === spec.name);
  const previous = input.previous.find((status) => status.name === spec.name);
  const current = runs[0];
  const status =
    current === undefined
      ? neverSeen(input, kind, spec, previous)
      : seen(input, spec, current, runs[1], previous);
  holdWaiting(input, kind, spec, current, status);
  settleReadiness(input, kind, spec, current, status);
  return status;
}

const waitingState = (reason: string, message = ''): ContainerState => ({
  waiting: { reason, ...(message === '' ? {} : { message }) },
});

function neverSeen(
  input: ContainerStatusInput,
  kind: ContainerKind,
  spec: Container | EphemeralContainer,
  previous: ContainerStatus | undefined,
): ContainerStatus {
  const hasInit = (input.pod.spec?.initContainers ?? []).length > 0;
  const reason = hasInit && kind !== 'ephemeral' ? 'PodInitializing' : 'ContainerCreating';
  const status: ContainerStatus = {
    name: spec.name,
    image: spec.image ?? '',
    imageID: previous?.imageID ?? '',
    restartCount: previous?.restartCount ?? 0,
    ready: false,
    started: false,
    state: waitingState(reason),
    lastState: previous?.lastState ?? {},
  };
  if (previous?.state?.terminated) {
    if (input.terminal || kind === 'init' || !shouldRunAfter(input.pod, spec, previous)) {
      return {
        ...status,
        state: previous.state,
        ...(previous.containerID ? { containerID: previous.containerID } : {}),
      };
    }
    status.lastState = { terminated: previous.state.terminated };
  } else if (previous?.state?.running) {
    const lost = {
      exitCode: 137,
      reason: 'ContainerStatusUnknown',
      message: 'The container could not be located when the pod was terminated',
    };
    if (input.terminal) status.state = { terminated: lost };
    else {
      status.lastState = {
        terminated: {
          ...lost,
          message:
            'The container could not be located when the pod was deleted.  The container used to be Running',
        },
      };
      status.restartCount += 1;
    }
  } else if (input.terminal) {
    status.state = waitingState(reason);
  }
  return status;
}

function shouldRunAfter(pod: Pod, spec: Container, previous: ContainerStatus): boolean {
  const exitCode = previous.state?.terminated?.exitCode ?? 0;
  return shouldRun(pod, spec, {
    id: '',
    name: spec.name,
    sandboxId: '',
    attempt: previous.restartCount,
    state: 'exited',
    createdAtMs: 0,
    startedAtMs: 0,
    finishedAtMs: 0,
    exitCode,
    reason: '',
    message: '',
    image: '',
    imageId: '',
    hash: '',
  });
}

function seen(
  input: ContainerStatusInput,
  spec: Container | EphemeralContainer,
  current: ObservedContainer,
  before: ObservedContainer | undefined,
  previous: ContainerStatus | undefined,
): ContainerStatus {
  const id = (container: ObservedContainer): string => `${input.runtimeName}://${container.id}`;
  const lastState: ContainerState | undefined =
    before !== undefined
      ? before.state === 'exited'
        ? stateOf(before, id(before))
        : {}
      : previous?.containerID === id(current) || (previous?.restartCount ?? 0) >= current.attempt
        ? previous?.lastState
        : previous?.state?.terminated
          ? { terminated: previous.state.terminated }
          : previous?.lastState;
  return {
    name: spec.name,
    image: current.image === '' ? (spec.image ?? '') : current.image,
    imageID: current.imageId,
    containerID: id(current),
    restartCount: current.attempt,
    ready: false,
    started: false,
    state: stateOf(current, id(current)),
    lastState: lastState ?? {},
    ...(spec.resources && Object.keys(spec.resources).length > 0 && current.state === 'running'
      ? {
          resources: spec.resources,
          ...(spec.resources.requests ? { allocatedResources: spec.resources.requests } : {}),
        }
      : {}),
    ...(spec.volumeMounts && spec.volumeMounts.length > 0
      ? {
          volumeMounts: spec.volumeMounts.map((mount) => ({
            name: mount.name,
            mountPath: mount.mountPath,
            ...(mount.readOnly ? { readOnly: true, recursiveReadOnly: 'Disabled' } : {}),
          })),
        }
      : {}),
    ...(current.user && current.state === 'running'
      ? {
          user: {
            linux: {
              uid: current.user.uid,
              gid: current.user.gid,
              supplementalGroups: [...current.user.supplementalGroups],
            },
          },
        }
      : {}),
  };
}

const isoSeconds = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');

function stateOf(container: ObservedContainer, containerID: string): ContainerState {
  if (container.state === 'running') return { running: { startedAt: isoSeconds(container.startedAtMs) } };
  if (container.state === 'exited') {
    return {
      terminated: {
        exitCode: container.exitCode,
        ...(container.reason === '' ? {} : { reason: container.reason }),
        ...(container.message === '' ? {} : { message: container.message }),
        ...(container.startedAtMs > 0
          ? { startedAt: isoSeconds(container.startedAtMs) }
          : { startedAt: isoSeconds(container.createdAtMs) }),
        finishedAt: isoSeconds(container.finishedAtMs),
        containerID,
      },
    };
  }
  return waitingState('ContainerCreating');
}

/** A container that should run again and is held back waits for a reason; how it ended moves to lastState. */
function holdWaiting(
  input: ContainerStatusInput,
  kind: ContainerKind,
  spec: Container | EphemeralContainer,
  current: ObservedContainer | undefined,
  status: ContainerStatus,
): void {
  const why = input.waiting.get(spec.name);
  if (why === undefined || input.terminal) return;
  if (current?.state === 'running') return;
  const again = kind === 'ephemeral' ? current === undefined : shouldRun(input.pod, spec, current);
  if (!again) return;
  if (status.state?.terminated) status.lastState = { terminated: status.state.terminated };
  status.state = waitingState(why.reason, why.message);
}

function settleReadiness(
  input: ContainerStatusInput,
  kind: ContainerKind,
  spec: Container | EphemeralContainer,
  current: ObservedContainer | undefined,
  status: ContainerStatus,
): void {
  if (kind === 'init') {
    status.ready = status.state?.terminated?.exitCode === 0;
    status.started = current?.state === 'running';
    return;
  }
  if (kind === 'ephemeral') {
    delete status.started;
    return;
  }
  const running = current?.state === 'running' && current.sandboxId === input.sandboxId;
  if (current === undefined || !running) return;
  status.started = spec.startupProbe === undefined || input.verdicts(current.id, 'startup') === 'success';
  status.ready =
    status.started &&
    (spec.readinessProbe === undefined || input.verdicts(current.id, 'readiness') === 'success');
}
