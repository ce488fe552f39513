import type { Container, EphemeralContainer, Pod } from '@cloudless/kube/types/core-v1';
import { type ContainerKind, isSidecar, podText } from '../naming/pod.ts';
import { backoffUntilMs, type BackoffEntry, goDuration } from './backoff.ts';
import {
  newestContainer,
  type ObservedContainer,
  type ObservedPod,
  type ObservedSandbox,
} from './observed.ts';
import { shouldRun } from './restart.ts';

export type ProbeKind = 'startup' | 'liveness' | 'readiness';

/** The latest verdict of a container's probe; undefined while none has been reached. */
export type ProbeVerdicts = (containerId: string, kind: ProbeKind) => 'success' | 'failure' | undefined;

export type KillReason = 'definition-changed' | 'liveness' | 'startup' | 'unknown-state' | 'pod-sandbox';

export interface KillContainer {
  container: ObservedContainer;
  spec: Container | EphemeralContainer | undefined;
  kind: ContainerKind;
  reason: KillReason;
  /** The text of the Killing event. */
  message: string;
}

export interface StartContainer {
  kind: ContainerKind;
  spec: Container | EphemeralContainer;
  /** Restart count of the new run. */
  attempt: number;
  /** The run it follows, which the back-off counts from. */
  last: ObservedContainer | undefined;
}

export interface Waiting {
  reason: string;
  message: string;
}

/** What to do next for a pod that should run. Everything in it may be done at once; then look and plan again. */
export interface Plan {
  /** End every container and sandbox first: the sandbox is gone or changed, or nothing is left to run. */
  killPod: boolean;
  createSandbox: { attempt: number } | undefined;
  /** The sandbox to start containers in, when one is usable. */
  sandbox: ObservedSandbox | undefined;
  kill: KillContainer[];
  start: StartContainer[];
  /** Containers held back, by name. */
  backoff: Map<string, Waiting>;
  /** When to plan again though nothing happened. */
  wakeAtMs: number | undefined;
}

export interface PlanInput {
  pod: Pod;
  observed: ObservedPod;
  nowMs: number;
  verdicts: ProbeVerdicts;
  /** By container name. */
  backoff: ReadonlyMap<string, BackoffEntry>;
  /** {@link containerHash} of a definition. */
  hashOf: (spec: Container | EphemeralContainer) => string;
}

/**
 * The pure core of a running pod (upstream: kuberuntime computePodActions and computeInitContainerActions):
 * from the definition and the observed state to actions.
 */
export function planPod(input: PlanInput): Plan {
  const { pod, observed } = input;
  const plan: Plan = {
    killPod: false,
    createSandbox: undefined,
    sandbox: undefined,
    kill: [],
    start: [],
    backoff: new Map(),
    wakeAtMs: undefined,
  };
  const verdict = sandboxVerdict(pod, observed);
  if (verdict.usable) plan.sandbox = verdict.usable;
  else planNewSandbox(input, plan, verdict.attempt);
  if (plan.killPod || plan.sandbox === undefined) return plan;

  planEphemeral(input, plan);
  const initialized = planInitContainers(input, plan);
  if (initialized && !plan.killPod) planRegular(input, plan);
  holdBack(input, plan);
  return plan;
}

/** The sandbox that can hold containers now, or the attempt number of the one to make. */
export function sandboxVerdict(
  pod: Pod,
  observed: ObservedPod,
): { usable: ObservedSandbox; attempt?: undefined } | { usable?: undefined; attempt: number } {
  const newest = observed.sandboxes[0];
  if (newest === undefined) return { attempt: 0 };
  const hostNetwork = pod.spec?.hostNetwork === true;
  const readyCount = observed.sandboxes.filter((sandbox) => sandbox.ready).length;
  const usable =
    newest.ready &&
    readyCount === 1 &&
    newest.hostNetwork === hostNetwork &&
    (hostNetwork || newest.ips.length > 0);
  return usable ? { usable: newest } : { attempt: newest.attempt + 1 };
}

function planNewSandbox(input: PlanInput, plan: Plan, attempt: number): void {
  const { pod, observed } = input;
  plan.killPod = observed.sandboxes.length > 0 || observed.containers.length > 0;
  const neverAgain = pod.spec?.restartPolicy === 'Never' && attempt !== 0 && observed.containers.length > 0;
  const somethingToRun = (pod.spec?.containers ?? []).some((spec) =>
    shouldRun(pod, spec, asEnded(newestContainer(observed, spec.name))),
  );
  if (neverAgain || !somethingToRun) {
    plan.killPod = true;
    return;
  }
  plan.createSandbox = { attempt };
}

/** A container whose sandbox died counts as ended, whatever the runtime still says. */
function asEnded(container: ObservedContainer | undefined): ObservedContainer | undefined {
  return container?.state === 'running' ? { ...container, state: 'exited', exitCode: 137 } : container;
}

function planEphemeral({ pod, observed }: PlanInput, plan: Plan): void {
  for (const spec of pod.spec?.ephemeralContainers ?? []) {
    if (newestContainer(observed, spec.name)) continue;
    plan.start.push({ kind: 'ephemeral', spec, attempt: 0, last: undefined });
  }
}

/** True once a regular container exists: initialization is never repeated within a sandbox. */
export function wasInitialized(pod: Pod, observed: ObservedPod): boolean {
  const sandbox = observed.sandboxes[0];
  return (pod.spec?.containers ?? []).some((spec) => {
    const container = newestContainer(observed, spec.name);
    return container !== undefined && container.sandboxId === sandbox?.id;
  });
}

const startOf = (
  kind: ContainerKind,
  spec: Container,
  last: ObservedContainer | undefined,
): StartContainer => ({
  kind,
  spec,
  attempt: last === undefined ? 0 : last.attempt + 1,
  last,
});

/**
 * Init containers one after another, sidecars kept running. True when regular containers may run.
 * A container of an earlier sandbox has to run again in this one.
 */
function planInitContainers(input: PlanInput, plan: Plan): boolean {
  const { pod, observed } = input;
  const specs = pod.spec?.initContainers ?? [];
  const initializedBefore = wasInitialized(pod, observed);
  for (const spec of specs) {
    const last = newestContainer(observed, spec.name);
    const here = last?.sandboxId === plan.sandbox?.id ? last : undefined;
    if (isSidecar(spec)) {
      const started = planSidecar(input, plan, spec, last, here);
      if (!started && !initializedBefore) return false;
      continue;
    }
    if (initializedBefore) continue;
    if (here === undefined || here.state === 'created') {
      plan.start.push(startOf('init', spec, last));
      return false;
    }
    if (here.state === 'unknown') {
      plan.kill.push(
        kill(
          here,
          spec,
          'init',
          'unknown-state',
          `Init container is in "unknown" state, try killing it before restart`,
        ),
      );
      plan.start.push(startOf('init', spec, here));
      return false;
    }
    if (here.state === 'running') return false;
    if (here.exitCode === 0) continue;
    if (shouldRun(pod, spec, here)) plan.start.push(startOf('init', spec, here));
    else plan.killPod = true;
    return false;
  }
  return true;
}

/** True when the sidecar is far enough for the next container to start. */
function planSidecar(
  input: PlanInput,
  plan: Plan,
  spec: Container,
  last: ObservedContainer | undefined,
  here: ObservedContainer | undefined,
): boolean {
  if (here === undefined || here.state === 'exited' || here.state === 'created') {
    plan.start.push(startOf('sidecar', spec, last));
    return false;
  }
  const ill = illness(input, spec, here, 'Init container');
  if (ill) {
    plan.kill.push({ ...kill(here, spec, 'sidecar', ill.reason, `${ill.message}, will be restarted`) });
    plan.start.push(startOf('sidecar', spec, here));
    return false;
  }
  return spec.startupProbe === undefined || input.verdicts(here.id, 'startup') === 'success';
}

function planRegular(input: PlanInput, plan: Plan): void {
  const { pod, observed } = input;
  let kept = 0;
  for (const spec of pod.spec?.containers ?? []) {
    const last = newestContainer(observed, spec.name);
    const here = last?.sandboxId === plan.sandbox?.id ? last : asEnded(last);
    if (here === undefined || here.state === 'exited' || here.state === 'created') {
      if (shouldRun(pod, spec, here)) plan.start.push(startOf('regular', spec, last));
      continue;
    }
    const ill = illness(input, spec, here, 'Container');
    if (ill === undefined) {
      kept++;
      continue;
    }
    const again =
      ill.reason === 'definition-changed' ||
      shouldRun(pod, spec, { ...here, state: 'exited', exitCode: 137 });
    plan.kill.push(
      kill(here, spec, 'regular', ill.reason, again ? `${ill.message}, will be restarted` : ill.message),
    );
    if (again) plan.start.push(startOf('regular', spec, here));
  }
  const regularStarts = plan.start.some((start) => start.kind === 'regular');
  if (kept === 0 && !regularStarts && plan.kill.length === 0) plan.killPod = true;
}

/** Why a running container must not go on, in upstream's words. */
function illness(
  input: PlanInput,
  spec: Container,
  container: ObservedContainer,
  title: string,
): { reason: KillReason; message: string } | undefined {
  if (container.state === 'unknown') {
    return {
      reason: 'unknown-state',
      message: `Container is in "unknown" state, try killing it before restart`,
    };
  }
  if (container.hash !== '' && container.hash !== input.hashOf(spec)) {
    return { reason: 'definition-changed', message: `${title} ${spec.name} definition changed` };
  }
  if (input.verdicts(container.id, 'startup') === 'failure') {
    return { reason: 'startup', message: `${title} ${spec.name} failed startup probe` };
  }
  if (input.verdicts(container.id, 'liveness') === 'failure') {
    return { reason: 'liveness', message: `${title} ${spec.name} failed liveness probe` };
  }
  return undefined;
}

const kill = (
  container: ObservedContainer,
  spec: Container,
  kind: ContainerKind,
  reason: KillReason,
  message: string,
): KillContainer => ({ container, spec, kind, reason, message });

/** Moves starts that must still wait from `start` to `backoff`. */
function holdBack(input: PlanInput, plan: Plan): void {
  plan.start = plan.start.filter((start) => {
    const last = start.last;
    if (last === undefined || last.state !== 'exited') return true;
    const entry = input.backoff.get(start.spec.name);
    const untilMs = backoffUntilMs(entry, last.finishedAtMs);
    if (entry === undefined || untilMs <= input.nowMs) return true;
    plan.backoff.set(start.spec.name, {
      reason: 'CrashLoopBackOff',
      message: `back-off ${goDuration(entry.delayMs)} restarting failed container=${start.spec.name} pod=${podText(input.pod)}`,
    });
    plan.wakeAtMs = Math.min(plan.wakeAtMs ?? Infinity, untilMs);
    return false;
  });
}
