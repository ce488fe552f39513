import { mkdir, rm } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import type { ClockTimer } from '@cloudless/kube/clock';
import type { Pod, PodStatus } from '@cloudless/kube/types/core-v1';
import { isCriNotFound } from '../cri/error.ts';
import { podReference } from '../events.ts';
import { containerHash } from '../naming/hash.ts';
import { containersOf, identityOf } from '../naming/pod.ts';
import { PodProbes } from '../probe/probes.ts';
import { type BackoffEntry, raiseBackoff } from '../sync/backoff.ts';
import { ownedConditions } from '../sync/conditions.ts';
import { nothingObserved, type ObservedPod } from '../sync/observed.ts';
import { type KillContainer, type Plan, planPod, sandboxVerdict, type Waiting } from '../sync/plan.ts';
import { podStatus, type PodVerdict } from '../sync/pod-status.ts';
import { podFolders, podLogFolder } from '../volumes/layout.ts';
import { MountFailure, type ReadyVolume } from '../volumes/pod-volumes.ts';
import { StartError } from './errors.ts';
import type { WorkerServices } from './services.ts';
import { createSandbox, describeSandbox, removeContainer, startContainer } from './start.ts';
import { graceSecondsOf, stopContainer, stopPod } from './stop.ts';

/**
 * `running`: kept as defined. `terminating`: its containers are being ended. `terminated`: nothing of it runs,
 * its volumes and cgroups are gone. `gone`: no source knows it, everything of it is removed.
 */
export type WorkerState = 'running' | 'terminating' | 'terminated' | 'gone';

/** After an error that nothing will announce the end of (upstream: backOffPeriod). */
const retryMs = 10_000;
const mountRetryMs = { initialMs: 500, maximumMs: 122_000 };
const sandboxRetryMs = { initialMs: 1000, maximumMs: 30_000 };

/** One pod's life on this node: woken by every change, it looks, plans, acts, and looks again. */
export class PodWorker {
  readonly uid: string;
  readonly #services: WorkerServices;
  readonly #probes: PodProbes;
  readonly #onGone: () => void;
  #pod: Pod;
  #state: WorkerState = 'running';
  /** The source has it no more. */
  #removed = false;
  /** Ends what the pod is about to do when it must end. */
  #work = new AbortController();
  /** Ends a stop that gives more grace than is now allowed. */
  #stopWork = new AbortController();
  #graceSeconds = Infinity;
  #verdict: PodVerdict | undefined;
  #waiting = new Map<string, Waiting>();
  #backoff = new Map<string, BackoffEntry>();
  #mountBackoff: BackoffEntry | undefined;
  #sandboxBackoff: BackoffEntry | undefined;
  #status: PodStatus | undefined;
  #silent = false;
  #dirty = false;
  #loop: Promise<void> | undefined;
  #timer: ClockTimer | undefined;
  #halted = false;
  #networkEventSent = false;

  constructor(options: { pod: Pod; services: WorkerServices; onGone: () => void }) {
    this.#pod = options.pod;
    this.uid = identityOf(options.pod).uid;
    this.#services = options.services;
    this.#onGone = options.onGone;
    this.#probes = new PodProbes({
      clock: options.services.clock,
      handlers: options.services.probeHandlers,
      events: options.services.events,
      onChange: () => this.wake(),
    });
    options.services.objects.hold(options.pod, () => this.wake());
    if (options.pod.metadata.deletionTimestamp !== undefined) this.#beginTermination();
  }

  get state(): WorkerState {
    return this.#state;
  }

  get pod(): Pod {
    return this.#pod;
  }

  /** The status last made, which the API may not have yet. */
  get status(): PodStatus | undefined {
    return this.#status;
  }

  /** The source has a newer definition. */
  update(pod: Pod): void {
    const before = this.#pod;
    this.#pod = pod;
    if (!differs(before, pod)) return;
    this.#services.objects.hold(pod, () => this.wake());
    if (pod.metadata.deletionTimestamp !== undefined) this.#beginTermination();
    this.wake();
  }

  /** No source has the pod any more. `last` is its last state, with the grace of its deletion. */
  remove(last?: Pod): void {
    if (last) this.#pod = last;
    this.#removed = true;
    this.#beginTermination();
    this.wake();
  }

  /** Ends the pod for a reason of the node's own; its status stays so. */
  fail(verdict: PodVerdict): void {
    this.#verdict ??= verdict;
    this.#beginTermination();
    this.wake();
  }

  /** Ends everything of the pod without a word to the API: the node goes down. */
  async takeDown(graceSeconds: number): Promise<void> {
    this.#silent = true;
    this.#removed = true;
    this.#beginTermination(graceSeconds);
    this.wake();
    while (this.#state !== 'gone' && !this.#halted) await (this.#loop ?? this.#tick());
  }

  wake(): void {
    this.#dirty = true;
    if (this.#halted || this.#state === 'gone') return;
    this.#loop ??= this.#run().finally(() => {
      this.#loop = undefined;
      if (this.#dirty) this.wake();
    });
  }

  /** Stops looking after the pod; its containers run on. */
  async halt(): Promise<void> {
    this.#halted = true;
    this.#timer?.cancel();
    this.#probes.stop();
    this.#work.abort();
    this.#stopWork.abort();
    await this.#loop;
  }

  #tick(): Promise<void> {
    return new Promise((resolve) => {
      this.#services.clock.setTimeout(resolve, 50);
    });
  }

  #beginTermination(graceSeconds = graceSecondsOf(this.#pod)): void {
    if (this.#state === 'running') {
      this.#state = 'terminating';
      this.#work.abort();
    }
    if (graceSeconds >= this.#graceSeconds) return;
    this.#graceSeconds = graceSeconds;
    this.#stopWork.abort();
    this.#stopWork = new AbortController();
  }

  async #run(): Promise<void> {
    while (this.#dirty && !this.#halted && this.#state !== 'gone') {
      this.#dirty = false;
      let wakeAtMs: number | undefined;
      try {
        wakeAtMs = await this.#step();
      } catch (error) {
        if (this.#halted) return;
        // What was cut short because the pod must end is taken up by the next step.
        if (this.#work.signal.aborted && this.#state === 'terminating' && this.#dirty) continue;
        this.#services.log.warn(
          { pod: this.#pod.metadata.name, namespace: this.#pod.metadata.namespace, err: error },
          'pod not synced; will be tried again',
        );
        wakeAtMs = this.#services.clock.nowMs() + retryMs;
      }
      this.#wakeAt(wakeAtMs);
    }
  }

  #wakeAt(atMs: number | undefined): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (atMs === undefined || this.#halted) return;
    this.#timer = this.#services.clock.setTimeout(
      () => this.wake(),
      Math.max(0, atMs - this.#services.clock.nowMs()),
    );
  }

  #step(): Promise<number | undefined> {
    switch (this.#state) {
      case 'running':
        return this.#keepRunning();
      case 'terminating':
        return this.#terminate();
      default:
        return this.#afterEnd();
    }
  }

  #observed(): ObservedPod {
    return this.#services.view.pod(this.uid) ?? nothingObserved(identityOf(this.#pod));
  }

  #host(observed: ObservedPod): string {
    const ips = this.#pod.spec?.hostNetwork
      ? this.#services.node.hostIps()
      : (observed.sandboxes[0]?.ips ?? []);
    return ips[0] ?? '';
  }

  /** Makes and publishes the status; resolves to its phase. */
  #publish(terminal: boolean): string {
    const previous = this.#status ?? this.#pod.status ?? {};
    const foreign = (this.#pod.status?.conditions ?? []).filter((entry) => !ownedConditions.has(entry.type));
    const own = (previous.conditions ?? []).filter((entry) => ownedConditions.has(entry.type));
    const status = podStatus({
      pod: this.#pod,
      observed: this.#observed(),
      verdicts: this.#probes.verdicts,
      waiting: this.#waiting,
      previous: { ...previous, conditions: [...own, ...foreign] },
      runtimeName: this.#services.node.runtimeName,
      terminal,
      verdict: this.#verdict,
      hostIps: this.#services.node.hostIps(),
      nowMs: this.#services.clock.nowMs(),
    });
    this.#status = status;
    if (!this.#silent && !this.#removed) this.#services.statuses.publish(this.#pod, status);
    return status.phase ?? 'Pending';
  }

  async #keepRunning(): Promise<number | undefined> {
    this.#followProbes(false);
    this.#checkDeadline();
    const phase = this.#publish(false);
    const deadlineMs = this.#checkDeadline();
    if (phase === 'Failed' || phase === 'Succeeded') {
      this.#beginTermination();
      this.#dirty = true;
      return undefined;
    }
    const networkWait = this.#waitsForNetwork();
    if (networkWait !== undefined) return earliest(deadlineMs, networkWait);
    const volumes = await this.#mountVolumes();
    if (!(volumes instanceof Map)) return earliest(deadlineMs, volumes.retryAtMs);
    const wakeAtMs = await this.#act(volumes);
    this.#followProbes(false);
    const after = this.#publish(false);
    if (after === 'Failed' || after === 'Succeeded') this.#dirty = true;
    return earliest(earliest(deadlineMs, wakeAtMs), this.#services.tokens.renewAtMs(this.uid));
  }

  #checkDeadline(): number | undefined {
    const seconds = this.#pod.spec?.activeDeadlineSeconds;
    const started = this.#status?.startTime ?? this.#pod.status?.startTime;
    if (seconds === undefined || started === undefined) return undefined;
    const endMs = Date.parse(started) + seconds * 1000;
    if (this.#services.clock.nowMs() < endMs) return endMs;
    if (this.#verdict === undefined) {
      const message = 'Pod was active on the node longer than the specified deadline';
      this.#verdict = { phase: 'Failed', reason: 'DeadlineExceeded', message };
      this.#services.events(podReference(this.#pod), 'Normal', 'DeadlineExceeded', message);
    }
    return undefined;
  }

  #followProbes(ending: boolean): void {
    const observed = this.#observed();
    this.#probes.follow(this.#pod, observed, {
      host: this.#host(observed),
      ending,
      adopted: (id) => this.#services.adopted(id),
    });
  }

  #waitsForNetwork(): number | undefined {
    const problem = this.#services.node.networkProblem();
    if (problem === undefined || this.#pod.spec?.hostNetwork) return undefined;
    if (sandboxVerdict(this.#pod, this.#observed()).usable) return undefined;
    if (!this.#networkEventSent) {
      this.#networkEventSent = true;
      this.#services.events(
        podReference(this.#pod),
        'Warning',
        'NetworkNotReady',
        `network is not ready: ${problem}`,
      );
    }
    return this.#services.clock.nowMs() + retryMs;
  }

  async #mountVolumes(): Promise<Map<string, ReadyVolume> | { retryAtMs: number }> {
    const services = this.#services;
    const observed = this.#observed();
    try {
      if (!services.simulated) {
        await mkdir(podFolders(services.paths.kubelet, this.uid).volumes, { recursive: true, mode: 0o750 });
      }
      const ready = await services.volumes.mount(this.#pod, {
        objects: services.objects,
        tokens: services.tokens,
        allocatable: services.node.allocatable(),
        addresses: { podIps: observed.sandboxes[0]?.ips ?? [], hostIps: services.node.hostIps() },
      });
      this.#mountBackoff = undefined;
      return ready;
    } catch (error) {
      if (!(error instanceof MountFailure) || this.#work.signal.aborted) throw error;
      services.events(podReference(this.#pod), 'Warning', 'FailedMount', error.message);
      const nowMs = services.clock.nowMs();
      this.#mountBackoff = raiseBackoff(this.#mountBackoff, nowMs, nowMs, mountRetryMs);
      return { retryAtMs: nowMs + this.#mountBackoff.delayMs };
    }
  }

  /** Plans and acts until there is nothing left to do at this moment. */
  async #act(volumes: ReadonlyMap<string, ReadyVolume>): Promise<number | undefined> {
    for (;;) {
      if (this.#state !== 'running' || this.#halted) return undefined;
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
      pod: this.#pod,
      observed: this.#observed(),
      nowMs: this.#services.clock.nowMs(),
      verdicts: this.#probes.verdicts,
      backoff: this.#backoff,
      hashOf: containerHash,
    });
  }

  #noteBackoff(plan: Plan): void {
    for (const [name, waiting] of plan.backoff) {
      if (this.#waiting.get(name)?.message === waiting.message) continue;
      this.#waiting.set(name, waiting);
      const kind = containersOf(this.#pod).find(({ spec }) => spec.name === name)?.kind ?? 'regular';
      const path = kind === 'regular' ? `spec.containers{${name}}` : `spec.initContainers{${name}}`;
      this.#services.events(
        podReference(this.#pod, path),
        'Warning',
        'BackOff',
        `Back-off restarting failed container ${name} in pod ${this.#pod.metadata.name}_${this.#pod.metadata.namespace}(${this.uid})`,
      );
    }
  }

  /** Ends what is left of the old sandbox; false when nothing is to follow. */
  async #endForNewSandbox(plan: Plan): Promise<boolean> {
    const observed = this.#observed();
    if (plan.createSandbox && observed.sandboxes.length > 0) {
      this.#services.events(
        podReference(this.#pod),
        'Normal',
        'SandboxChanged',
        'Pod sandbox changed, it will be killed and re-created.',
      );
    }
    await stopPod(this.#services, {
      pod: this.#pod,
      observed,
      graceSeconds: graceSecondsOf(this.#pod),
      host: this.#host(observed),
      signal: this.#work.signal,
      sandboxes: true,
    });
    // The newest stays: its containers' ends are the new ones' last states.
    for (const sandbox of observed.sandboxes.slice(1)) await this.#removeSandbox(sandbox.id);
    return plan.createSandbox !== undefined;
  }

  async #newSandbox(attempt: number): Promise<number | undefined> {
    const services = this.#services;
    try {
      await services.cgroups.create(this.#pod);
      const config = await describeSandbox(services, this.#pod, attempt);
      await createSandbox(services, this.#pod, config, this.#work.signal);
      this.#sandboxBackoff = undefined;
      return undefined;
    } catch (error) {
      if (this.#work.signal.aborted) throw error;
      services.log.warn({ pod: this.#pod.metadata.name, err: error }, 'pod sandbox not created');
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
    await stopContainer(this.#services, {
      pod: this.#pod,
      container: kill.container,
      spec: kill.spec,
      kind: kill.kind,
      message: kill.message,
      graceSeconds: probe?.terminationGracePeriodSeconds ?? graceSecondsOf(this.#pod),
      host: this.#host(this.#observed()),
      signal: this.#work.signal,
    });
    this.#followProbes(false);
  }

  /** Starts what the plan says, one after another; resolves to when to try the failed ones again. */
  async #startAll(plan: Plan, volumes: ReadonlyMap<string, ReadyVolume>): Promise<number | undefined> {
    const services = this.#services;
    const sandbox = plan.sandbox!;
    const config = await describeSandbox({ ...services, events: () => {} }, this.#pod, sandbox.attempt);
    let retryAtMs: number | undefined;
    for (const start of plan.start) {
      if (this.#work.signal.aborted) return undefined;
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
          pod: this.#pod,
          start: { ...start, attempt },
          sandbox,
          sandboxConfig: config,
          observed: this.#observed(),
          volumes,
          signal: this.#work.signal,
        });
        this.#waiting.delete(name);
      } catch (error) {
        if (!(error instanceof StartError)) throw error;
        this.#waiting.set(name, { reason: error.reason, message: error.message });
        // A retry that is due already shows the error for a moment before the back-off takes its place.
        const wanted = Math.max(
          error.retryAtMs ?? 0,
          services.clock.nowMs() + (error.retryAtMs === undefined ? retryMs : errorShownMs),
        );
        retryAtMs = earliest(retryAtMs, wanted);
      }
      this.#followProbes(false);
    }
    return retryAtMs;
  }

  /** Restarts that the last status counts: more than the runtime knows when it has lost containers. */
  #shownRestarts(name: string): number {
    const all = [...(this.#status?.initContainerStatuses ?? []), ...(this.#status?.containerStatuses ?? [])];
    return all.find((status) => status.name === name)?.restartCount ?? 0;
  }

  /** Keeps the newest ended run of a container, which its lastState shows, and removes older ones. */
  async #clearOlderRuns(name: string): Promise<void> {
    const runs = this.#observed().containers.filter((container) => container.name === name);
    for (const run of runs.slice(1)) {
      if (run.state !== 'running')
        await removeContainer(this.#services, identityOf(this.#pod), run.id, name, run.attempt);
    }
    const [newest] = runs;
    if (newest?.state === 'created')
      await removeContainer(this.#services, identityOf(this.#pod), newest.id, name, newest.attempt);
  }

  async #terminate(): Promise<number | undefined> {
    const services = this.#services;
    this.#followProbes(true);
    this.#publish(false);
    const observed = this.#observed();
    const signal = this.#stopWork.signal;
    await stopPod(services, {
      pod: this.#pod,
      observed,
      graceSeconds: Math.min(this.#graceSeconds, graceSecondsOf(this.#pod)),
      host: this.#host(observed),
      signal,
      sandboxes: true,
    });
    if (signal.aborted) {
      this.#dirty = !this.#halted;
      return undefined;
    }
    const left = this.#observed().containers.filter((container) => container.state === 'running');
    if (left.length > 0) {
      services.log.warn(
        { pod: this.#pod.metadata.name, containers: left.map(({ name }) => name) },
        'containers outlive their end; stopping them again',
      );
      return services.clock.nowMs() + retryMs;
    }
    this.#probes.stop();
    this.#publish(true);
    await services.volumes.remove(this.uid);
    if (!(await services.cgroups.remove(this.uid))) return services.clock.nowMs() + 1000;
    services.objects.release(this.uid);
    services.tokens.release(this.uid);
    this.#state = 'terminated';
    this.#dirty = true;
    return undefined;
  }

  async #afterEnd(): Promise<number | undefined> {
    if (!this.#removed) {
      if (!this.#silent) this.#services.statuses.finished(this.#pod);
      return undefined;
    }
    await this.#removeEverything();
    this.#state = 'gone';
    this.#services.statuses.forget(this.uid);
    this.#onGone();
    return undefined;
  }

  async #removeEverything(): Promise<void> {
    const services = this.#services;
    const identity = identityOf(this.#pod);
    const observed = this.#observed();
    for (const { id, name, attempt } of observed.containers)
      await removeContainer(services, identity, id, name, attempt);
    for (const { id } of observed.sandboxes) await this.#removeSandbox(id);
    if (services.simulated) return;
    await rm(podLogFolder(services.paths.podLogs, identity), { recursive: true, force: true });
    await services.cgroups.remove(this.uid);
  }

  async #removeSandbox(id: string): Promise<void> {
    await this.#services.cri.removePodSandbox({ podSandboxId: id }).catch((error: unknown) => {
      if (!isCriNotFound(error)) throw error;
    });
    this.#services.view.forget(id);
  }
}

const errorShownMs = 2000;

/** Whether a pod's new state asks for anything: our own status coming back does not (upstream: podsDifferSemantically). */
function differs(before: Pod, after: Pod): boolean {
  const foreign = (pod: Pod): unknown =>
    (pod.status?.conditions ?? []).filter((entry) => !ownedConditions.has(entry.type));
  const seen = (pod: Pod): unknown => [
    pod.spec,
    pod.metadata.labels,
    pod.metadata.annotations,
    pod.metadata.deletionTimestamp,
    pod.metadata.deletionGracePeriodSeconds,
    foreign(pod),
  ];
  return !isDeepStrictEqual(seen(before), seen(after));
}

const earliest = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.min(a, b);
