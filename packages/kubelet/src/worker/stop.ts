import { sleep } from '@cloudless/kube/clock';
import type { Container, EphemeralContainer, LifecycleHandler, Pod } from '@cloudless/kube/types/core-v1';
import { isCriNotFound } from '../cri/error.ts';
import { podReference } from '../events.ts';
import { type ContainerKind, containersOf, fieldPathOf } from '../naming/pod.ts';
import { defaultGraceSeconds } from '../runtime/container-config.ts';
import { HookError, runHook } from '../runtime/hooks.ts';
import type { ObservedContainer, ObservedPod } from '../sync/observed.ts';
import type { WorkerServices } from './services.ts';

/** Upstream: minimumGracePeriodInSeconds; what a container gets after a hook that took all the time. */
const minimumGraceSeconds = 2;

export interface StopContainer {
  pod: Pod;
  container: ObservedContainer;
  spec: Container | EphemeralContainer | undefined;
  kind: ContainerKind;
  /** Text of the Killing event. */
  message: string;
  graceSeconds: number;
  host: string;
  signal: AbortSignal;
}

/**
 * Ends one container: preStop hook, its stop signal, and, when the grace is over, SIGKILL. The hook's time counts
 * (upstream: kuberuntime killContainer). Resolves when the runtime shows it ended.
 */
export async function stopContainer(services: WorkerServices, stop: StopContainer): Promise<void> {
  const reference = podReference(stop.pod, fieldPathOf(stop.kind, stop.container.name));
  services.events(reference, 'Normal', 'Killing', stop.message);
  const hook = stop.spec?.lifecycle?.preStop;
  let remaining = stop.graceSeconds;
  if (hook && stop.spec && stop.graceSeconds > 0) {
    const startMs = services.clock.monotonicMs();
    await preStop(services, stop, hook, stop.spec);
    if (stop.signal.aborted) return;
    remaining -= Math.round((services.clock.monotonicMs() - startMs) / 1000);
    remaining = Math.max(remaining, minimumGraceSeconds);
  }
  try {
    await services.cri.stopContainer(
      { containerId: stop.container.id, timeout: BigInt(remaining) },
      { signal: stop.signal },
    );
  } catch (error) {
    if (stop.signal.aborted) return;
    if (!isCriNotFound(error)) throw error;
  }
  await waitEnded(services, stop.container.id, stop.signal);
}

async function preStop(
  services: WorkerServices,
  stop: StopContainer,
  hook: LifecycleHandler,
  container: Container,
): Promise<void> {
  const timeoutMs = stop.graceSeconds * 1000;
  const ended = new AbortController();
  const timer = services.clock.setTimeout(() => ended.abort(), timeoutMs);
  try {
    await runHook({
      cri: services.cri,
      clock: services.clock,
      containerId: stop.container.id,
      container,
      hook,
      host: stop.host,
      signal: AbortSignal.any([stop.signal, ended.signal]),
      timeoutMs,
    });
  } catch (error) {
    if (!(error instanceof HookError)) throw error;
    if (stop.signal.aborted) return;
    const reference = podReference(stop.pod, fieldPathOf(stop.kind, stop.container.name));
    services.events(reference, 'Warning', 'FailedPreStopHook', `PreStopHook failed`);
    services.log.info(
      { pod: stop.pod.metadata.name, container: container.name, err: error.message },
      'preStop hook failed',
    );
  } finally {
    timer.cancel();
  }
}

const lookPausesMs = [0, 2, 5, 10, 20, 50, 100, 200, 400];

/** containerd shows an end a few milliseconds after it happened: looks until it does. */
async function waitEnded(services: WorkerServices, id: string, signal: AbortSignal): Promise<void> {
  for (const pauseMs of lookPausesMs) {
    if (pauseMs > 0) await sleep(services.clock, pauseMs, signal);
    const container = await services.view.lookAtContainer(id);
    if (container?.state !== 'running' || signal.aborted) return;
  }
}

export interface StopPod {
  pod: Pod;
  observed: ObservedPod;
  graceSeconds: number;
  host: string;
  signal: AbortSignal;
  /** Sandboxes are stopped too. */
  sandboxes: boolean;
}

/**
 * Ends a pod: everything but sidecars at once, then sidecars one by one from the last, within the same grace
 * (KEP-753), then the sandboxes.
 */
export async function stopPod(services: WorkerServices, stop: StopPod): Promise<void> {
  const known = containersOf(stop.pod);
  const deadlineMs = services.clock.monotonicMs() + stop.graceSeconds * 1000;
  const alive = stop.observed.containers.filter(
    (container) => container.state === 'running' || container.state === 'unknown',
  );
  const described = alive.map((container) => {
    const found = known.find(({ spec }) => spec.name === container.name);
    return { container, spec: found?.spec, kind: found?.kind ?? ('regular' as const) };
  });
  const stopOne = (one: (typeof described)[number]): Promise<void> => {
    const leftSeconds = Math.ceil((deadlineMs - services.clock.monotonicMs()) / 1000);
    return stopContainer(services, {
      ...one,
      pod: stop.pod,
      message: `Stopping container ${one.container.name}`,
      graceSeconds:
        one.kind === 'sidecar'
          ? Math.max(leftSeconds, Math.min(stop.graceSeconds, minimumGraceSeconds))
          : stop.graceSeconds,
      host: stop.host,
      signal: stop.signal,
    });
  };
  await Promise.all(described.filter(({ kind }) => kind !== 'sidecar').map(stopOne));
  const order = known
    .filter(({ kind }) => kind === 'sidecar')
    .map(({ spec }) => spec.name)
    .reverse();
  for (const name of order) {
    for (const one of described)
      if (one.kind === 'sidecar' && one.container.name === name) await stopOne(one);
  }
  if (stop.signal.aborted || !stop.sandboxes) return;
  await stopSandboxes(services, stop.observed);
}

/** Stops what runs as a pod's network and namespaces; a stopped one is stopped again, which frees leaked addresses. */
export async function stopSandboxes(services: WorkerServices, observed: ObservedPod): Promise<void> {
  for (const sandbox of observed.sandboxes) {
    if (!sandbox.ready) continue;
    await services.cri.stopPodSandbox({ podSandboxId: sandbox.id }).catch((error: unknown) => {
      if (!isCriNotFound(error)) throw error;
    });
    await services.view.lookAtSandbox(sandbox.id);
  }
}

/** Seconds a pod gets to end: as its deletion says, at least one; else as its definition says. */
export function graceSecondsOf(pod: Pod): number {
  const asked = pod.metadata.deletionGracePeriodSeconds;
  if (asked !== undefined) return Math.max(1, asked);
  return pod.spec?.terminationGracePeriodSeconds ?? defaultGraceSeconds;
}
