import { mkdir, rm } from 'node:fs/promises';
import type { Pod, PodStatus } from '@cloudless/kube/types/core-v1';
import { isCriNotFound } from '../cri/error.ts';
import { podReference } from '../events.ts';
import { containerHash } from '../naming/hash.ts';
import { containersOf, fieldPathOf, identityOf } from '../naming/pod.ts';
import { type BackoffEntry, raiseBackoff } from '../sync/backoff.ts';
import type { ObservedPod } from '../sync/observed.ts';
import { type KillContainer, type Plan, planPod, type ProbeVerdicts, type Waiting } from '../sync/plan.ts';
import { podFolders, podLogFolder } from '../volumes/layout.ts';
import { MountFailure, type ReadyVolume } from '../volumes/pod-volumes.ts';
import { StartError } from './errors.ts';
import type { WorkerServices } from './services.ts';
import { createSandbox, describeSandbox, removeContainer, startContainer } from './start.ts';
import { graceSecondsOf, stopContainer, stopPod } from './stop.ts';

/** After an error that nothing will announce the end of (upstream: backOffPeriod). */
export const retryMs = 10_000;
const mountRetryMs = { initialMs: 500, maximumMs: 122_000 };
const sandboxRetryMs = { initialMs: 1000, maximumMs: 30_000 };
/** How long a failed pull is shown before its back-off takes its place. */
const errorShownMs = 2000;

/** The pod's worker as its actor sees it; everything is asked anew, for it changes while the actor waits. */
export interface ActorContext {
  readonly services: WorkerServices;
  readonly uid: string;
  readonly verdicts: ProbeVerdicts;
  pod(): Pod;
  observed(): ObservedPod;
  /** The pod's address, empty while it has none. */
  host(): string;
  /** The status last made. */
  status(): PodStatus | undefined;
  /** Ends what the actor does when the pod must end. */
  signal(): AbortSignal;
  mayAct(): boolean;
  /** Lets probes follow containers that came or went. */
  followProbes(): void;
}

/** The hands of a pod's worker: mounts its volumes, and brings the runtime to where the plan says. */
export class PodActor {
  /** Why containers that should run do not, by name. */
  readonly waiting = new Map<string, Waiting>();
  readonly #context: ActorContext;
  readonly #backoff = new Map<string, BackoffEntry>();
  #mountBackoff: BackoffEntry | undefined;
  #sandboxBackoff: BackoffEntry | undefined;

  constructor(context: ActorContext) {
    this.#context = context;
  }

  async mountVolumes(): Promise<Map<string, ReadyVolume> | { retryAtMs: number }> {
    const services = this.#context.services;
    const observed = this.#context.observed();
    try {
      if (!services.simulated) {
        await mkdir(podFolders(services.paths.kubelet, this.#context.uid).volumes, {
          recursive: true,
          mode: 0o750,
        });
      }
      const ready = await services.volumes.mount(this.#context.pod(), {
        objects: services.objects,
        tokens: services.tokens,
        allocatable: services.node.allocatable(),
        addresses: { podIps: observed.sandboxes[0]?.ips ?? [], hostIps: services.node.hostIps() },
      });
      this.#mountBackoff = undefined;
      return ready;
    } catch (error) {
      if (!(error instanceof MountFailure) || this.#context.signal().aborted) throw error;
      services.events(podReference(this.#context.pod()), 'Warning', 'FailedMount', error.message);
      const nowMs = services.clock.nowMs();
      this.#mountBackoff = raiseBackoff(this.#mountBackoff, nowMs, nowMs, mountRetryMs);
      return { retryAtMs: nowMs + this.#mountBackoff.delayMs };
    }
  }

  /** Plans and acts until there is nothing left to do at this moment. */
  async act(volumes: ReadonlyMap<string, ReadyVolume>): Promise<number | undefined> {
    for (;;) {
      if (!this.#context.mayAct()) return undefined;
      const plan = this.#plan();
      this.#noteBackoff(plan);
      if (plan.killPod && !(await this.#endForNewSandbox(plan))) return undefined;
      if (plan.createSandbox) {
        const retryAtMs = await this.#newSandbox(plan.createSandbox.attempt);
        if (retryAtMs !== undefined) return retryAtMs;
        continue;
      }
      if (plan.kill.length > 0) {
        await Promise.all(plan.kill.map((kill) => this.#kill(kill)));
        if (!plan.kill.some(({ reason }) => reason === 'definition-changed')) continue;
      }
      if (plan.start.length === 0) return plan.wakeAtMs;
      const retryAtMs = await this.#startAll(plan, volumes);
      if (retryAtMs !== undefined) return earliest(plan.wakeAtMs, retryAtMs);
    }
  }

  #plan(): Plan {
    return planPod({
      pod: this.#context.pod(),
      observed: this.#context.observed(),
      nowMs: this.#context.services.clock.nowMs(),
      verdicts: this.#context.verdicts,
      backoff: this.#backoff,
      hashOf: containerHash,
    });
  }

  #noteBackoff(plan: Plan): void {
    for (const [name, waiting] of plan.backoff) {
      if (this.waiting.get(name)?.message === waiting.message) continue;
      this.waiting.set(name, waiting);
      const kind =
        containersOf(this.#context.pod()).find(({ spec }) => spec.name === name)?.kind ?? 'regular';
      this.#context.services.events(
        podReference(this.#context.pod(), fieldPathOf(kind, name)),
        'Warning',
        'BackOff',
        `Back-off restarting failed container ${name} in pod ${this.#context.pod().metadata.name}_${this.#context.pod().metadata.namespace}(${this.#context.uid})`,
      );
    }
  }

  /** Ends what is left of the old sandbox; false when nothing is to follow. */
  async #endForNewSandbox(plan: Plan): Promise<boolean> {
    const observed = this.#context.observed();
    if (plan.createSandbox && observed.sandboxes.length > 0) {
      this.#context.services.events(
        podReference(this.#context.pod()),
        'Normal',
        'SandboxChanged',
        'Pod sandbox changed, it will be killed and re-created.',
      );
    }
    await stopPod(this.#context.services, {
      pod: this.#context.pod(),
      observed,
      graceSeconds: graceSecondsOf(this.#context.pod()),
      host: this.#context.host(),
      signal: this.#context.signal(),
      sandboxes: true,
    });
    // The newest stays: its containers' ends are the new ones' last states.
    for (const sandbox of observed.sandboxes.slice(1)) await this.#removeSandbox(sandbox.id);
    return plan.createSandbox !== undefined;
  }

  async #newSandbox(attempt: number): Promise<number | undefined> {
    const services = this.#context.services;
    try {
      await services.cgroups.create(this.#context.pod());
      const config = await describeSandbox(services, this.#context.pod(), attempt);
      await createSandbox(services, this.#context.pod(), config, this.#context.signal());
      this.#sandboxBackoff = undefined;
      return undefined;
    } catch (error) {
      if (this.#context.signal().aborted) throw error;
      services.log.warn({ pod: this.#context.pod().metadata.name, err: error }, 'pod sandbox not created');
      const nowMs = services.clock.nowMs();
      this.#sandboxBackoff = raiseBackoff(this.#sandboxBackoff, nowMs, nowMs, sandboxRetryMs);
      await services.view.relist().catch(() => undefined);
      return nowMs + this.#sandboxBackoff.delayMs;
    }
  }

  async #kill(kill: KillContainer): Promise<void> {
    const probe =
      kill.reason === 'liveness'
        ? kill.spec?.livenessProbe
        : kill.reason === 'startup'
          ? kill.spec?.startupProbe
          : undefined;
    await stopContainer(this.#context.services, {
      pod: this.#context.pod(),
      container: kill.container,
      spec: kill.spec,
      kind: kill.kind,
      message: kill.message,
      graceSeconds: probe?.terminationGracePeriodSeconds ?? graceSecondsOf(this.#context.pod()),
      host: this.#context.host(),
      signal: this.#context.signal(),
    });
    this.#context.followProbes();
  }

  /** Starts what the plan says, one after another; resolves to when to try the failed ones again. */
  async #startAll(plan: Plan, volumes: ReadonlyMap<string, ReadyVolume>): Promise<number | undefined> {
    const services = this.#context.services;
    const sandbox = plan.sandbox!;
    const config = await describeSandbox(
      { ...services, events: () => {} },
      this.#context.pod(),
      sandbox.attempt,
    );
    let retryAtMs: number | undefined;
    for (const start of plan.start) {
      if (this.#context.signal().aborted) return undefined;
      const name = start.spec.name;
      const shown = this.#shownRestarts(name);
      const attempt = Math.max(start.attempt, shown);
      if (start.last?.state === 'exited') {
        const nowMs = services.clock.nowMs();
        this.#backoff.set(name, raiseBackoff(this.#backoff.get(name), start.last.finishedAtMs, nowMs));
      }
      await this.#clearOlderRuns(name);
      try {
        await startContainer(services, {
          pod: this.#context.pod(),
          start: { ...start, attempt },
          sandbox,
          sandboxConfig: config,
          observed: this.#context.observed(),
          volumes,
          signal: this.#context.signal(),
        });
        this.waiting.delete(name);
      } catch (error) {
        if (!(error instanceof StartError)) throw error;
        this.waiting.set(name, { reason: error.reason, message: error.message });
        // A retry that is due already shows the error for a moment before the back-off takes its place.
        const wanted = Math.max(
          error.retryAtMs ?? 0,
          services.clock.nowMs() + (error.retryAtMs === undefined ? retryMs : errorShownMs),
        );
        retryAtMs = earliest(retryAtMs, wanted);
      }
      this.#context.followProbes();
    }
    return retryAtMs;
  }

  /** Restarts that the last status counts: more than the runtime knows when it has lost containers. */
  #shownRestarts(name: string): number {
    const all = [
      ...(this.#context.status()?.initContainerStatuses ?? []),
      ...(this.#context.status()?.containerStatuses ?? []),
    ];
    return all.find((status) => status.name === name)?.restartCount ?? 0;
  }

  /** Keeps the newest ended run of a container, which its lastState shows, and removes older ones. */
  async #clearOlderRuns(name: string): Promise<void> {
    const runs = this.#context.observed().containers.filter((container) => container.name === name);
    for (const run of runs.slice(1)) {
      if (run.state !== 'running')
        await removeContainer(
          this.#context.services,
          identityOf(this.#context.pod()),
          run.id,
          name,
          run.attempt,
        );
    }
    const [newest] = runs;
    if (newest?.state === 'created')
      await removeContainer(
        this.#context.services,
        identityOf(this.#context.pod()),
        newest.id,
        name,
        newest.attempt,
      );
  }

  async removeEverything(): Promise<void> {
    const services = this.#context.services;
    const identity = identityOf(this.#context.pod());
    const observed = this.#context.observed();
    for (const { id, name, attempt } of observed.containers)
      await removeContainer(services, identity, id, name, attempt);
    for (const { id } of observed.sandboxes) await this.#removeSandbox(id);
    if (services.simulated) return;
    await rm(podLogFolder(services.paths.podLogs, identity), { recursive: true, force: true });
    await services.cgroups.remove(this.#context.uid);
  }

  async #removeSandbox(id: string): Promise<void> {
    await this.#context.services.cri.removePodSandbox({ podSandboxId: id }).catch((error: unknown) => {
      if (!isCriNotFound(error)) throw error;
    });
    this.#context.services.view.forget(id);
  }
}

/** The earlier of two times, either of which may be never. */
export const earliest = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.min(a, b);
